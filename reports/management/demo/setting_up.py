"""The demo shop's configuration, made by the services that the admin uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from experiments.core.keys import KeyKind
from experiments.models import Experiment, ExperimentMetric, Metric, Site, Variant
from experiments.services import create_api_key, create_site, ensure_metric, save_draft_rows, save_experiment
from reports.management.demo.stories import CONTROL, METRICS, SITE, STORIES, Story

HALF = 5_000


@dataclass(frozen=True, slots=True)
class DemoSite:
    """What was made; the keys are the full texts, shown only this once."""

    site: Site
    experiments: dict[str, Experiment]
    client_key: str
    server_key: str


def set_up(now: datetime) -> DemoSite:
    """Make the site, its keys and metrics, and a draft for each story."""
    site = create_site(key=SITE, name="Demo shop", time_zone="Europe/Lisbon", currency="EUR")
    _, client_key = create_api_key(site=site, kind=KeyKind.CLIENT, name="Shop front end")
    _, server_key = create_api_key(site=site, kind=KeyKind.SERVER, name="Shop back end")
    metrics: dict[str, Metric] = {}
    for metric in METRICS:
        metrics[metric.key] = ensure_metric(
            site=site,
            key=metric.key,
            name=metric.name,
            event_name=metric.event,
            kind=metric.kind,
            conversion=metric.conversion,
            funnel_order=metric.funnel_order,
            parent=metrics[metric.parent] if metric.parent else None,
            window_hours=metric.window_hours,
            expected_pass_through=metric.expected_pass_through,
        )
    experiments = {story.key: _draft(site, metrics, story, now) for story in STORIES}
    return DemoSite(site, experiments, client_key, server_key)


def _draft(site: Site, metrics: dict[str, Metric], story: Story, now: datetime) -> Experiment:
    experiment = save_experiment(
        experiment=Experiment(
            site=site,
            key=story.key,
            name=story.name,
            hypothesis=story.hypothesis,
            change_type=story.change_type,
            target_step=story.proxy,
            tags=["demo"],
            horizon_weeks=story.horizon_weeks,
        ),
        now=now,
    )
    treatment = story.treatment.key
    save_draft_rows(
        experiment=experiment,
        now=now,
        save=[
            Variant(key=CONTROL, name="As it is", position=0, is_control=True, weight=HALF),
            Variant(key=treatment, name=story.name, position=1, weight=HALF, payload={"enabled": True}),
            *(
                ExperimentMetric(metric=metrics[key], role=role.value, margin=margin)
                for key, role, margin in story.roles
            ),
        ],
    )
    return experiment
