"""Feature flags: stored and published in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from experiments.audit import acting
from experiments.core.flags import FlagKind, value_of_kind
from experiments.core.refusal import Refused
from experiments.models import Experiment, Flag, FlagRule
from experiments.services.rulesets import publish_ruleset


@transaction.atomic
def save_flag(*, flag: Flag, now: datetime, rules: Sequence[FlagRule] | None = None, by: User | None = None) -> Flag:
    """Store a flag and publish it; `rules`, in their order, replace those it has, None leaves them.

    Raises: Refused with code `flag_value` for a value of another kind, `key_taken` when an experiment has the key, `flag_frozen`
    when key or site of a stored flag change.
    """
    before = Flag.objects.filter(pk=flag.pk).first() if flag.pk else None
    if before is not None and (before.key, before.site_id) != (flag.key, flag.site_id):
        raise Refused("flag_frozen", f"Key and site of flag '{before.key}' cannot change.", "Make a new flag.")
    if Experiment.objects.filter(site_id=flag.site_id, key=flag.key).exists():
        raise Refused("key_taken", f"An experiment of this site is called '{flag.key}'.", "Use another key.")
    kept = list(flag.rules.all()) if rules is None and flag.pk else list(rules or ())
    rows: tuple[Flag | FlagRule, ...] = (flag, *kept)
    for row in rows:
        try:
            row.value = value_of_kind(FlagKind(flag.kind), row.value)
        except ValueError as error:
            raise Refused("flag_value", str(error), "Change the value or the kind.") from error
    with acting(by):
        flag.save()
        if rules is not None:
            for gone in flag.rules.exclude(pk__in=[rule.pk for rule in rules if rule.pk]):
                gone.delete()
            for position, rule in enumerate(rules):
                rule.flag, rule.position = flag, position
                rule.save()
        publish_ruleset(site=flag.site, now=now)
    return flag


@transaction.atomic
def delete_flag(*, flag: Flag, now: datetime, by: User | None = None) -> None:
    """Delete a flag; clients get their own default from then on."""
    site = flag.site
    with acting(by):
        flag.delete()
    publish_ruleset(site=site, now=now)
