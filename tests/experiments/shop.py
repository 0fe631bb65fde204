"""A small shop to test configuration with: a site, a milestone, a macro, and drafts of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from experiments import services
from experiments.models import Experiment, ExperimentMetric, Metric, Site, Variant

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def make_site(key: str = "shop") -> Site:
    return services.create_site(key=key, name=key.title())


def make_metrics(site: Site) -> tuple[Metric, Metric]:
    """Return a milestone (add_to_cart) and the macro (purchase)."""
    return (
        services.ensure_metric(site=site, key="add_to_cart", conversion="milestone", funnel_order=1),
        services.ensure_metric(site=site, key="purchase", conversion="macro"),
    )


def make_draft(key: str = "cart", site: Site | None = None, **fields: Any) -> Experiment:
    """Return a draft that may start: two equal variants, the milestone as proxy, the macro as guardrail with 10 %."""
    site = site or Site.objects.filter(key="shop").first() or make_site()
    milestone, macro = make_metrics(site)
    experiment = services.save_experiment(
        experiment=Experiment(site=site, key=key, name=key.title(), **fields), now=NOW
    )
    services.save_draft_rows(
        experiment=experiment,
        now=NOW,
        save=[
            Variant(key="control", is_control=True, weight=5_000, position=0),
            Variant(key="treatment", weight=5_000, position=1),
            ExperimentMetric(metric=milestone, role="proxy"),
            ExperimentMetric(metric=macro, role="guardrail", margin=0.1),
        ],
    )
    return experiment


def make_with_status(status: str, key: str = "cart") -> Experiment:
    """Return an experiment that came to `status` by the services."""
    experiment = make_draft(key)
    if status != "draft" and status != "archived":
        services.start_experiment(experiment=experiment, now=NOW)
    if status == "paused":
        services.pause_experiment(experiment=experiment, now=NOW)
    if status == "stopped":
        services.stop_experiment(experiment=experiment, reason="Enough.", now=NOW)
    if status == "archived":
        services.archive_experiment(experiment=experiment, now=NOW)
    return experiment
