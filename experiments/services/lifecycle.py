"""Start, pause, resume, stop, archive, clone: each one row of the lifecycle table, done in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from experiments.audit import acting
from experiments.core.lifecycle import Action, Status, Transition, TransitionRefused, transition_for
from experiments.core.readiness import StartRefused
from experiments.core.refusal import Refused
from experiments.models import Experiment, ExperimentMetric, FrozenPlan, Variant
from experiments.models.fields import new_seed
from experiments.selectors.experiments import due_to_end, due_to_start, experiment_for_update, start_obstacles
from experiments.selectors.plans import draft_plan
from experiments.services.rulesets import publish_ruleset

PLANNED_END = "Reached its planned end."

# What a clone takes over: the question and the set-up, never the salt, the times or the outcome.
_CLONED_FIELDS = (
    "site",
    "hypothesis",
    "description",
    "tags",
    "change_type",
    "target_step",
    "traffic",
    "audience",
    "hash_attribute",
    "layer",
    "layer_start",
    "layer_end",
    "holdout",
    "risk_preset",
    "monitoring",
    "look_every_days",
    "futility",
    "horizon_weeks",
    "planned_visitors",
    "covariates",
)


@transaction.atomic
def start_experiment(*, experiment: Experiment, now: datetime, by: User | None = None, salt: str = "") -> Experiment:
    """Start a draft: make and freeze its salt, freeze and hash its plan, publish the ruleset.

    A `salt` is given only to deal the same visitors the same variants again, as the demonstration does.

    Raises: TransitionRefused when it is no draft; StartRefused with every obstacle when the check list says no. Both
    leave everything as it was.
    """
    row = experiment_for_update(experiment)
    transition = transition_for(Action.START, Status(row.status))
    obstacles = start_obstacles(row, now)
    if obstacles:
        raise StartRefused(obstacles)
    row.salt = salt or new_seed()
    row.started_at = now
    row.start_refusal = ""
    with acting(by):
        plan = draft_plan(row)
        _move(row, transition, now=now)
        FrozenPlan.objects.create(experiment=row, document=plan.to_document(), plan_hash=plan.hash())
    return _refreshed(experiment)


@transaction.atomic
def pause_experiment(*, experiment: Experiment, now: datetime, by: User | None = None) -> Experiment:
    """Stop assigning new visitors for a while. Raises: TransitionRefused unless it is running."""
    return _simple(Action.PAUSE, experiment, now=now, by=by)


@transaction.atomic
def resume_experiment(*, experiment: Experiment, now: datetime, by: User | None = None) -> Experiment:
    """Go on after a pause, with the same salt: nobody changes variant. Raises: TransitionRefused unless it is paused."""
    return _simple(Action.RESUME, experiment, now=now, by=by)


@transaction.atomic
def stop_experiment(
    *, experiment: Experiment, reason: str, now: datetime, ship: str = "", by: User | None = None
) -> Experiment:
    """End it for good and say why; with `ship`, everybody in the audience gets that variant from now on, and nobody is counted.

    Raises: TransitionRefused unless it is running or paused and `reason` says something; Refused with code `unknown_variant`.
    """
    row = experiment_for_update(experiment)
    transition = transition_for(Action.STOP, Status(row.status), reason=reason)
    known = list(row.variants.values_list("key", flat=True))
    if ship and ship not in known:
        raise Refused(
            "unknown_variant", f"'{row.key}' has no variant '{ship}'.", f"Choose one of {', '.join(sorted(known))}."
        )
    if ship:
        row.decision = {"shipped": ship}
    with acting(by):
        _move(row, transition, now=now, reason=reason.strip())
    return _refreshed(experiment)


@transaction.atomic
def archive_experiment(*, experiment: Experiment, now: datetime, by: User | None = None) -> Experiment:
    """Put it away; its report stays readable. Raises: TransitionRefused unless it is a draft or stopped."""
    return _simple(Action.ARCHIVE, experiment, now=now, by=by)


@transaction.atomic
def clone_experiment(
    *, experiment: Experiment, now: datetime, key: str = "", name: str = "", by: User | None = None
) -> Experiment:
    """Make a draft with the same set-up under a new key; its salt is new too, so visitors are dealt afresh.

    Without a key the next free one of the form `<key>-2` is taken.

    Raises: ValidationError when the key is taken or not allowed.
    """
    clone = Experiment(
        key=key or _free_key(experiment),
        name=name or f"{experiment.name} (copy)"[:200],
        owner=by or experiment.owner,
        **{field: getattr(experiment, field) for field in _CLONED_FIELDS},
    )
    clone.audit_note = {"action": "clone", "cloned_from": experiment.key}
    clone.full_clean()
    with acting(by):
        clone.save()
        clone.audit_note = {}
        for variant in experiment.variants.all():
            Variant.objects.create(
                experiment=clone,
                **{
                    field: getattr(variant, field)
                    for field in ("key", "name", "position", "is_control", "weight", "payload", "forced_visitors")
                },
            )
        for row in experiment.experiment_metrics.order_by("id"):
            ExperimentMetric.objects.create(
                experiment=clone,
                metric=row.metric,
                role=row.role,
                margin=row.margin,
                reason=row.reason,
                is_adjusted=row.is_adjusted,
            )
        publish_ruleset(site=clone.site, now=now)
    return clone


def open_due_experiments(*, now: datetime) -> Sequence[Experiment]:
    """Start the drafts whose planned start has come and return them; safe to call as often as one likes.

    One that its check list keeps back stays a draft, says why in `start_refusal`, and is tried again.
    """
    opened = []
    for experiment in due_to_start(now):
        try:
            opened.append(start_experiment(experiment=experiment, now=now))
        except StartRefused as refused:
            missing = " ".join(obstacle.message for obstacle in refused.obstacles)
            Experiment.objects.filter(pk=experiment.pk).exclude(start_refusal=missing).update(start_refusal=missing)
        except TransitionRefused:  # somebody else started or archived it in between
            continue
    return opened


def close_due_experiments(*, now: datetime) -> Sequence[Experiment]:
    """Stop the started experiments whose planned end has come and return them; safe to call as often as one likes."""
    closed = []
    for experiment in due_to_end(now):
        try:
            closed.append(stop_experiment(experiment=experiment, reason=PLANNED_END, now=now))
        except TransitionRefused:  # somebody else stopped it in between
            continue
    return closed


def _simple(action: Action, experiment: Experiment, *, now: datetime, by: User | None, reason: str = "") -> Experiment:
    row = experiment_for_update(experiment)
    transition = transition_for(action, Status(row.status), reason=reason)
    with acting(by):
        _move(row, transition, now=now, reason=reason.strip())
    return _refreshed(experiment)


def _move(row: Experiment, transition: Transition, *, now: datetime, reason: str = "") -> None:
    row.status = transition.target.value
    row.audit_note = {"action": transition.action.value} | ({"reason": reason} if reason else {})
    if transition.target is Status.STOPPED:
        row.ended_at = now
        row.end_reason = reason
    row.save()
    publish_ruleset(site=row.site, now=now)


def _refreshed(experiment: Experiment) -> Experiment:
    experiment.refresh_from_db()
    return experiment


def _free_key(experiment: Experiment) -> str:
    taken = set(Experiment.objects.filter(site=experiment.site).values_list("key", flat=True))
    stem = experiment.key[:90]
    return next(key for n in range(2, len(taken) + 3) if (key := f"{stem}-{n}") not in taken)
