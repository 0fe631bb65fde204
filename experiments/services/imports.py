"""Experiments that ran elsewhere: brought in finished, so that they can be analysed like our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from experiments.audit import acting
from experiments.core.lifecycle import Status
from experiments.core.metrics import Conversion, Role
from experiments.core.plan import AllocationPeriod, AnalysisPlan, PlannedVariant
from experiments.core.refusal import Refused
from experiments.models import GRID, Experiment, ExperimentMetric, FrozenPlan, Metric, Site, Variant
from experiments.models.fields import new_seed
from experiments.selectors.plans import draft_plan

IMPORTED_REASON = "Imported: it ran elsewhere and was over when its data came here."
DEFAULT_MARGIN = 0.1


def default_roles(metrics: Sequence[Metric]) -> dict[str, tuple[Role, float | None]]:
    """Return the role and margin that imported metrics get by key when nobody says more.

    Milestones are proxies and macros their guardrails (margin 10 %). Without a milestone the first macro is the primary.
    Secondary actions are exploratory, unless there is nothing else to judge by: then the first one is the primary.
    """
    roles: dict[str, tuple[Role, float | None]] = {}
    has_milestone = any(m.conversion == Conversion.MILESTONE for m in metrics)
    for metric in metrics:
        if metric.conversion == Conversion.MILESTONE:
            roles[metric.key] = (Role.PROXY, None)
        elif metric.conversion == Conversion.MACRO:
            leads = not has_milestone and not any(role is Role.PRIMARY for role, _ in roles.values())
            roles[metric.key] = (Role.PRIMARY, None) if leads else (Role.GUARDRAIL, DEFAULT_MARGIN)
        else:
            roles[metric.key] = (Role.EXPLORATORY, None)
    if metrics and all(role is Role.EXPLORATORY for role, _ in roles.values()):
        roles[metrics[0].key] = (Role.PRIMARY, None)
    return roles


@transaction.atomic
def ensure_imported_experiment(
    *,
    site: Site,
    key: str,
    control: str,
    variants: Sequence[str],
    metrics: Sequence[Metric],
    started_at: datetime,
    ended_at: datetime,
    variant_names: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    later_weights: Sequence[tuple[datetime, Mapping[str, float]]] = (),
    roles: Mapping[str, tuple[Role, float | None]] | None = None,
    name: str = "",
    by: User | None = None,
) -> Experiment:
    """Return the experiment called `key`, made as imported and stopped when there is none.

    `variants` are all variants in order, `control` one of them, `variant_names` what people call them (their keys when
    not given); `weights` the intended shares in any unit (equal when not given) and `later_weights` those that replaced
    them, each from its moment on: such periods are never added up; `roles` overrides `default_roles` by
    metric key. Importing more later adds the new metrics, widens the dates and writes the plan anew: nothing was promised
    before the data was there, and the experiment stays marked as imported.
    An experiment of our own with this key is returned as it is: its plan is frozen.

    Raises: Refused with code `control_unknown`, `too_few_variants`, `variants_differ` or `control_differs`.
    """
    names = tuple(dict.fromkeys(variants))
    if control not in names:
        raise Refused(
            "control_unknown",
            f"The control '{control}' is none of the variants in the data ({', '.join(names) or 'none'}).",
            "Name the control exactly as it is spelt in the data.",
        )
    if len(names) < 2:
        raise Refused(
            "too_few_variants", f"The data holds one variant only, '{control}'.", "A comparison needs at least two."
        )
    existing = Experiment.objects.select_for_update().filter(site=site, key=key).first()
    if existing is not None:
        _check_same(existing, names, control)
        if not existing.is_imported:
            return existing
    with acting(by):
        if existing is None:
            experiment = _create(site, key, name, names, control, weights, started_at, ended_at, variant_names or {})
        else:
            experiment = existing
            _widen(experiment, started_at, ended_at)
        _add_metrics(experiment, metrics, roles or {})
        _write_plan(experiment, weights, later_weights)
    return experiment


def _check_same(experiment: Experiment, names: Sequence[str], control: str) -> None:
    known = {v.key: v.is_control for v in experiment.variants.all()}
    unknown = [n for n in names if n not in known]
    if unknown and experiment.is_imported:
        raise Refused(
            "variants_differ",
            f"Experiment '{experiment.key}' was imported with the variants {', '.join(known)}; "
            f"this data also holds {', '.join(unknown)}.",
            "Import it under another key, or all of it in one file.",
        )
    if not known.get(control, False):
        raise Refused(
            "control_differs",
            f"'{control}' is not the control of the existing experiment '{experiment.key}'.",
            f"Its control is {', '.join(k for k, is_control in known.items() if is_control) or 'not set'}.",
        )


def _create(
    site: Site,
    key: str,
    name: str,
    names: Sequence[str],
    control: str,
    weights: Mapping[str, float] | None,
    started_at: datetime,
    ended_at: datetime,
    variant_names: Mapping[str, str],
) -> Experiment:
    experiment = Experiment(
        site=site,
        key=key,
        name=name or key,
        status=Status.STOPPED.value,
        salt=new_seed(),
        started_at=started_at,
        ended_at=ended_at,
        end_reason=IMPORTED_REASON,
        is_imported=True,
    )
    experiment.audit_note = {"action": "import"}
    experiment.full_clean()
    experiment.save()
    on_grid = _on_grid(_shares(names, weights))
    for position, variant in enumerate(names):
        row = Variant(
            experiment=experiment,
            key=variant,
            name=variant_names.get(variant, variant)[:200],
            position=position,
            is_control=variant == control,
            weight=on_grid[variant],
        )
        row.full_clean(exclude=["experiment"])
        row.save()
    return experiment


def _widen(experiment: Experiment, started_at: datetime, ended_at: datetime) -> None:
    experiment.started_at = min(started_at, experiment.started_at or started_at)
    experiment.ended_at = max(ended_at, experiment.ended_at or ended_at)
    experiment.audit_note = {"action": "import"}
    experiment.save()


def _add_metrics(
    experiment: Experiment, metrics: Sequence[Metric], chosen: Mapping[str, tuple[Role, float | None]]
) -> None:
    present = {row.metric_id: row.metric for row in experiment.experiment_metrics.select_related("metric")}
    defaults = default_roles([*present.values(), *(m for m in metrics if m.pk not in present)])
    for metric in metrics:
        if metric.pk in present:
            continue
        role, margin = chosen.get(metric.key, defaults[metric.key])
        ExperimentMetric.objects.create(experiment=experiment, metric=metric, role=role.value, margin=margin)


def _write_plan(
    experiment: Experiment,
    weights: Mapping[str, float] | None,
    later_weights: Sequence[tuple[datetime, Mapping[str, float]]],
) -> None:
    """Write the plan with the exact intended shares, which the rows hold only to 1/10,000."""
    draft = draft_plan(experiment)
    frozen = FrozenPlan.objects.filter(experiment=experiment).first()
    if frozen is not None and weights is None and not later_weights:
        kept = AnalysisPlan.from_document(frozen.document)
        shares, periods = {v.key: v.weight for v in kept.variants}, kept.periods
    else:
        periods = _periods(draft, weights, later_weights)
        names = [v.key for v in draft.variants]
        shares = dict(zip(names, periods[-1].weights, strict=True)) if periods else _shares(names, weights)
    variants = tuple(PlannedVariant(v.key, shares[v.key], v.is_control) for v in draft.variants)
    plan = replace(draft, variants=variants, periods=periods)
    if frozen is None:
        FrozenPlan.objects.create(experiment=experiment, document=plan.to_document(), plan_hash=plan.hash())
    elif frozen.plan_hash != plan.hash():
        frozen.document, frozen.plan_hash = plan.to_document(), plan.hash()
        frozen.save()


def _periods(
    draft: AnalysisPlan,
    weights: Mapping[str, float] | None,
    later_weights: Sequence[tuple[datetime, Mapping[str, float]]],
) -> tuple[AllocationPeriod, ...]:
    """Return the periods of an experiment whose weights changed; empty when they never did.

    Raises: Refused with code `periods_out_of_order` for a change before the start or two at one time.
    """
    if not later_weights:
        return ()
    assert draft.started_at is not None
    moments = [draft.started_at, *(moment for moment, _ in later_weights)]
    if moments != sorted(set(moments)):
        told = ", ".join(moment.isoformat() for moment in moments)
        raise Refused(
            "periods_out_of_order",
            f"The weights change at times that do not follow each other: {told}.",
            "Give each change its own time after the first visitor, earliest first.",
        )
    names = [v.key for v in draft.variants]
    given = [weights, *(shares for _, shares in later_weights)]
    found = (_shares(names, shares) for shares in given)
    return tuple(
        AllocationPeriod(moment, tuple(shares[name] for name in names))
        for moment, shares in zip(moments, found, strict=True)
    )


def _shares(names: Sequence[str], weights: Mapping[str, float] | None) -> dict[str, float]:
    """Return the intended shares, adding up to 1; equal ones when nobody says otherwise."""
    chosen = dict.fromkeys(names, 1.0) if weights is None else {name: float(weights.get(name, 0)) for name in names}
    if any(share <= 0 for share in chosen.values()):
        raise Refused(
            "weight_missing", f"Not every variant has a weight above 0: {chosen}.", "Give each variant its share."
        )
    total = sum(chosen.values())
    return {name: share / total for name, share in chosen.items()}


def _on_grid(shares: Mapping[str, float]) -> dict[str, int]:
    """Return shares in 1/10,000 that add up to 10,000, by largest remainder, each at least 1."""
    floors = {name: max(1, int(share * GRID)) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: shares[name] * GRID - floors[name], reverse=True)
    for name in by_remainder[: max(0, GRID - sum(floors.values()))]:
        floors[name] += 1
    return floors
