"""Pages: the list of reports, one report, one earlier run of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_POST

from experiments.core.refusal import Refused
from experiments.services import ship_with_holdback
from reports import selectors, services
from reports.bundles import bundle_of
from reports.core.bundle import write_bundle
from reports.models import AnalysisRun
from reports.sections import SECTIONS
from reports.sections.base import ReportInput, variant_names
from reports.views.access import READ, RUN, needs
from reports.views.exports import csv_text
from reports.views.listing import Choice, ListRow, list_rows, narrow, status_choices

if TYPE_CHECKING:
    from experiments.selectors.experiments import Experiment

logger = logging.getLogger(__name__)
PAGE_SIZE = 25


@require_GET
@needs(READ)
def report_list(request: HttpRequest) -> HttpResponse:
    """List the experiments that have started, with verdict and progress, narrowed by status and words."""
    everything = list(selectors.reportable_experiments())
    query, status = request.GET.get("q", "").strip(), request.GET.get("status", "")
    choices: Sequence[Choice] = status_choices(everything, status=status, query=query)
    found = narrow(everything, status=status, query=query)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    rows: list[ListRow] = list_rows(selectors.report_rows(list(page.object_list)), now=timezone.now())
    context = {
        "rows": rows,
        "page": page,
        "page_query": urlencode({k: v for k, v in (("q", query), ("status", status)) if v}),
        "choices": choices,
        "query": query,
        "status": status,
        "total": len(everything),
    }
    return render(request, "reports/list.html", context)


@gzip_page
@require_GET
@needs(READ)
def report(request: HttpRequest, key: str) -> HttpResponse:
    """Show the report of one experiment as of its last good run."""
    found = _experiments(request, key)
    if len(found) > 1:
        choices = [
            {"name": e.name, "site": e.site.name, "status": e.status, "url": _address("report", e)} for e in found
        ]
        return render(request, "reports/choose.html", {"key": key, "choices": choices})
    return _page(request, found[0], run=None)


@gzip_page
@require_GET
@needs(READ)
def report_run(request: HttpRequest, key: str, run_id: int) -> HttpResponse:
    """Show the report as one earlier run left it."""
    experiment = _one(request, key)
    run = selectors.run_of(experiment, run_id)
    if run is None or run.status != AnalysisRun.Status.DONE:
        raise Http404(f"Experiment '{key}' has no finished run {run_id}.")
    return _page(request, experiment, run=run)


@require_GET
@needs(READ)
def report_json(request: HttpRequest, key: str) -> HttpResponse:
    """Download the public JSON document of a run; `?run=` names an earlier one."""
    experiment = _one(request, key)
    return JsonResponse(_document(request, experiment), json_dumps_params={"indent": 2})


@require_GET
@needs(READ)
def report_csv(request: HttpRequest, key: str) -> HttpResponse:
    """Download the metrics of a run as CSV; `?run=` names an earlier one."""
    experiment = _one(request, key)
    text = csv_text(_document(request, experiment))
    headers = {"Content-Disposition": f'attachment; filename="{experiment.key}.csv"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


@require_GET
@needs(READ)
def report_bundle(request: HttpRequest, key: str) -> HttpResponse:
    """Download everything a run was made of, for `manage.py reproduce`; `?run=` names an earlier one."""
    experiment = _one(request, key)
    run = _run(request, experiment)
    text = write_bundle(bundle_of(experiment=experiment, run=run))
    headers = {"Content-Disposition": f'attachment; filename="{experiment.key}-run-{run.pk}.bundle.json"'}
    return HttpResponse(text, content_type="application/json", headers=headers)


@require_POST
@needs(RUN)
def analyse_now(request: HttpRequest, key: str) -> HttpResponse:
    """Analyse at once and go back to the report."""
    experiment = _one(request, key)
    now = timezone.now()
    try:
        run = services.run_analysis(experiment=experiment, as_of=now, now=now)
    except Refused as refused:
        messages.error(request, f"{refused.message} {refused.advice}")
    else:
        if run.status == AnalysisRun.Status.DONE:
            messages.success(request, f"Analysed just now, as run {run.pk}.")
        else:
            messages.error(request, "The analysis failed; the last good answer is still shown.")
    return HttpResponseRedirect(_address("report", experiment))


def _page(request: HttpRequest, experiment: Experiment, *, run: AnalysisRun | None) -> HttpResponse:
    with_robots = request.GET.get("robots") == "with"
    shown = selectors.report_input(experiment, now=timezone.now(), run=run, with_robots=with_robots)
    asked: dict[str, object] = {} if run is None else {"run": run.pk}
    robots = sum((shown.document or {}).get("exposures", {}).get("robots", {}).values())
    if with_robots:
        asked["robots"] = "with"
    context = {
        "experiment": shown.experiment,
        "run": shown.run,
        "has_document": shown.document is not None,
        "sections": _sections(shown),
        "json_url": _address("report-json", experiment, **asked),
        "csv_url": _address("report-csv", experiment, **asked),
        "bundle_url": _address("report-bundle", experiment, **asked),
        "analyse_url": _address("report-analyse", experiment),
        "may_analyse": experiment.started_at is not None and request.user.has_perm(RUN),
        "shippable": _shippable(experiment, shown) if request.user.has_perm(RUN) else [],
        "ship_url": _address("report-ship", experiment),
        "robots": f"{robots:,}" if robots else "",
        "with_robots": with_robots,
        "robots_url": _robots_address(experiment, run, wanted=not with_robots),
    }
    return render(request, "reports/report.html", context)


def _shippable(experiment: Experiment, shown: ReportInput) -> list[dict[str, str]]:
    """Return the treatments that the latest answer ships by the steps, before the goal alone is sure: those worth a holdback."""
    document = shown.document
    if document is None or not shown.is_latest or not experiment.is_started or document["verdict"]["state"] != "ship":
        return []
    proxy = document.get("proxy")
    names = variant_names(document)
    return [
        {"key": str(t["variant"]), "name": names[str(t["variant"])]}
        for t in (proxy["treatments"] if proxy else ())
        if t["state"] == "ship_proxy" and experiment.status != "stopped"
    ]


@require_POST
@needs(RUN)
def ship(request: HttpRequest, key: str) -> HttpResponse:
    """Ship a treatment with a holdback, and go to the report of the follow-up."""
    experiment = _one(request, key)
    assert isinstance(request.user, User)
    try:
        follow_up = ship_with_holdback(
            experiment=experiment, variant=request.POST.get("variant", ""), now=timezone.now(), by=request.user
        )
    except Refused as refused:
        messages.error(request, f"{refused.message} {refused.advice}")
        return HttpResponseRedirect(_address("report", experiment))
    messages.success(
        request,
        "Shipped: nine visitors in ten get it, one keeps the control. The goal is watched here for eight weeks; then it stops by itself.",
    )
    return HttpResponseRedirect(_address("report", follow_up))


def _sections(shown: ReportInput) -> list[dict[str, Any]]:
    parts = []
    for section in SECTIONS:
        part = {"key": section.key, "title": section.title, "template": section.template, "failed": False, "view": None}
        try:
            part["view"] = section.build(shown)
        except Exception:
            # One part that breaks must not hide the verdict from people; the log gets the trace.
            logger.exception("Section %s of experiment %s failed", section.key, shown.experiment.key)
            part["failed"] = True
        parts.append(part)
    return parts


def _experiments(request: HttpRequest, key: str) -> list[Experiment]:
    found = selectors.experiments_called(key, site=request.GET.get("site") or None)
    if not found:
        raise Http404(f"There is no experiment '{key}'.")
    return found


def _one(request: HttpRequest, key: str) -> Experiment:
    found = _experiments(request, key)
    if len(found) > 1:
        raise Http404(f"Several sites have an experiment '{key}': name one with ?site=.")
    return found[0]


def _run(request: HttpRequest, experiment: Experiment) -> AnalysisRun:
    asked = request.GET.get("run", "")
    run = selectors.run_of(experiment, int(asked)) if asked.isdecimal() else selectors.last_good_run(experiment)
    if run is None or run.status != AnalysisRun.Status.DONE:
        raise Http404(f"Experiment '{experiment.key}' has no such finished run.")
    return run


def _document(request: HttpRequest, experiment: Experiment) -> dict[str, Any]:
    """Return the document of the run that is asked for, with robots where `?robots=with` says so."""
    with_robots = request.GET.get("robots") == "with"
    return selectors.report_document(_run(request, experiment), with_robots=with_robots)


def _robots_address(experiment: Experiment, run: AnalysisRun | None, *, wanted: bool) -> str:
    """Return the address of the same answer with or without robots."""
    query = {"site": experiment.site.key, **({"robots": "with"} if wanted else {})}
    place = (
        reverse("report", args=[experiment.key])
        if run is None
        else reverse("report-run", args=[experiment.key, run.pk])
    )
    return f"{place}?{urlencode(query)}"


def _address(name: str, experiment: Experiment, **query: object) -> str:
    query = {"site": experiment.site.key, **query}
    return f"{reverse(name, args=[experiment.key])}?{urlencode(query)}"
