"""The empty addresses that assignments are measured against."""

EMPTY_VIEW = "/bench/empty-view"
EMPTY_VIEW_BARE = "/bench/empty-view-without-middleware"
EMPTY_FRONT = "/bench/empty-front"
