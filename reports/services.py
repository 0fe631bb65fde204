"""Computing and keeping answers: one run at one `as_of`, and what is due now."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.db.models import Exists, OuterRef, Q

from experiments.core.covariates import LOOKBACK_HOURS
from experiments.core.lifecycle import Status
from experiments.core.plan import AnalysisPlan
from experiments.core.refusal import Refused
from experiments.selectors.experiments import analysable_experiments, latest_ruleset_version
from experiments.selectors.plans import plan_of
from reports.code_version import code_version
from reports.core.analyse import columns_for
from reports.core.health.split_by_segment import SEGMENT_TRAITS, is_split_in_doubt
from reports.core.inputs import Inputs
from reports.core.proxy.earlier import EarlierRun, earlier_in
from reports.models import AnalysisRun, AnalysisSchedule
from reports.selectors import final_as_of, last_good_run, refresh_minutes, report_document
from tracking.core.totals import TotalsRequest
from tracking.selectors import event_store

if TYPE_CHECKING:
    from experiments.selectors.experiments import Experiment

logger = logging.getLogger(__name__)

# Who had been here before is asked of every visitor up to so many; beyond, a second walk through the events costs too much
# for what no verdict rests on, and is made only for covariates.
MOST_LOOKED_BACK_AT = 200_000
LEASE = timedelta(minutes=30)  # longer than the hard time limit of a task, so nobody computes beside a living holder
LONGEST_BACK_OFF = 16  # a failing experiment is tried at most this many times less often
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def run_analysis(*, experiment: Experiment, as_of: datetime, now: datetime) -> AnalysisRun:
    """Analyse an experiment as of one moment and keep the answer as a new run; a failure is kept as a failed run.

    The last good run is never touched, so a report stays readable whatever happens here.

    Raises: Refused with code `not_started` for a draft, `as_of_in_future` for a moment after `now`.
    """
    if experiment.started_at is None:
        raise Refused(
            "not_started",
            f"Experiment '{experiment.key}' has not started, so no visitor has met it yet.",
            "Start it in the admin; the first report follows within minutes.",
        )
    if as_of > now:
        raise Refused(
            "as_of_in_future",
            f"{as_of.isoformat()} is later than now, {now.isoformat()}.",
            "Give a moment in the past, or leave it out to analyse everything up to now.",
        )
    plan: AnalysisPlan | None = None
    result: dict[str, Any] | None = None
    with_robots: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    try:
        plan = plan_of(experiment)
        result = _compute(experiment, plan, as_of)
        if any(result.get("exposures", {}).get("robots", {}).values()):
            with_robots = _compute(experiment, plan, as_of, with_robots=True)
    except Exception as problem:
        # The border of the job: whatever went wrong becomes a failed run that people see, and a trace in the log.
        logger.exception("Analysis of experiment %s as of %s failed", experiment.key, as_of.isoformat())
        error, result, with_robots = _describe(problem), None, None
    return AnalysisRun.objects.create(
        experiment=experiment,
        status=AnalysisRun.Status.DONE if error is None else AnalysisRun.Status.FAILED,
        as_of=as_of,
        plan_hash=plan.hash() if plan else "",
        ruleset_version=latest_ruleset_version(experiment.site),
        code_version=code_version(),
        result=result,
        result_with_robots=with_robots,
        error=error,
        started_at=now,
    )


def totals_request(*, experiment: Experiment, plan: AnalysisPlan, as_of: datetime) -> TotalsRequest:
    """Return what the event store is asked for: exposures of the experiment's life, and every metric's columns."""
    # An import brings exposures from before the row existed; only a live experiment has a start to count from.
    since = None if plan.is_imported or experiment.started_at is None else _microseconds(experiment.started_at)
    ended = None if plan.is_imported or experiment.ended_at is None else _microseconds(experiment.ended_at)
    # "Up to and including as_of" for exposures too, which the request counts up to but not including `until`.
    end = _microseconds(as_of) + 1
    return TotalsRequest(
        site=plan.site,
        experiment=plan.experiment,
        variants=tuple(v.key for v in plan.variants),
        as_of=_microseconds(as_of),
        since=since,
        until=end if ended is None else min(end, ended),
        time_zone=plan.time_zone,
        columns=columns_for(plan),
        traits=plan.traits,
        lookback_hours=plan.lookback_hours,
    )


def read_inputs(*, experiment: Experiment, plan: AnalysisPlan, as_of: datetime, with_robots: bool = False) -> Inputs:
    """Return what an analysis as of this moment is made of, read from the event store."""
    request = replace(totals_request(experiment=experiment, plan=plan, as_of=as_of), with_robots=with_robots)
    store = event_store()
    exposures = store.exposure_counts(request)
    if sum(exposures.visitors.values()) <= MOST_LOOKED_BACK_AT:
        request = replace(request, lookback_hours=LOOKBACK_HOURS)
    if is_split_in_doubt(plan, exposures):
        request = replace(request, traits=tuple(dict.fromkeys((*request.traits, *SEGMENT_TRAITS))))
    totals = store.visitor_totals(request)
    earlier = _earlier(experiment, plan)
    return Inputs(plan, totals, exposures, as_of=as_of, ended_at=experiment.ended_at, earlier=earlier)


def _earlier(experiment: Experiment, plan: AnalysisPlan) -> EarlierRun | None:
    """Return what the experiment that the plan tests again measured, by its last good answer."""
    if plan.retest_of is None or experiment.retest_of is None:
        return None
    run = last_good_run(experiment.retest_of)
    return earlier_in(report_document(run)) if run is not None else None


def _compute(
    experiment: Experiment, plan: AnalysisPlan, as_of: datetime, *, with_robots: bool = False
) -> dict[str, Any]:
    return read_inputs(experiment=experiment, plan=plan, as_of=as_of, with_robots=with_robots).answer()


def _describe(problem: Exception) -> dict[str, str]:
    if isinstance(problem, Refused):
        return {"code": problem.code, "message": problem.message, "advice": problem.advice}
    if isinstance(problem, DatabaseError):
        return {
            "code": "database_unavailable",
            "message": "The database did not answer while the analysis ran.",
            "advice": "Nothing to do: the next analysis tries again by itself.",
        }
    if isinstance(problem, OSError):
        return {
            "code": "event_store_unavailable",
            "message": "The event store could not be read.",
            "advice": "The next analysis tries again by itself; if this stays, look at the disk or the store's server.",
        }
    return {
        "code": "analysis_failed",
        "message": f"The analysis stopped on an error that it did not expect ({type(problem).__name__}).",
        "advice": "The next analysis tries again by itself; the worker's log holds the details.",
    }


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def due_experiment_ids(*, now: datetime) -> list[int]:
    """Return the experiments to analyse now, longest overdue first, and give new ones a place in the schedule.

    Running and paused experiments are due every `INKLING_ANALYSIS_MINUTES`; a stopped one at once, then until the last
    visitor's longest window has passed, and never again after that.
    """
    known = AnalysisSchedule.objects.values("experiment_id")
    new = analysable_experiments().exclude(pk__in=known).exclude(status=Status.ARCHIVED)
    AnalysisSchedule.objects.bulk_create(
        [AnalysisSchedule(experiment_id=pk, due_at=now) for pk in new.values_list("pk", flat=True)],
        ignore_conflicts=True,
    )
    due = AnalysisSchedule.objects.filter(_is_free(now), _is_due(now)).exclude(experiment__status=Status.ARCHIVED)
    return list(due.order_by("due_at", "pk").values_list("experiment_id", flat=True))


def analyse_if_due(*, experiment_id: int, now: datetime, holder: str) -> AnalysisRun | None:
    """Analyse one experiment if it is due and nobody else is at it; None when there was nothing to do.

    Safe to repeat and to kill: the claim is one conditional update, and it ends by itself.
    """
    mine = AnalysisSchedule.objects.filter(experiment_id=experiment_id)
    seen = mine.filter(_is_free(now), _is_due(now)).first()
    # The claim asks only for columns of its own row: PostgreSQL looks at those again after waiting for a rival's update,
    # but not at a subquery, and two runners would both claim.
    claimed = seen is not None and mine.filter(_is_free(now), due_at=seen.due_at).update(
        leased_until=now + LEASE, leased_by=holder
    )
    if not claimed:
        return None
    experiment = analysable_experiments().filter(pk=experiment_id).first()
    if experiment is None:
        mine.filter(leased_by=holder).update(due_at=None, leased_until=None, leased_by="")
        return None
    run = run_analysis(experiment=experiment, as_of=now, now=now)
    schedule = mine.get()
    failures = 0 if run.status == AnalysisRun.Status.DONE else schedule.failures + 1
    mine.filter(leased_by=holder).update(
        due_at=_next_due(experiment, run, now=now, failures=failures),
        leased_until=None,
        leased_by="",
        failures=failures,
    )
    return run


def analyse_due(*, now: datetime, holder: str = "command") -> list[AnalysisRun]:
    """Analyse everything that is due, one after the other, and return the runs."""
    runs = [analyse_if_due(experiment_id=pk, now=now, holder=holder) for pk in due_experiment_ids(now=now)]
    return [run for run in runs if run is not None]


def _is_due(now: datetime) -> Q:
    """Say when an experiment's next analysis is to begin: on schedule, or as soon as somebody has stopped it."""
    since_the_stop = AnalysisRun.objects.filter(
        experiment=OuterRef("experiment"), as_of__gte=OuterRef("experiment__ended_at")
    )
    has_ended = Q(due_at__isnull=False, experiment__ended_at__lte=now)
    return Q(due_at__lte=now) | (has_ended & Q(~Exists(since_the_stop)))


def _is_free(now: datetime) -> Q:
    return Q(leased_until__isnull=True) | Q(leased_until__lte=now)


def _next_due(experiment: Experiment, run: AnalysisRun, *, now: datetime, failures: int) -> datetime | None:
    wait = timedelta(minutes=refresh_minutes()) * min(1 << failures, LONGEST_BACK_OFF)
    if failures or experiment.status in (Status.RUNNING, Status.PAUSED):
        return now + wait
    final = final_as_of(experiment, plan_of(experiment))
    if final is None or run.as_of >= final:
        return None
    return now + wait
