"""Preview links: a signed token that shows one variant to whoever holds it, for checking it by eye."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing

SALT = "inkling.preview"


class PreviewExpired(Exception):
    """The token was ours and its time is over."""


def preview_lasts() -> timedelta:
    """Return how long a preview link works."""
    return timedelta(days=settings.INKLING_PREVIEW_DAYS)


@dataclass(frozen=True, slots=True)
class Preview:
    """Which variant a preview token shows."""

    site: str
    experiment: str
    variant: str


def make_preview_token(site_key: str, experiment_key: str, variant_key: str) -> str:
    """Return the token of a variant; it holds no secret and cannot be made for another variant without our key."""
    return signing.dumps([site_key, experiment_key, variant_key], salt=SALT, compress=False)


def verify_preview(token: str) -> Preview | None:
    """Return what a token shows, or None when we did not sign it.

    Raises: PreviewExpired when it was made longer ago than preview links last.
    """
    try:
        parts = signing.loads(token, salt=SALT, max_age=preview_lasts())
    except signing.SignatureExpired as error:
        raise PreviewExpired from error
    except signing.BadSignature:
        return None
    match parts:
        case [str(site), str(experiment), str(variant)]:
            return Preview(site, experiment, variant)
    return None
