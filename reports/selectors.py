"""Reading runs and putting together what the report page shows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Max

from experiments.core.lifecycle import Status
from experiments.core.plan import AnalysisPlan
from experiments.core.refusal import Refused
from experiments.selectors.experiments import analysable_experiments, experiment_by_key
from experiments.selectors.plans import plan_of
from reports.models import AnalysisRun, Certificate
from reports.sections.base import CertificateFacts, ExperimentFacts, ReportInput, RunFacts

if TYPE_CHECKING:
    from experiments.selectors.experiments import Experiment

HISTORY = 20


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One line of the list of reports."""

    experiment: ExperimentFacts
    verdict: Mapping[str, Any] | None
    visitors: int | None
    variants: int
    horizon_days: int | None
    planned_visitors: int | None
    run: RunFacts | None
    latest_failed: bool


def refresh_minutes() -> int:
    """Return how often a running experiment is analysed. Units: minutes."""
    return int(getattr(settings, "INKLING_ANALYSIS_MINUTES", 15))


def last_good_run(experiment: Experiment) -> AnalysisRun | None:
    """Return the newest run that has a result."""
    return AnalysisRun.objects.filter(experiment=experiment, status=AnalysisRun.Status.DONE).order_by("-id").first()


def latest_run(experiment: Experiment) -> AnalysisRun | None:
    """Return the newest run, failed or not."""
    return AnalysisRun.objects.filter(experiment=experiment).order_by("-id").first()


def run_of(experiment: Experiment, run_id: int) -> AnalysisRun | None:
    """Return one run of this experiment; another experiment's run is None."""
    return AnalysisRun.objects.filter(experiment=experiment, pk=run_id).first()


def report_document(run: AnalysisRun, *, with_robots: bool = False) -> dict[str, Any]:
    """Return the public JSON of a good run: the analysis as it was stored, and which run it is.

    With robots where the run has that answer too; where there were none, it is the same.
    """
    assert run.result is not None
    result = run.result_with_robots if with_robots and run.result_with_robots is not None else run.result
    return {**result, "run": run_document(run)}


def run_document(run: AnalysisRun) -> dict[str, Any]:
    """Return the public description of a run, without its result."""
    return {
        "id": run.pk,
        "status": run.status,
        "as_of": run.as_of.isoformat(),
        "finished_at": run.finished_at.isoformat(),
        "plan_hash": run.plan_hash,
        "ruleset_version": run.ruleset_version,
        "code_version": run.code_version,
        "error": run.error,
    }


def run_facts(run: AnalysisRun) -> RunFacts:
    return RunFacts(
        id=run.pk,
        is_done=run.status == AnalysisRun.Status.DONE,
        as_of=run.as_of,
        finished_at=run.finished_at,
        plan_hash=run.plan_hash,
        code_version=run.code_version,
        ruleset_version=run.ruleset_version,
        error=run.error,
    )


def experiment_facts(experiment: Experiment) -> ExperimentFacts:
    return ExperimentFacts(
        key=experiment.key,
        name=experiment.name,
        site=experiment.site.key,
        site_name=experiment.site.name,
        status=Status(experiment.status),
        time_zone=experiment.site.time_zone,
        currency=experiment.site.currency,
        hypothesis=experiment.hypothesis,
        owner=str(experiment.owner) if experiment.owner else "",
        is_imported=experiment.is_imported,
        created_at=experiment.created_at,
        started_at=experiment.started_at,
        ended_at=experiment.ended_at,
        end_reason=experiment.end_reason,
        traffic=experiment.traffic / 10_000,
    )


def readable_plan(experiment: Experiment) -> AnalysisPlan | None:
    """Return the plan, or None while a draft lacks what a plan needs (two variants, one control, whole weights)."""
    try:
        return plan_of(experiment)
    except Refused:
        return None


def report_input(
    experiment: Experiment, *, now: datetime, run: AnalysisRun | None = None, with_robots: bool = False
) -> ReportInput:
    """Gather what the sections need; `run` shows an older run instead of the newest good one."""
    newest_good = last_good_run(experiment)
    shown = run or newest_good
    history = list(
        AnalysisRun.objects.filter(experiment=experiment)
        .defer("result", "result_with_robots")
        .order_by("-id")[:HISTORY]
    )
    newest = history[0] if history else None
    failed = newest if newest is not None and newest.status == AnalysisRun.Status.FAILED else None
    return ReportInput(
        experiment=experiment_facts(experiment),
        plan=readable_plan(experiment),
        document=report_document(shown, with_robots=with_robots) if shown is not None else None,
        run=run_facts(shown) if shown is not None else None,
        failure=run_facts(failed) if failed is not None else None,
        history=tuple(run_facts(r) for r in history),
        now=now,
        refresh_minutes=refresh_minutes(),
        is_latest=shown is None or newest_good is None or shown.pk == newest_good.pk,
        certificate=_certificate_facts(experiment),
    )


def _certificate_facts(experiment: Experiment) -> CertificateFacts | None:
    """Return the certificate registered with the start, once it is done."""
    row = Certificate.objects.filter(
        experiment=experiment, registered_at__isnull=False, status=Certificate.Status.DONE
    ).first()
    if row is None or row.finished_at is None:
        return None
    return CertificateFacts(row.inputs, row.result, row.finished_at, row.is_late)


def report_rows(experiments: Sequence[Experiment]) -> list[ReportRow]:
    """Return one line per experiment, in the order given, with a handful of queries however many there are."""
    ids = [e.pk for e in experiments]
    good = _newest(ids, status=AnalysisRun.Status.DONE)
    newest = _newest(ids)
    runs = {r.experiment_id: r for r in AnalysisRun.objects.filter(pk__in=good.values()).defer("result")}
    answers = {
        row["experiment_id"]: row
        for row in AnalysisRun.objects.filter(pk__in=good.values()).values(
            "experiment_id", "result__verdict", "result__variants"
        )
    }
    return [
        _row(e, runs.get(e.pk), answers.get(e.pk), latest_failed=newest.get(e.pk) != good.get(e.pk))
        for e in experiments
    ]


def _newest(experiment_ids: Iterable[int], **filters: Any) -> dict[int, int]:
    rows = AnalysisRun.objects.filter(experiment_id__in=list(experiment_ids), **filters).order_by()
    return dict(rows.values_list("experiment_id").annotate(newest=Max("pk")))


def _row(
    experiment: Experiment, run: AnalysisRun | None, answer: Mapping[str, Any] | None, *, latest_failed: bool
) -> ReportRow:
    variants = answer["result__variants"] if answer else None
    return ReportRow(
        experiment=experiment_facts(experiment),
        verdict=answer["result__verdict"] if answer else None,
        visitors=sum(v["visitors"] for v in variants) if variants is not None else None,
        variants=len(variants) if variants is not None else 0,
        horizon_days=experiment.horizon_days,
        planned_visitors=experiment.planned_visitors,
        run=run_facts(run) if run else None,
        latest_failed=latest_failed,
    )


def close_matches(key: str, known: Iterable[str]) -> list[str]:
    """Return up to three known keys that `key` may have meant, nearest first."""
    by_lower = {k.lower(): k for k in known}
    return [by_lower[m] for m in difflib.get_close_matches(key.lower(), list(by_lower), n=3, cutoff=0.5)]


def final_as_of(experiment: Experiment, plan: AnalysisPlan) -> datetime | None:
    """Return when a stopped experiment has nothing more to say: its last visitor's longest window has passed."""
    if experiment.ended_at is None:
        return None
    longest = max((m.metric.window_hours or 0.0 for m in plan.metrics), default=0.0)
    return experiment.ended_at + timedelta(hours=longest)


def reportable_experiments() -> list[Experiment]:
    """Return every experiment that has started, newest start first, archived ones included."""
    statuses = (Status.RUNNING.value, Status.PAUSED.value, Status.STOPPED.value, Status.ARCHIVED.value)
    return list(analysable_experiments(statuses=statuses).order_by("-started_at", "-pk"))


def experiments_called(key: str, *, site: str | None) -> list[Experiment]:
    """Return the experiments with this key, of one site or of all; empty when there is none."""
    if site is None:
        started = [e for e in reportable_experiments() if e.key == key]
        if started:
            return started
    try:
        return [experiment_by_key(site, key)]
    except Refused:
        return []
