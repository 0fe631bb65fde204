"""What is due, and that two runners at once never compute one experiment twice."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection

from experiments import services as experiments
from experiments.models import Experiment
from reports import services, tasks
from reports.drawings import exposure_drawings
from reports.models import AnalysisRun, AnalysisSchedule
from reports.sections.exposures import build as build_exposures
from reports.selectors import report_input
from tests.reports import documents
from tests.reports.factories import NOW, START, make_draft, make_running, make_site

MINUTES = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def quick_analysis(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The schedule is looked at here, so an analysis is a document made by hand; the list says who was analysed."""
    done: list[str] = []

    def compute(experiment: Experiment, plan: object, as_of: datetime) -> dict[str, object]:
        done.append(experiment.key)
        return documents.document(experiment=experiment.key)

    monkeypatch.setattr(services, "_compute", compute)
    return done


@pytest.mark.django_db
def test_due__draft_running_stopped_archived__only_those_with_something_to_say() -> None:
    site = make_site()
    make_draft("draft", site=site)
    running = make_running("running", site=site)
    stopped = experiments.stop_experiment(experiment=make_running("stopped", site=site), reason="Done.", now=NOW)
    archived = experiments.stop_experiment(experiment=make_running("archived", site=site), reason="Done.", now=NOW)
    experiments.archive_experiment(experiment=archived, now=NOW)

    assert set(services.due_experiment_ids(now=NOW)) == {running.pk, stopped.pk}


@pytest.mark.django_db
def test_analyse_due__running__is_due_again_after_the_interval_and_not_before(quick_analysis: list[str]) -> None:
    make_running()
    assert len(services.analyse_due(now=NOW)) == 1
    assert services.analyse_due(now=NOW + 14 * MINUTES) == []
    assert len(services.analyse_due(now=NOW + 15 * MINUTES)) == 1
    assert quick_analysis == ["free-shipping", "free-shipping"]


@pytest.mark.django_db
def test_analyse_due__stopped__goes_on_until_the_longest_window_has_passed_then_never_again() -> None:
    # The longest window of the plan is 72 hours (purchase), so the last answer is as of 72 hours after the stop.
    experiments.stop_experiment(experiment=make_running(), reason="Done.", now=NOW)
    assert len(services.analyse_due(now=NOW + 1 * MINUTES)) == 1
    assert len(services.analyse_due(now=NOW + timedelta(hours=71))) == 1
    final = services.analyse_due(now=NOW + timedelta(hours=73))
    assert [r.as_of for r in final] == [NOW + timedelta(hours=73)]
    assert services.analyse_due(now=NOW + timedelta(days=30)) == []


@pytest.mark.django_db
def test_analyse_due__stopped_between_two_analyses__is_analysed_at_once_and_once(quick_analysis: list[str]) -> None:
    experiment = make_running()
    assert len(services.analyse_due(now=NOW)) == 1
    experiments.stop_experiment(experiment=experiment, reason="Done.", now=NOW + 2 * MINUTES)
    assert len(services.analyse_due(now=NOW + 3 * MINUTES)) == 1
    assert services.analyse_due(now=NOW + 4 * MINUTES) == []


@pytest.mark.django_db
def test_analyse_if_due__held_by_another__does_nothing_until_the_lease_ends(quick_analysis: list[str]) -> None:
    experiment = make_running()
    services.due_experiment_ids(now=NOW)
    AnalysisSchedule.objects.update(leased_until=NOW + 30 * MINUTES, leased_by="killed worker")

    assert services.analyse_if_due(experiment_id=experiment.pk, now=NOW + 29 * MINUTES, holder="me") is None
    assert experiment.pk not in services.due_experiment_ids(now=NOW + 29 * MINUTES)
    assert services.analyse_if_due(experiment_id=experiment.pk, now=NOW + 30 * MINUTES, holder="me") is not None
    assert quick_analysis == ["free-shipping"]


@pytest.mark.django_db
def test_analyse_if_due__holder_lost_its_lease_meanwhile__does_not_end_the_other_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment = make_running()
    services.due_experiment_ids(now=NOW)

    def slow(experiment: Experiment, plan: object, as_of: datetime) -> dict[str, object]:
        AnalysisSchedule.objects.update(leased_until=NOW + 60 * MINUTES, leased_by="other")
        return documents.document()

    monkeypatch.setattr(services, "_compute", slow)
    services.analyse_if_due(experiment_id=experiment.pk, now=NOW, holder="me")
    schedule = AnalysisSchedule.objects.get()
    assert (schedule.leased_by, schedule.leased_until) == ("other", NOW + 60 * MINUTES)


@pytest.mark.django_db
def test_analyse_due__keeps_failing__is_tried_less_and_less_often_but_always_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_running()

    def broken(experiment: Experiment, plan: object, as_of: datetime) -> dict[str, object]:
        raise RuntimeError("broken")

    monkeypatch.setattr(services, "_compute", broken)
    waits, now = [], NOW
    for _ in range(6):
        (run,) = services.analyse_due(now=now)
        assert run.status == "failed"
        due = AnalysisSchedule.objects.get().due_at
        assert due is not None
        waits.append((due - now) // MINUTES)
        now = due
    # 15 minutes, doubled with each failure, never more than 16 times 15.
    assert waits == [30, 60, 120, 240, 240, 240]


@pytest.mark.django_db
def test_analyse_due__one_experiment_breaks__the_others_are_analysed(monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site()
    make_running("bad", site=site)
    make_running("good", site=site)

    def compute(experiment: Experiment, plan: object, as_of: datetime) -> dict[str, object]:
        if experiment.key == "bad":
            raise RuntimeError("broken")
        return documents.document()

    monkeypatch.setattr(services, "_compute", compute)
    runs = services.analyse_due(now=NOW)
    assert {r.experiment.key: str(r.status) for r in runs} == {"bad": "failed", "good": "done"}


@pytest.mark.django_db
def test_interval__set_to_an_hour__is_followed(settings: object) -> None:
    settings.INKLING_ANALYSIS_MINUTES = 60  # type: ignore[attr-defined]
    make_running()
    services.analyse_due(now=NOW)
    assert services.analyse_due(now=NOW + 59 * MINUTES) == []
    assert len(services.analyse_due(now=NOW + 60 * MINUTES)) == 1


@pytest.mark.django_db(transaction=True)
def test_analyse_if_due__two_runners_at_once__one_of_them_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running()
    services.due_experiment_ids(now=NOW)
    both_ready = threading.Barrier(2, timeout=30)
    both_done = threading.Barrier(2, timeout=30)
    found: list[object] = []

    def compute(experiment: Experiment, plan: object, as_of: datetime) -> dict[str, object]:
        return documents.document()

    monkeypatch.setattr(services, "_compute", compute)

    def runner(name: str) -> None:
        try:
            both_ready.wait()
            found.append(services.analyse_if_due(experiment_id=experiment.pk, now=NOW, holder=name))
            both_done.wait()
        finally:
            connection.close()

    threads = [threading.Thread(target=runner, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(run is not None for run in found) == 1
    assert AnalysisRun.objects.count() == 1


@pytest.mark.django_db
def test_tasks__tick__hands_out_one_task_per_due_experiment_with_its_id_only(monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site()
    ids = {make_running(key, site=site).pk for key in ("one", "two")}
    sent: list[tuple[object, ...]] = []
    monkeypatch.setattr(tasks.analyse_experiment, "delay", lambda *args: sent.append(args))
    assert tasks.analyse_due() == 2
    assert set(sent) == {(pk,) for pk in ids}


@pytest.mark.django_db
def test_tasks__tick_after_the_planned_end__stops_the_experiment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running(ends_at=START + timedelta(days=7))
    monkeypatch.setattr(tasks.analyse_experiment, "delay", lambda *args: None)
    tasks.analyse_due()
    experiment.refresh_from_db()
    assert experiment.status == "stopped"


@pytest.mark.django_db
def test_tasks__analysis_done__leaves_the_drawing_ready_for_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_running()
    services.due_experiment_ids(now=NOW)
    assert tasks.analyse_experiment(experiment.pk) is not None

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr("reports.drawings._draw", refuse)
    view = build_exposures(report_input(experiment, now=NOW))
    assert view is not None
    assert set(exposure_drawings(view)) == {"wide", "narrow"}


@pytest.mark.django_db
def test_tasks__experiment_deleted_meanwhile__is_no_error() -> None:
    assert tasks.analyse_experiment(12345) is None
