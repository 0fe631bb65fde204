"""Django middleware for sites that are Django projects themselves: `request.visitor`, and the cookie that keeps who it is."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from experiments.core.protocol import ApiError
from tracking.visitor import CONSENT_COOKIE, COOKIE, Visitor, new_visitor_id

logger = logging.getLogger(__name__)

COOKIE_AGE = 400 * 86_400  # the longest that browsers keep one
MOST_ID = 256


class VisitorMiddleware:
    """Puts a `tracking.visitor.Visitor` on each request, and stores what it noted when the response is ready.

    The site is `settings.INKLING_SITE`; `settings.INKLING_CONSENT`, "required" or "assumed" (the default), says what counts as
    consent while the visitor has said nothing: the browser client's `ab.consent()` writes it down. `Sec-GPC: 1` is a no.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.site = getattr(settings, "INKLING_SITE", "")
        if not self.site:
            raise ImproperlyConfigured("VisitorMiddleware needs INKLING_SITE, the key of the site in Inkling's admin.")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return serve_visitor(request, self.site, self.get_response)


def serve_visitor(request: HttpRequest, site: str, get_response: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """Answer a request whose view may ask for its visitor."""
    made: list[Visitor] = []

    def visitor() -> Visitor:
        made.append(_visitor_of(request, site))
        return made[0]

    request.visitor = SimpleLazyObject(visitor)  # type: ignore[attr-defined]
    response = get_response(request)
    if not made:
        return response
    [one] = made
    if one.is_recorded:
        response.set_cookie(
            COOKIE, one.id, max_age=COOKIE_AGE, samesite="Lax", secure=request.is_secure(), httponly=False
        )  # the browser client reads it
        try:
            one.record()
        except ApiError as error:
            # The page is worth more to the visitor than our count of it; the log says what was lost.
            logger.error("What visitor %s did could not be stored: %s", one.id, error.message)
    # A page that depends on the visitor must not be kept for another one.
    response.headers.setdefault("Cache-Control", "private")
    return response


def _visitor_of(request: HttpRequest, site: str) -> Visitor:
    known = request.COOKIES.get(COOKIE, "")
    agent = request.headers.get("User-Agent", "")
    return Visitor(
        site,
        known if 0 < len(known) <= MOST_ID and "\0" not in known else new_visitor_id(),
        attributes={"path": request.path, "device": device_of(agent)},
        agent=agent,
        is_recorded=_agrees(request),
    )


def _agrees(request: HttpRequest) -> bool:
    said = request.COOKIES.get(CONSENT_COOKIE, "")
    if said:
        return said == "1"
    is_required = getattr(settings, "INKLING_CONSENT", "assumed") == "required"
    return not is_required and request.headers.get("Sec-GPC") != "1"


def device_of(agent: str) -> str:
    """Return desktop, tablet or mobile, as the browser client does."""
    lower = agent.lower()
    if "ipad" in lower or "tablet" in lower or ("android" in lower and "mobi" not in lower):
        return "tablet"
    return "mobile" if "mobi" in lower else "desktop"
