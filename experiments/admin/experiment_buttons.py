"""The buttons on an experiment's page and the actions of the list; all lead to the page that asks first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action
from unfold.enums import ActionVariant

from experiments.admin.transitions import CLONE, possible_deeds
from experiments.core.lifecycle import Action
from experiments.models import Experiment


def _ask(deed: str, *ids: Any) -> HttpResponse:
    address = reverse("admin:experiments_experiment_do", args=[deed])
    return HttpResponseRedirect(f"{address}?ids={','.join(str(i) for i in ids)}")


def _ask_for_selected(deed: str, queryset: QuerySet[Experiment]) -> HttpResponse:
    return _ask(deed, *queryset.order_by("pk").values_list("pk", flat=True))


class ExperimentButtons:
    """Nothing happens on a GET: a button opens the page that says what it will do and asks."""

    actions_detail = ("start", "pause", "resume", "stop", "archive", "clone")
    actions = (
        "start_selected",
        "pause_selected",
        "resume_selected",
        "stop_selected",
        "archive_selected",
        "clone_selected",
    )

    def has_run_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("experiments.run_experiment"))

    def _may(self, request: HttpRequest, object_id: Any, deed: str) -> bool:
        experiment = Experiment.objects.filter(pk=object_id).first() if str(object_id).isdigit() else None
        if experiment is None or deed not in [d.key for d in possible_deeds(experiment)]:
            return False
        return self.has_add_permission(request) if deed == CLONE else self.has_run_permission(request)  # type: ignore[attr-defined]

    def has_start_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Action.START)

    def has_pause_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Action.PAUSE)

    def has_resume_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Action.RESUME)

    def has_stop_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Action.STOP)

    def has_archive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, Action.ARCHIVE)

    def has_clone_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may(request, object_id, CLONE)

    @action(
        description="Start",
        url_path="start",
        icon="play_arrow",
        permissions=["start"],
        variant=ActionVariant.PRIMARY,
    )
    def start(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return _ask(Action.START, object_id)

    @action(description="Pause", url_path="pause", icon="pause", permissions=["pause"])
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return _ask(Action.PAUSE, object_id)

    @action(
        description="Resume",
        url_path="resume",
        icon="play_arrow",
        permissions=["resume"],
        variant=ActionVariant.PRIMARY,
    )
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return _ask(Action.RESUME, object_id)

    @action(
        description="Stop",
        url_path="stop",
        icon="stop",
        permissions=["stop"],
        variant=ActionVariant.DANGER,
    )
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return _ask(Action.STOP, object_id)

    @action(description="Archive", url_path="archive", icon="archive", permissions=["archive"])
    def archive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return _ask(Action.ARCHIVE, object_id)

    @action(description="Clone", url_path="clone", icon="content_copy", permissions=["clone"])
    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return _ask(CLONE, object_id)

    @admin.action(description="Start", permissions=["run"])
    def start_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> HttpResponse:
        return _ask_for_selected(Action.START, queryset)

    @admin.action(description="Pause", permissions=["run"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> HttpResponse:
        return _ask_for_selected(Action.PAUSE, queryset)

    @admin.action(description="Resume", permissions=["run"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> HttpResponse:
        return _ask_for_selected(Action.RESUME, queryset)

    @admin.action(description="Stop, with a reason", permissions=["run"])
    def stop_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> HttpResponse:
        return _ask_for_selected(Action.STOP, queryset)

    @admin.action(description="Archive", permissions=["run"])
    def archive_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> HttpResponse:
        return _ask_for_selected(Action.ARCHIVE, queryset)

    @admin.action(description="Clone", permissions=["add"])
    def clone_selected(self, request: HttpRequest, queryset: QuerySet[Experiment]) -> HttpResponse:
        return _ask_for_selected(CLONE, queryset)
