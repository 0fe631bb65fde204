"""Celery's doors: look for due work, do one piece of it. No task carries data; a lost message costs one tick."""

from __future__ import annotations

import logging
import os
import socket
from uuid import uuid4

from celery import shared_task
from django.utils import timezone

from experiments.core.refusal import Refused
from experiments.services import close_due_experiments, note_forecast, note_learned_priors, open_due_experiments
from reports.certificates import compute_certificate, due_certificates, forecast_of
from reports.drawings import delay_drawings, exposure_drawings
from reports.learning import learn_site, learnable_sites
from reports.models import AnalysisRun
from reports.ranking import rank_site
from reports.sections.exposures import build as build_exposures
from reports.sections.over_time import build as build_over_time
from reports.selectors import report_input
from reports.services import analyse_if_due, due_experiment_ids

logger = logging.getLogger(__name__)


@shared_task(name="reports.analyse_due", ignore_result=True)
def analyse_due() -> int:
    """Stop the experiments whose planned end has come, then hand out one task for each that is due; return how many."""
    now = timezone.now()
    close_due_experiments(now=now)
    open_due_experiments(now=now)
    ids = due_experiment_ids(now=now)
    for experiment_id in ids:
        analyse_experiment.delay(experiment_id)
    return len(ids)


@shared_task(name="reports.analyse_experiment", ignore_result=True)
def analyse_experiment(experiment_id: int) -> int | None:
    """Analyse one experiment if it is still due; return the run's id."""
    # Two tasks of one process are two holders: the claim must tell them apart.
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
    run = analyse_if_due(experiment_id=experiment_id, now=timezone.now(), holder=holder)
    if run is None:
        return None
    if run.status == AnalysisRun.Status.DONE:
        _draw_ahead(run)
    return run.pk


@shared_task(name="reports.certify_due", ignore_result=True)
def certify_due() -> int:
    """Hand out one task for each certificate that waits, and note why an experiment has none; return how many."""
    due = due_certificates(now=timezone.now())
    for experiment, problem in due.problems:
        note_forecast(experiment=experiment, forecast=problem)
    for certificate in due.certificates:
        simulate_certificate.delay(certificate.pk)
    return len(due.certificates)


@shared_task(name="reports.simulate_certificate", ignore_result=True)
def simulate_certificate(certificate_id: int) -> None:
    """Simulate one certificate if it still waits, and note on its experiment what it says."""
    done = compute_certificate(certificate_id=certificate_id, now=timezone.now())
    if done is not None and done.result is not None and done.experiment is not None:
        note_forecast(experiment=done.experiment, forecast=forecast_of(done))


@shared_task(name="reports.learn_proxies", ignore_result=True)
def learn_proxies() -> int:
    """Learn from every site's finished experiments, and note what later plans will freeze; return how many sites."""
    keys = learnable_sites()
    for key in keys:
        _, priors = learn_site(site_key=key, now=timezone.now())
        note_learned_priors(site_key=key, priors=priors)
    return len(keys)


@shared_task(name="reports.rank_proxies", ignore_result=True)
def rank_proxies(site_key: str | None = None) -> int:
    """Rank the micro conversions of one site, or of every site; return how many had something to rank by."""
    ranked = 0
    for key in [site_key] if site_key is not None else learnable_sites():
        try:
            rank_site(site_key=key, now=timezone.now())
        except Refused as refused:
            logger.info("No ranking for site %s: %s", key, refused.code)
        else:
            ranked += 1
    return ranked


def _draw_ahead(run: AnalysisRun) -> None:
    """Make the drawings before somebody waits for them; a page that finds none draws them itself."""
    report = report_input(run.experiment, now=timezone.now(), run=run)
    view, over_time = build_exposures(report), build_over_time(report)
    if view is not None and view.days:
        exposure_drawings(view)
    for block in over_time.blocks if over_time is not None else ():
        if block.curves is not None:
            delay_drawings(block.curves)
