"""Sites, keys and holdouts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from experiments.audit import acting
from experiments.core.keys import PREFIX_LENGTH, KeyKind, hash_token, new_token
from experiments.core.refusal import Refused
from experiments.models import ApiKey, Experiment, Holdout, Site
from experiments.selectors.experiments import STARTED
from experiments.services.rulesets import publish_ruleset


@transaction.atomic
def create_site(*, key: str, name: str = "", by: User | None = None, **fields: Any) -> Site:
    """Create a site; `fields` are further fields of the model.

    Raises: ValidationError when a value is not allowed or the key is taken.
    """
    with acting(by):
        site = Site(key=key, name=name or key, **fields)
        site.full_clean()
        site.save()
        return site


@transaction.atomic
def ensure_site(*, key: str, by: User | None = None, **fields: Any) -> Site:
    """Return the site called `key`, created with `fields` when there is none; an existing one is left as it is."""
    return Site.objects.filter(key=key).first() or create_site(key=key, by=by, **fields)


@transaction.atomic
def save_site(*, site: Site, by: User | None = None) -> Site:
    """Store an edited site.

    Raises: Refused with code `site_key_frozen` when the key changes although events or experiments may carry it.
    """
    before = Site.objects.filter(pk=site.pk).values_list("key", flat=True).first()
    if before is not None and before != site.key:
        raise Refused(
            "site_key_frozen",
            f"The key of a site cannot change from '{before}' to '{site.key}': its events are stored under it.",
            "Change the name instead; people see the name.",
        )
    with acting(by):
        site.save()
        return site


@transaction.atomic
def create_api_key(
    *, site: Site, kind: KeyKind | str, name: str, streams: bool = False, by: User | None = None
) -> tuple[ApiKey, str]:
    """Create a key and return it with its full text, which for a server key exists nowhere else afterwards."""
    kind = KeyKind(kind)
    token = new_token(kind)
    with acting(by):
        key = ApiKey(
            site=site,
            kind=kind.value,
            name=name,
            streams=streams,
            prefix=token[:PREFIX_LENGTH],
            public_value=token if kind is KeyKind.CLIENT else "",
            secret_hash=hash_token(token),
        )
        key.full_clean()
        key.save()
    return key, token


@transaction.atomic
def revoke_api_key(*, key: ApiKey, now: datetime, by: User | None = None) -> ApiKey:
    """Make a key useless for good; revoking it again changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = now
        with acting(by):
            key.save(update_fields=["revoked_at"])
    return key


def note_key_use(*, uses: Mapping[int, datetime]) -> None:
    """Remember when keys (by primary key) were last used; an older time never replaces a newer one."""
    for pk, used_at in uses.items():
        older = Q(last_used_at__isnull=True) | Q(last_used_at__lt=used_at)
        ApiKey.objects.filter(older, pk=pk).update(last_used_at=used_at)


@transaction.atomic
def save_holdout(*, holdout: Holdout, now: datetime, by: User | None = None) -> Holdout:
    """Store an edited holdout.

    Raises: Refused with code `holdout_in_use` when its share changes while a started experiment names it.
    """
    before = Holdout.objects.filter(pk=holdout.pk).first()
    user = Experiment.objects.filter(holdout=holdout, status__in=STARTED).first() if before else None
    if before is not None and user is not None and before.share != holdout.share:
        raise Refused(
            "holdout_in_use",
            f"The share of '{holdout.name}' cannot change while '{user.key}' is {user.status}: "
            "visitors would move in or out of a comparison that goes on.",
            "Stop the experiments that name this holdout first, or make a new holdout.",
        )
    with acting(by):
        holdout.save()
        publish_ruleset(site=holdout.site, now=now)
        return holdout


def note_learned_priors(*, site_key: str, priors: dict[str, Any]) -> None:
    """Keep what finished experiments say of ideas, by kind of change; a later start freezes it into its plan."""
    Site.objects.filter(key=site_key).update(learned_priors=priors)
