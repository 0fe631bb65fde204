"""What runs now and what to do next: the start page's two questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from experiments.core.lifecycle import Status
from experiments.core.metrics import Conversion
from experiments.models import ApiKey, Experiment, Metric, Site
from experiments.selectors.experiments import STARTED, start_obstacles

MANY_DRAFTS = 5
ONE_DAY = timedelta(days=1)


class Step(StrEnum):
    """What a next step is about, so that a door can find the page for it."""

    ADD_SITE = "add_site"
    ADD_KEY = "add_key"
    ADD_METRIC = "add_metric"
    ADD_EXPERIMENT = "add_experiment"
    FINISH_DRAFT = "finish_draft"
    START = "start"
    READ_REPORT = "read_report"
    RESUME_OR_STOP = "resume_or_stop"


@dataclass(frozen=True, slots=True)
class NextStep:
    """One thing a person could do now. `experiment` is set where it concerns one."""

    step: Step
    title: str
    detail: str
    experiment: Experiment | None = None


@dataclass(frozen=True, slots=True)
class RunningNow:
    """A started experiment with its progress. Units: `day` counts from 1; `percent` of the horizon, at most 100.

    Without a planned end there is neither horizon nor percent.
    """

    experiment: Experiment
    day: int
    horizon_days: int | None
    percent: int | None


def days_running(experiment: Experiment, now: datetime) -> int | None:
    """Return the number of days begun since the start, up to the end; None before the start."""
    if experiment.started_at is None:
        return None
    return max(1, math.ceil(((experiment.ended_at or now) - experiment.started_at) / ONE_DAY))


def running_now(now: datetime) -> Sequence[RunningNow]:
    """Return the running and paused experiments, oldest first."""
    rows = Experiment.objects.filter(status__in=STARTED).select_related("site", "owner").order_by("started_at")
    found = []
    for experiment in rows:
        day = days_running(experiment, now) or 1
        horizon = experiment.horizon_days
        found.append(RunningNow(experiment, day, horizon, min(100, round(100 * day / horizon)) if horizon else None))
    return found


def next_steps(now: datetime) -> Sequence[NextStep]:
    """Return what to do next, most urgent first; empty when everything runs and nothing waits."""
    if not Site.objects.exists():
        return [NextStep(Step.ADD_SITE, "Add your site", "Visitors, metrics and experiments all belong to a site.")]
    steps = [*_of_running(now), *_of_drafts(now)]
    if not ApiKey.objects.filter(revoked_at__isnull=True).exists():
        steps.append(
            NextStep(Step.ADD_KEY, "Create a client key", "Your site needs it to ask for variants and send events.")
        )
    if not Metric.objects.filter(conversion=Conversion.MACRO.value, is_archived=False).exists():
        steps.append(
            NextStep(
                Step.ADD_METRIC,
                "Define your macro metric",
                "The goal itself, such as a purchase: every plan protects it.",
            )
        )
    if not Experiment.objects.exists():
        steps.append(
            NextStep(Step.ADD_EXPERIMENT, "Set up your first experiment", "Write down what you expect and why.")
        )
    return steps


def _of_running(now: datetime) -> Sequence[NextStep]:
    steps = []
    for row in running_now(now):
        experiment = row.experiment
        if row.horizon_days is not None and row.day > row.horizon_days:
            steps.append(
                NextStep(
                    Step.READ_REPORT,
                    f"Decide about “{experiment.name}”",
                    f"It has had its {experiment.horizon_weeks} weeks: read the report, then stop it with a reason.",
                    experiment,
                )
            )
        elif experiment.status == Status.PAUSED:
            steps.append(
                NextStep(
                    Step.RESUME_OR_STOP,
                    f"Resume or stop “{experiment.name}”",
                    "It is paused: every visitor gets the control, and no evidence comes in.",
                    experiment,
                )
            )
    return steps


def _of_drafts(now: datetime) -> Sequence[NextStep]:
    steps = []
    drafts = Experiment.objects.filter(status=Status.DRAFT.value).select_related("site", "layer", "holdout")
    for draft in drafts.order_by("-created_at")[:MANY_DRAFTS]:
        missing = start_obstacles(draft, now)
        if missing:
            count = f"{len(missing)} things are" if len(missing) > 1 else "One thing is"
            steps.append(
                NextStep(
                    Step.FINISH_DRAFT,
                    f"Finish “{draft.name}”",
                    f"{count} missing before it can start. First: {missing[0].message}",
                    draft,
                )
            )
        else:
            steps.append(NextStep(Step.START, f"Start “{draft.name}”", "Nothing is missing.", draft))
    return steps
