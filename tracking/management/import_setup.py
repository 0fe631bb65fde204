"""What an import needs in the configuration: the site, the metrics and the experiment, made where they are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction

from experiments.core.metrics import MetricDefinition, Role
from experiments.core.refusal import Refused
from experiments.selectors.experiments import experiment_by_key, site_by_key
from experiments.selectors.plans import definition_of, ordered_variants
from experiments.services import ensure_imported_experiment, ensure_metric, ensure_site
from tracking.core.timestamps import to_us
from tracking.importing.failure import ImportFault
from tracking.importing.naming import key_from, keys_from
from tracking.importing.wishes import MetricWish, check_names, control_among

if TYPE_CHECKING:
    from experiments.models import Experiment, Metric, Site

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Data of the past is brought in to be kept: a site that an import makes drops nothing for a hundred years.
KEPT_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class ExperimentWish:
    """The experiment as the file and the options describe it; `variants` are the names that the file holds.

    Units: times in microseconds since 1970 UTC, None when the file has no times.
    """

    key: str
    variants: Sequence[str]
    control: str | None
    first_time: int | None
    last_time: int | None
    now: datetime
    weights: Mapping[str, float] | None = None
    later_weights: Sequence[tuple[datetime, Mapping[str, float]]] = ()
    roles: Mapping[str, tuple[Role, float | None]] = field(default_factory=dict)


@dataclass(slots=True)
class Setup:
    """What the import works with. `said` are sentences about what was made, found or chosen.

    Units: `default_time` in microseconds since 1970 UTC.
    """

    retention_days: int = KEPT_DAYS
    metrics: tuple[MetricDefinition, ...] = ()
    variant_keys: Mapping[str, str] = field(default_factory=dict)
    default_time: int = 0
    said: list[str] = field(default_factory=list)


def prepare(
    *, site_key: str, metrics: Sequence[MetricWish], experiment: ExperimentWish | None, is_dry_run: bool
) -> Setup:
    """Make what is missing and return what the rows need; a dry run undoes it all before it returns.

    Raises: ImportFault, Refused or ValidationError when what exists does not fit the file.
    """
    setup = Setup()
    with transaction.atomic():
        try:
            site = site_by_key(site_key)
        except Refused:
            site = ensure_site(key=site_key, retention_days=KEPT_DAYS)
            setup.said.append(f"Site '{site_key}' made; it keeps events of any age.")
        setup.retention_days = site.retention_days
        known = {m.key: m for m in site.metrics.filter(key__in=[wish.key for wish in metrics])}
        rows = [known.get(wish.key) or _make_metric(site, wish) for wish in metrics]
        setup.metrics = tuple(definition_of(row) for row in rows)
        _check_kinds(metrics, setup.metrics)
        made = [wish.key for wish in metrics if wish.key not in known]
        if made:
            setup.said.append(f"{len(made)} metric{'s' * (len(made) > 1)} made: {_listed(made)}.")
        if known:
            setup.said.append(f"Used as they are: metric{'s' * (len(known) > 1)} {_listed(sorted(known))}.")
        if experiment is not None:
            _prepare_experiment(setup, site, rows, experiment)
        if is_dry_run:
            transaction.set_rollback(True)
    return setup


def _make_metric(site: Site, wish: MetricWish) -> Metric:
    fields: dict[str, Any] = {"name": wish.name[:200]}
    if wish.below is not None:
        fields |= {"denominator_event": key_from(wish.below), "options": {"numerator": "sum"}}
    if wish.funnel_order is not None:
        fields["funnel_order"] = wish.funnel_order
    return ensure_metric(
        site=site, key=wish.key, event_name=wish.event, kind=wish.kind, conversion=wish.conversion, **fields
    )


def _check_kinds(wishes: Sequence[MetricWish], found: Sequence[MetricDefinition]) -> None:
    for wish, metric in zip(wishes, found, strict=True):
        if wish.kind != metric.kind:
            raise ImportFault(
                f"The site has a metric '{metric.key}' of kind '{metric.kind}', and this import wants '{wish.kind}'. "
                "Rename the column or the event, or import into another site."
            )


def _prepare_experiment(setup: Setup, site: Site, metrics: Sequence[Metric], wish: ExperimentWish) -> None:
    existing = _existing(site.key, wish.key)
    if not wish.variants:
        raise ImportFault("The column that --variant names is empty in every row, so nobody met a variant.")
    own_names = {name: v.key for v in ordered_variants(existing) for name in (v.key, v.name)} if existing else {}
    keys = {name: own_names.get(name) or key for name, key in keys_from(wish.variants).items()}
    if existing is not None and wish.control is None:
        control_key = next((v.key for v in ordered_variants(existing) if v.is_control), "")
    else:
        control_key = keys[control_among(list(keys), wish.control)] if keys else ""
    _check_names_of(wish, keys, {m.key for m in metrics})
    # Without times everything happened the day before the import; a repeated import must find the same moment again.
    day = wish.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    started = _moment(wish.first_time) or (existing.started_at if existing is not None else None) or day
    ended = _moment(wish.last_time) or (existing.ended_at if existing is not None else None) or started
    experiment = ensure_imported_experiment(
        site=site,
        key=wish.key,
        control=control_key,
        variants=[control_key, *sorted(key for key in keys.values() if key != control_key)],
        metrics=metrics,
        started_at=started,
        ended_at=max(ended, started + timedelta(seconds=1)),
        weights=_by_key(wish.weights, keys),
        later_weights=[(moment, _renamed(shares, keys)) for moment, shares in wish.later_weights],
        roles={key_from(name): role for name, role in wish.roles.items()},
        variant_names={key: name for name, key in keys.items()},
    )
    setup.variant_keys = keys
    setup.default_time = to_us(started)
    named = ", ".join(f"{key} ({name})" if name != key else key for name, key in sorted(keys.items()))
    what = "made as imported" if existing is None else "used" if existing.is_imported else "used; it is one of our own"
    setup.said.append(f"Experiment '{experiment.key}' {what}: control {control_key}, variants {named}.")


def _existing(site_key: str, key: str) -> Experiment | None:
    try:
        return experiment_by_key(site_key, key)
    except Refused as refused:
        if refused.code != "unknown_experiment":
            raise
        return None


def _check_names_of(wish: ExperimentWish, variants: Mapping[str, str], metric_keys: set[str]) -> None:
    check_names("--role", [key_from(name) for name in wish.roles], metric_keys)
    for option, weights in (
        ("--weights", wish.weights),
        *(("--weights-from", shares) for _, shares in wish.later_weights),
    ):
        if weights is not None:
            check_names(option, weights, {*variants, *variants.values()})


def _by_key(weights: Mapping[str, float] | None, keys: Mapping[str, str]) -> dict[str, float] | None:
    return None if weights is None else _renamed(weights, keys)


def _renamed(weights: Mapping[str, float], keys: Mapping[str, str]) -> dict[str, float]:
    return {keys.get(name, name): weight for name, weight in weights.items()}


def _moment(time: int | None) -> datetime | None:
    return None if time is None else EPOCH + timedelta(microseconds=time)


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys[:12]) + (f" and {len(keys) - 12} more" if len(keys) > 12 else "")
