"""Which micro conversions lead to the macro: what a site's own history can say before any experiment, and what it cannot."""
