"""Which micro conversions are worth watching: ranked from the site's history, graded by its experiments; pages and API."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.core.protocol import ApiError
from experiments.core.refusal import Refused
from experiments.selectors.planning import SiteFacts, metrics_of, sites
from reports.learning import learned_families, proxy_evidence
from reports.ranking import grades_of, newest_ranking, subject_of, words_of
from reports.sections import numbers
from reports.sections.backtest_words import BackTestWords, back_test_words
from reports.sections.evidence_words import GRADES, kinds_text
from reports.sections.ranking_words import PastRow, metric_words, past_rows
from reports.selectors import last_good_run, report_document, reportable_experiments
from reports.tasks import rank_proxies
from reports.views import contract
from reports.views.access import READ, needs
from reports.views.server_key import ServerApiView


@require_GET
@needs(READ)
def proxies(request: HttpRequest) -> HttpResponse:
    """Show a site's micro conversions, ranked."""
    site = _site(request)
    context: dict[str, Any] = {"sites": sites(), "site": site, "grades": GRADES}
    if site is not None:
        ranking = newest_ranking(site.key)
        try:
            subject_of(site.key)
        except Refused as refused:
            context["refused"] = refused
        context |= {
            "ranking": ranking,
            "words": words_of(ranking, site) if ranking else None,
            "is_waiting": "waits" in request.GET,
            "families": _families(site.key),
            "back_tests": _back_tests(site.key),
        }
    return render(request, "reports/proxies.html", context)


@require_GET
@needs(READ)
def proxy(request: HttpRequest, metric: str) -> HttpResponse:
    """Show what is known of one micro conversion."""
    site = _site(request)
    ranking = newest_ranking(site.key) if site else None
    if site is None or metric not in {one.key for one in metrics_of(site.key)}:
        raise Http404(f"There is no metric '{metric}'.")
    words = None
    if ranking is not None:
        evidence = proxy_evidence(site.key)
        words = metric_words(ranking.document, metric, grades_of(site.key, ranking.document["micros"]), evidence)
    if ranking is None or words is None:
        messages.info(request, f"'{metric}' is not ranked yet. It is done every night; “Rank now” does it at once.")
        return HttpResponseRedirect(f"{reverse('proxies')}?site={site.key}")
    context = {
        "site": site,
        "words": words,
        "past": _past(site.key, metric),
        "basis": words_of(ranking, site).basis,
        "as_of": numbers.moment(ranking.as_of, site.time_zone),
    }
    return render(request, "reports/proxy.html", context)


@require_POST
@needs(READ)
def rank_now(request: HttpRequest) -> HttpResponse:
    """Hand the ranking of a site to a worker and go back."""
    site = _site(request)
    if site is None:
        raise Http404("There is no site yet.")
    try:
        subject_of(site.key)
    except Refused as refused:
        messages.error(request, f"{refused.message} {refused.advice}")
    else:
        rank_proxies.delay(site.key)
        messages.success(request, "A worker ranks them now; it takes some seconds. Load the page again to see it.")
    return HttpResponseRedirect(f"{reverse('proxies')}?site={site.key}")


def _site(request: HttpRequest) -> SiteFacts | None:
    known = sites()
    asked = request.GET.get("site", "")
    if asked and asked not in {one.key for one in known}:
        raise Http404(f"There is no site '{asked}'.")
    return next((one for one in known if one.key == asked), known[0] if known else None)


def _past(site_key: str, metric: str) -> list[PastRow]:
    rows: list[PastRow] = []
    for experiment in reportable_experiments():
        run = last_good_run(experiment) if experiment.site.key == site_key else None
        if run is not None:
            rows += past_rows(experiment.key, experiment.name, report_document(run), metric)
    return rows


def _families(site_key: str) -> list[dict[str, str]]:
    """Return what finished experiments say, by kind of change."""
    found = []
    for one in learned_families(site_key):
        low, high = one["bait_80"]
        found.append(
            {
                "kinds": kinds_text(one["kinds"]),
                "grade": one["grade"],
                "experiments": f"{one['experiments']:.1f}",
                "bait": numbers.typeset(f"{one['shares']['bait'] * 100:.0f} % ({low * 100:.0f} to {high * 100:.0f} %)"),
                "through": numbers.typeset(f"{one['pass_through'] * 100:.0f} %"),
                "use": "used for the next plan" if one["is_used"] else "the usual prior is used",
            }
        )
    return found


def _back_tests(site_key: str) -> list[BackTestWords]:
    """Return the decision rules tried on finished experiments, by kind of change."""
    found = [back_test_words(one, kinds_text(one["kinds"])) for one in learned_families(site_key)]
    return [one for one in found if one is not None]


class ProxyList(ServerApiView):
    renderer_classes = [JSONRenderer]

    @extend_schema(
        operation_id="proxies",
        summary="The site's micro conversions, ranked by its own history and graded by its experiments",
        description="Association, not cause: a ranking may tell what to watch and never licenses a ship.",
        tags=["results"],
        responses={
            200: contract.RANKING,
            401: OpenApiResponse(contract.ERROR, "No key, or one that is unknown or revoked."),
            403: OpenApiResponse(contract.ERROR, "A client key: results need a server key."),
            404: OpenApiResponse(contract.ERROR, "Nothing has been ranked yet."),
        },
    )
    def get(self, request: Request) -> Response:
        return Response(_document(self.site))


class ProxyDetail(ServerApiView):
    renderer_classes = [JSONRenderer]

    @extend_schema(
        operation_id="proxy",
        summary="What is known of one micro conversion",
        tags=["results"],
        responses={
            200: contract.RANKED_MICRO,
            401: OpenApiResponse(contract.ERROR, "No key, or one that is unknown or revoked."),
            403: OpenApiResponse(contract.ERROR, "A client key: results need a server key."),
            404: OpenApiResponse(contract.ERROR, "No such ranked micro conversion."),
        },
    )
    def get(self, request: Request, metric: str) -> Response:
        document = _document(self.site)
        one = next((m for m in document["micros"] if m["key"] == metric), None)
        if one is None:
            known = ", ".join(m["key"] for m in document["micros"])
            raise ApiError(
                404, "unknown_metric", f"There is no ranked micro conversion '{metric}'.", f"There are: {known}."
            )
        evidence = proxy_evidence(self.site)
        step = next((s for s in evidence["steps"] if s["key"] == metric), None) if evidence else None
        return Response({**one, "learned": step})


def _document(site_key: str) -> dict[str, Any]:
    ranking = newest_ranking(site_key)
    if ranking is None:
        raise ApiError(
            404,
            "not_ranked",
            "Nothing has been ranked yet.",
            "It is done every night, and by `manage.py rank_proxies`.",
        )
    grades = grades_of(site_key, ranking.document["micros"])
    return {
        **ranking.document,
        "as_of": ranking.as_of.isoformat(),
        "since": ranking.since.isoformat(),
        "until": ranking.until.isoformat(),
        "visitors": ranking.visitors,
        "of_visitors": ranking.of_visitors,
        "micros": [{**one, "grade": grades[one["key"]]} for one in ranking.document["micros"]],
        "learned": learned_families(site_key),
    }
