"""Certificates: asked for from a page or by the clock, simulated by a worker, registered with the experiment's start."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from experiments.core.refusal import Refused
from experiments.selectors.experiments import site_by_key
from experiments.selectors.planning import experiments_with_funnel
from reports import planning
from reports.code_version import code_version
from reports.core.planning.ask import Ask
from reports.core.planning.certifying import certificate_question, outcome_document, question_document, question_of
from reports.core.planning.site_plan import SitePlan
from reports.core.proxy.certificate import REPLICATES, CertificateQuestion, TruthOutcome, simulate, truths_of
from reports.models import Certificate

if TYPE_CHECKING:
    from experiments.selectors.experiments import Experiment

logger = logging.getLogger(__name__)

SEED = 1
GIVEN_UP_AFTER = timedelta(
    minutes=15
)  # a worker that died leaves its certificate running; then another one may take it
TRIED_AGAIN_AFTER = timedelta(hours=1)
RENEWED_AFTER = timedelta(
    days=7
)  # a draft's certificate is simulated again when the site's history has moved on so far


def certificate_for(plan: SitePlan, experiment: Experiment | None, *, now: datetime) -> Certificate | None:
    """Return the newest certificate of the same question, its rates and traffic no older than a week.

    None while nobody asked for it, or where there is nothing to simulate.
    """
    try:
        asked = _asked_hash(plan, experiment, certificate_question(plan))
    except Refused:
        return None
    rows = Certificate.objects.filter(site__key=plan.site, asked_hash=asked, requested_at__gt=now - RENEWED_AFTER)
    return rows.order_by("-id").first()


def request_certificate(
    *, plan: SitePlan, experiment: Experiment | None, now: datetime, is_late: bool = False
) -> Certificate:
    """Return the certificate of this plan with its present rates and traffic, new and waiting when there is none yet.

    Raises: Refused where there is nothing to simulate; see `certificate_question`.
    """
    question = certificate_question(plan)
    row, _ = Certificate.objects.get_or_create(
        site=site_by_key(plan.site),
        inputs_hash=_hash(plan, experiment, question.hash()),
        defaults={
            "experiment": experiment,
            "steps": [{"key": s.metric.key, "name": s.metric.name or s.metric.key} for s in plan.funnel],
            "inputs": question_document(question),
            "asked_hash": _asked_hash(plan, experiment, question),
            "truths": len(truths_of(question)),
            "requested_at": now,
            "is_late": is_late,
        },
    )
    return row


def _asked_hash(plan: SitePlan, experiment: Experiment | None, question: CertificateQuestion) -> str:
    # What the site's history and its finished experiments say moves; the question stays.
    same = replace(question, reach=(1.0,) * len(question.reach), per_week=1.0, learned=None)
    return _hash(plan, experiment, same.hash())


def _hash(plan: SitePlan, experiment: Experiment | None, question: str) -> str:
    steps = "/".join(step.metric.key for step in plan.funnel)
    return hashlib.sha256(f"{question} {steps} {experiment.key if experiment else ''}".encode()).hexdigest()


def compute_certificate(*, certificate_id: int, now: datetime, replicates: int = REPLICATES) -> Certificate | None:
    """Simulate a certificate that waits; None when somebody else has it or it is done.

    Progress is stored after each truth. A failure is kept with its reason, and asking again tries again.
    """
    row = _claimed(certificate_id, now)
    if row is None:
        return None
    try:
        question = question_of(row.inputs)
        outcomes: list[TruthOutcome] = []
        for truth, effects in truths_of(question).items():
            outcomes.append(simulate(question, truth, effects, replicates=replicates, seed=SEED))
            Certificate.objects.filter(pk=row.pk).update(truths_done=len(outcomes))
    except Exception as error:  # the border: a failure is an answer with a reason
        logger.exception("Certificate %s failed.", row.pk)
        failed = {"code": "simulation_failed", "message": f"The simulation broke off: {type(error).__name__}: {error}"}
        Certificate.objects.filter(pk=row.pk).update(
            status=Certificate.Status.FAILED, error=failed, finished_at=timezone.now()
        )
    else:
        Certificate.objects.filter(pk=row.pk).update(
            status=Certificate.Status.DONE,
            result=outcome_document(outcomes, seed=SEED),
            code_version=code_version(),
            finished_at=timezone.now(),
        )
    row.refresh_from_db()
    return row


@transaction.atomic
def _claimed(certificate_id: int, now: datetime) -> Certificate | None:
    row = Certificate.objects.select_for_update().filter(pk=certificate_id).first()
    if row is None or row.status == Certificate.Status.DONE:
        return None
    if row.status == Certificate.Status.RUNNING and row.taken_at is not None and now - row.taken_at < GIVEN_UP_AFTER:
        return None
    row.status, row.error, row.truths_done, row.taken_at = Certificate.Status.RUNNING, None, 0, now
    row.save(update_fields=["status", "error", "truths_done", "taken_at"])
    return row


@dataclass(frozen=True, slots=True)
class Due:
    """What the clock found: certificates to simulate, and experiments that have none, with what to note on them."""

    certificates: tuple[Certificate, ...]
    problems: tuple[tuple[Experiment, dict[str, Any]], ...]


def due_certificates(*, now: datetime) -> Due:
    """Ask for what is missing: one for every draft with a funnel, one registered with every started experiment.

    What cannot be simulated is tried again an hour later while it is a draft, and not again once it has started.
    """
    due: dict[int, Certificate] = {}
    problems = []
    for experiment in experiments_with_funnel():
        found = _registered(experiment, now=now) if experiment.started_at else _drafted(experiment, now=now)
        if isinstance(found, Refused):
            problems.append((experiment, _problem(experiment, found, now)))
        elif found is not None and (
            found.status == Certificate.Status.WAITING
            or (found.status == Certificate.Status.RUNNING and found.taken_at and now - found.taken_at > GIVEN_UP_AFTER)
        ):
            due[found.pk] = found
    return Due(tuple(due.values()), tuple(problems))


def _drafted(experiment: Experiment, *, now: datetime) -> Certificate | Refused | None:
    latest = Certificate.objects.filter(experiment=experiment).order_by("-id").first()
    if latest is not None and (latest.is_open or now - latest.requested_at < RENEWED_AFTER):
        return latest
    tried = experiment.forecast.get("at")
    if "problem" in experiment.forecast and tried and now - datetime.fromisoformat(tried) < TRIED_AGAIN_AFTER:
        return None
    return _asked(experiment, now=now, until=None)


def _registered(experiment: Experiment, *, now: datetime) -> Certificate | Refused | None:
    """Register the latest certificate from before the start; without one, simulate from the history before it, and say so."""
    assert experiment.started_at is not None
    known = registered_certificate(experiment)
    if known is not None:
        return known
    before = (
        Certificate.objects.filter(experiment=experiment, requested_at__lte=experiment.started_at)
        .exclude(status=Certificate.Status.FAILED)
        .order_by("-id")
        .first()
    )
    if before is None and experiment.forecast.get("problem") and experiment.forecast.get("is_started"):
        return None
    row = before or _asked(experiment, now=now, until=experiment.started_at)
    if isinstance(row, Certificate):
        Certificate.objects.filter(pk=row.pk).update(registered_at=experiment.started_at)
    return row


def registered_certificate(experiment: Experiment) -> Certificate | None:
    """Return the certificate that the experiment was started with."""
    return Certificate.objects.filter(experiment=experiment, registered_at__isnull=False).first()


def _asked(experiment: Experiment, *, now: datetime, until: datetime | None) -> Certificate | Refused:
    ask = Ask(site=experiment.site.key, experiment=experiment.key)
    try:
        plan = planning.plan_for(ask, planning.subject_of(ask), now=until or now)
        return request_certificate(plan=plan, experiment=experiment, now=now, is_late=until is not None)
    except Refused as refused:
        return refused


def _problem(experiment: Experiment, refused: Refused, now: datetime) -> dict[str, Any]:
    return {
        "problem": refused.code,
        "message": f"{refused.message} {refused.advice}",
        "is_started": experiment.started_at is not None,
        "at": now.isoformat(),
    }


def certificate_document(row: Certificate) -> dict[str, Any]:
    """Return a certificate as plain JSON values."""
    return {
        "status": row.status,
        "truths_done": row.truths_done,
        "truths": row.truths,
        "inputs": row.inputs,
        "result": row.result,
        "error": row.error,
        "registered_at": row.registered_at.isoformat() if row.registered_at else None,
    }


def forecast_of(certificate: Certificate) -> dict[str, Any]:
    """Return what is noted on the experiment, where its page and its start read it."""
    assert certificate.result is not None
    gain = next(t for t in certificate.result["truths"] if t["truth"] == "gain")
    return {
        "certificate": certificate.pk,
        "gain": certificate.inputs["gain"],
        "ship": gain["ship"],
        "weeks": gain["weeks"]["mean"],
        "is_hopeless": certificate.result["is_hopeless"],
        "at": certificate.finished_at.isoformat() if certificate.finished_at else None,
    }
