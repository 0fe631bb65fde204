"""What an experiment's page says around its form: the check list, the state, the preview links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from experiments.core.lifecycle import Status, frozen_reason
from experiments.core.readiness import Obstacle
from experiments.models import Experiment
from experiments.selectors.experiments import latest_ruleset_version, start_obstacles
from experiments.selectors.overview import days_running
from experiments.selectors.plans import frozen_hash_of, ordered_variants
from experiments.selectors.previews import make_preview_token, preview_lasts

PREVIEW_PARAMETER = "inkling_preview"


@dataclass(frozen=True, slots=True)
class PreviewLink:
    """How to see one variant; `address` is empty when the site names no origin."""

    variant: str
    name: str
    is_control: bool
    token: str
    parameter: str
    address: str


@dataclass(frozen=True, slots=True)
class ExperimentPage:
    """The state of an experiment in words. `obstacles` matter for a draft only."""

    is_draft: bool
    is_started: bool
    status: str
    obstacles: Sequence[Obstacle]
    frozen_reason: str
    day: int | None
    horizon_days: int | None
    plan_hash: str | None
    ruleset_version: int | None
    report: str
    planner: str
    forecast: str
    is_hopeless: bool
    end_reason: str
    started_at: datetime | None
    ended_at: datetime | None
    previews: Sequence[PreviewLink]
    preview_days: int


def report_address(experiment: Experiment) -> str:
    return f"/reports/{quote(experiment.key)}/"


def planner_address(experiment: Experiment) -> str:
    query = urlencode({"experiment": experiment.key, "site": experiment.site.key})
    return f"/reports/planner/?{query}"


def page_of(experiment: Experiment, now: datetime) -> ExperimentPage:
    status = Status(experiment.status)
    return ExperimentPage(
        is_draft=status is Status.DRAFT,
        is_started=experiment.is_started,
        status=status.value,
        obstacles=start_obstacles(experiment, now) if status is Status.DRAFT else (),
        frozen_reason=frozen_reason(status) if experiment.is_started else "",
        day=days_running(experiment, now),
        horizon_days=experiment.horizon_days,
        plan_hash=frozen_hash_of(experiment),
        ruleset_version=latest_ruleset_version(experiment.site),
        report=report_address(experiment) if experiment.is_started else "",
        planner="" if experiment.is_started or experiment.is_imported else planner_address(experiment),
        forecast=_forecast(experiment),
        is_hopeless=bool(experiment.forecast.get("is_hopeless")),
        end_reason=experiment.end_reason,
        started_at=experiment.started_at,
        ended_at=experiment.ended_at,
        previews=_previews(experiment) if _can_preview(experiment) else (),
        preview_days=preview_lasts().days,
    )


def _forecast(experiment: Experiment) -> str:
    """Say what the simulation of this experiment found; empty while there is none."""
    found = experiment.forecast
    if "problem" in found:
        return f"Not simulated: {found['message']}"
    if "ship" not in found:
        return ""
    text = (
        f"Simulated on this site's own rates: a gain of {found['gain'] * 100:g} % at the goal is shipped in {found['ship'] * 100:.0f} % of "
        f"cases, after {found['weeks']:.1f} weeks on average."
    )
    if found["is_hopeless"]:
        text += " Do not run it as an A/B test: test something bolder, higher in the funnel, or on more pages at once."
    return text


def _can_preview(experiment: Experiment) -> bool:
    return not experiment.is_imported and experiment.status != Status.ARCHIVED


def _previews(experiment: Experiment) -> list[PreviewLink]:
    origin = next(iter(experiment.site.allowed_origins), "")
    links = []
    for variant in ordered_variants(experiment):
        token = make_preview_token(experiment.site.key, experiment.key, variant.key)
        parameter = urlencode({PREVIEW_PARAMETER: token})
        address = f"{origin}/?{parameter}" if origin else ""
        links.append(PreviewLink(variant.key, variant.name, variant.is_control, token, parameter, address))
    return links
