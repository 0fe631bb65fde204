"""The start page: what runs now and what to do next."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from experiments.admin.experiment_page import report_address
from experiments.models import Experiment
from experiments.selectors.overview import NextStep, Step, next_steps, running_now

# Where each step is done, and the permission that one needs to be told about it.
_PLACES: dict[Step, tuple[str, str, str]] = {
    Step.ADD_SITE: ("admin:experiments_site_add", "experiments.add_site", "public"),
    Step.ADD_KEY: ("admin:experiments_apikey_add", "experiments.add_apikey", "key"),
    Step.ADD_METRIC: ("admin:experiments_metric_add", "experiments.add_metric", "flag"),
    Step.ADD_EXPERIMENT: ("admin:experiments_experiment_add", "experiments.add_experiment", "science"),
    Step.FINISH_DRAFT: ("admin:experiments_experiment_change", "experiments.change_experiment", "edit_note"),
    Step.START: ("admin:experiments_experiment_change", "experiments.run_experiment", "play_arrow"),
    Step.READ_REPORT: ("", "experiments.view_experiment", "gavel"),
    Step.RESUME_OR_STOP: ("admin:experiments_experiment_change", "experiments.run_experiment", "pause_circle"),
}


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the start page what it shows; Unfold calls this by the name in config/unfold.py."""
    now = timezone.now()
    can_see = request.user.has_perm("experiments.view_experiment")
    running = running_now(now) if can_see else []
    context["running"] = [
        {
            "row": row,
            "edit": reverse("admin:experiments_experiment_change", args=[row.experiment.pk]),
            "report": report_address(row.experiment),
        }
        for row in running
    ]
    context["steps"] = [_card(step) for step in next_steps(now) if request.user.has_perm(_PLACES[step.step][1])]
    context["experiments_total"] = Experiment.objects.count() if can_see else 0
    return context


def _card(step: NextStep) -> dict[str, Any]:
    name, _permission, icon = _PLACES[step.step]
    if step.step is Step.READ_REPORT and step.experiment is not None:
        link = report_address(step.experiment)
    else:
        link = reverse(name, args=[step.experiment.pk] if step.experiment else [])
    return {"title": step.title, "detail": step.detail, "link": link, "icon": icon}
