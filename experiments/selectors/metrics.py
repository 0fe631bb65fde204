"""Reading metrics: what a change would mean, and who is measured by them."""

from __future__ import annotations

from experiments.core.refusal import Refused
from experiments.models import Experiment
from experiments.models import Metric as Metric
from experiments.selectors.experiments import STARTED, site_by_key

# A change of any of these changes the number; everything else is a label.
DEFINING_FIELDS = (
    "site",
    "key",
    "conversion",
    "kind",
    "event_name",
    "property_filters",
    "value_property",
    "denominator_event",
    "window_hours",
    "cap",
    "direction",
    "funnel_order",
    "parent",
    "expected_pass_through",
    "options",
)


def auditable_metrics(site: str, key: str | None = None) -> list[Metric]:
    """Return the site's metrics that are not archived, or the one called `key`.

    Raises: Refused with code `unknown_site` or `unknown_metric`.
    """
    rows = Metric.objects.filter(site=site_by_key(site), is_archived=False).select_related("site", "parent")
    if key is None:
        return list(rows.order_by("key"))
    found = rows.filter(key=key).first()
    if found is None:
        known = ", ".join(rows.order_by("key").values_list("key", flat=True)[:10]) or "none"
        raise Refused("unknown_metric", f"Site '{site}' has no metric '{key}'.", f"There are: {known}.")
    return [found]


def changed_fields(before: Metric, after: Metric) -> set[str]:
    """Return the names of the fields in which two states of a metric differ."""
    names = [field.name for field in Metric._meta.concrete_fields if field.editable]
    return {n for n in names if getattr(before, _attname(n)) != getattr(after, _attname(n))}


def lock_reason(metric: Metric) -> str:
    """Return the sentence that says why the metric's definition may not change now; empty when it may."""
    user = (
        Experiment.objects.filter(experiment_metrics__metric=metric, status__in=STARTED).order_by("started_at").first()
    )
    if user is None:
        return ""
    return (
        f"Experiment '{user.key}' is {user.status} and is measured by '{metric.key}'; a new definition would mix two "
        "different numbers in one comparison. Name and description may change."
    )


def _attname(name: str) -> str:
    return Metric._meta.get_field(name).attname  # type: ignore[union-attr]
