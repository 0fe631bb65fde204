"""Shipping with a safety net: most visitors get the winner, a few keep the control, and the goal alone is watched for some weeks."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from experiments.audit import acting
from experiments.core.lifecycle import Status
from experiments.core.metrics import Conversion, Role
from experiments.core.refusal import Refused
from experiments.models import GRID, Experiment, ExperimentMetric, Variant
from experiments.selectors.experiments import experiment_for_update
from experiments.selectors.plans import metric_rows, ordered_variants
from experiments.services.lifecycle import start_experiment, stop_experiment

HELD_BACK = GRID // 10
MOST_WEEKS = 8


@transaction.atomic
def ship_with_holdback(
    *, experiment: Experiment, variant: str, now: datetime, by: User | None = None, weeks: int = MOST_WEEKS
) -> Experiment:
    """Stop an experiment for its winner and start the follow-up: nine visitors in ten get the winner, one keeps the control.

    The follow-up deals by the same salt, so that who is held back kept the control before as well. It watches the macro
    conversion alone and stops by itself after `weeks`.

    Raises: Refused with code `not_running`, `unknown_variant`, `no_macro` or `holdback_exists`; nothing is done then.
    """
    row = experiment_for_update(experiment)
    if row.status not in {Status.RUNNING.value, Status.PAUSED.value}:
        raise Refused("not_running", f"'{row.key}' is {row.status}.", "Only a running experiment can be shipped.")
    variants = ordered_variants(row)
    control = next(v for v in variants if v.is_control)
    winner = next((v for v in variants if v.key == variant and not v.is_control), None)
    if winner is None:
        known = ", ".join(v.key for v in variants if not v.is_control)
        raise Refused("unknown_variant", f"'{row.key}' has no treatment '{variant}'.", f"Choose one of {known}.")
    macro = next((m.metric for m in metric_rows(row) if m.metric.conversion == Conversion.MACRO.value), None)
    if macro is None:
        raise Refused("no_macro", f"'{row.key}' measures no macro conversion.", "There is nothing to watch afterwards.")
    key = f"{row.key}-holdback"
    if Experiment.objects.filter(site=row.site, key=key).exists():
        raise Refused("holdback_exists", f"There is an experiment '{key}' already.", "Look at its report.")
    with acting(by):
        follow_up = Experiment.objects.create(
            site=row.site,
            key=key,
            name=f"{row.name} (holdback)"[:200],
            owner=by or row.owner,
            hypothesis=f"“{winner.name or winner.key}” was shipped early; its gain at the goal holds.",
            change_type=row.change_type,
            traffic=row.traffic,
            audience=row.audience,
            hash_attribute=row.hash_attribute,
            layer=row.layer,
            layer_start=row.layer_start,
            layer_end=row.layer_end,
            holdout=row.holdout,
            horizon_weeks=weeks,
            ends_at=now + timedelta(weeks=weeks),
            holdback_of=row,
        )
        for position, (one, weight) in enumerate(((control, HELD_BACK), (winner, GRID - HELD_BACK))):
            Variant.objects.create(
                experiment=follow_up,
                key=one.key,
                name=one.name,
                position=position,
                is_control=one.is_control,
                weight=weight,
                payload=one.payload,
            )
        ExperimentMetric.objects.create(experiment=follow_up, metric=macro, role=Role.PRIMARY.value)
    stop_experiment(
        experiment=row,
        reason=f"Shipped “{winner.name or winner.key}” with a holdback of 10 %, watched in “{key}”.",
        now=now,
        by=by,
    )
    return start_experiment(experiment=Experiment.objects.get(pk=follow_up.pk), now=now, by=by, salt=row.salt)
