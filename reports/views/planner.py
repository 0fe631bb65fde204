"""The planner as a page and for programs: one question, one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.core.protocol import ApiError
from experiments.core.refusal import Refused
from experiments.selectors.experiments import Experiment, experiment_by_key
from experiments.selectors.planning import sites
from reports import planning
from reports.certificates import certificate_document, certificate_for, request_certificate
from reports.core.planner import WEEKS
from reports.core.planning.ask import DEFAULT_ALPHA, DEFAULT_MARGIN, DEFAULT_POWER, SINGLE, Ask, read_ask
from reports.core.planning.certifying import certificate_question
from reports.core.planning.site_plan import SitePlan
from reports.core.planning.wire import to_document
from reports.models import Certificate
from reports.sections.forecast_words import certificate_words, way_rows
from reports.sections.plan_words import PlanWords, plan_words
from reports.tasks import simulate_certificate
from reports.views import contract
from reports.views.access import READ, needs
from reports.views.server_key import ServerApiView


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form. `unit` stands behind it."""

    name: str
    label: str
    value: str
    unit: str = ""
    hint: str = ""


@require_GET
@needs(READ)
def planner(request: HttpRequest) -> HttpResponse:
    """Answer the question in the address; without one, what a lift of 10 % takes on the first site."""
    given: dict[str, Sequence[str]] = {name: list(values) for name, values in request.GET.lists()}
    known = sites()
    if known and not any(given.get("site", ())) and not any(given.get("experiment", ())):
        given["site"] = [known[0].key]
    ask: Ask | None = None
    subject: planning.Subject | None = None
    plan: SitePlan | None = None
    words: PlanWords | None = None
    refused: Refused | None = None
    try:
        ask = read_ask(given)
        subject = planning.subject_of(ask)
        plan = planning.plan_for(ask, subject, now=timezone.now())
        words = plan_words(to_document(plan))
    except Refused as refusal:
        refused = refusal
    said = {name: values[-1] for name, values in given.items() if values}
    context = {
        "sites": known,
        "site": subject.site if subject else None,
        "site_key": subject.site.key if subject else said.get("site", ""),
        "experiment": subject.draft if subject else None,
        "metrics": _metrics(subject, ask, plan),
        "fields": _fields(said, ask, plan),
        "more_fields": _more_fields(said, ask),
        "is_more_open": any(said.get(field.name) for field in _more_fields(said, ask)),
        "words": words,
        "refused": refused,
        **(_forecast(plan, subject) if plan and subject else {}),
        "query": request.GET.urlencode(),
    }
    return render(request, "reports/planner.html", context)


def _forecast(plan: SitePlan, subject: planning.Subject) -> dict[str, Any]:
    """Return the ways to decide and the certificate of a plan, or why there is nothing to simulate."""
    document = to_document(plan)
    found = certificate_for(plan, _experiment(plan), now=timezone.now())
    problem: Refused | None = None
    try:
        certificate_question(plan)
    except Refused as refusal:
        problem = refusal
    return {
        "ways": way_rows(document["options"]),
        "weeks_at_hand": plan.ask.weeks or plan.horizon_weeks or WEEKS[-1],
        "certificate": found,
        "certificate_words": certificate_words(found.inputs, found.result) if found and found.result else None,
        "certificate_problem": problem,
    }


def _experiment(plan: SitePlan) -> Experiment | None:
    return experiment_by_key(plan.site, plan.ask.experiment) if plan.ask.experiment else None


@require_POST
@needs(READ)
def simulate(request: HttpRequest) -> HttpResponse:
    """Ask for the certificate of the plan in the address, hand it to a worker and go back to the planner."""
    given: dict[str, Sequence[str]] = {name: list(values) for name, values in request.GET.lists()}
    back = f"{reverse('planner')}?{request.GET.urlencode()}#simulated"
    try:
        ask = read_ask(given)
        plan = planning.plan_for(ask, planning.subject_of(ask), now=timezone.now())
        row = request_certificate(plan=plan, experiment=_experiment(plan), now=timezone.now())
    except Refused as refused:
        messages.error(request, f"{refused.message} {refused.advice}")
        return HttpResponseRedirect(back)
    if row.status != Certificate.Status.DONE:
        simulate_certificate.delay(row.pk)
    return HttpResponseRedirect(back)


def _metrics(subject: planning.Subject | None, ask: Ask | None, plan: SitePlan | None) -> list[dict[str, Any]]:
    if subject is None:
        return []
    chosen = {one.key for one in plan.metrics} if plan else set(ask.metrics if ask else ())
    return [{"key": m.key, "name": m.name or m.key, "is_chosen": m.key in chosen} for m in subject.metrics]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.6g}"


def _fields(said: Mapping[str, str], ask: Ask | None, plan: SitePlan | None) -> list[Field]:
    split = "/".join(f"{weight * 100:.4g}" for weight in plan.weights) if plan else "50/50"
    return [
        Field(
            "lift_percent",
            "Lift to find",
            _percent(ask.lift_to_find()) if ask else _raw(said, "lift"),
            "%",
            "The smallest change worth knowing of",
        ),
        Field("weeks", "Weeks at hand", said.get("weeks", ""), "", "Empty: up to 8"),
        Field("split", "Split", said.get("split", split), "", "The control first"),
        Field("alpha", "Alpha", f"{ask.alpha:g}" if ask else said.get("alpha", f"{DEFAULT_ALPHA}"), "", "Two-sided"),
        Field(
            "power_percent",
            "Power",
            _percent(ask.power) if ask else _raw(said, "power", DEFAULT_POWER),
            "%",
            "Chance to find the lift",
        ),
        Field(
            "margin_percent",
            "Guardrail margin",
            _percent(ask.margin) if ask else _raw(said, "margin", DEFAULT_MARGIN),
            "%",
            "Loss you could live with",
        ),
    ]


def _more_fields(said: Mapping[str, str], ask: Ask | None) -> list[Field]:
    traffic = _percent(ask.traffic) if ask else _raw(said, "traffic")
    rate = _percent(ask.rate) if ask else _raw(said, "rate")
    return [
        Field("traffic_percent", "Share that takes part", traffic, "%", "Empty: everyone"),
        Field("entry", "A visit begins with", said.get("entry", ""), "", "Name of an event; empty: any"),
        Field("until", "History up to", said.get("until", ""), "", "A day such as 2026-03-01; empty: yesterday"),
        Field("visitors_per_week", "New visitors a week", said.get("visitors_per_week", ""), "", "Instead of history"),
        Field("rate_percent", "Rate today", rate, "%", "Instead of history, for one metric"),
        Field("looks", "Looks", said.get("looks", ""), "", "daily or weekly, from day 7 on"),
        Field("futility", "Call it hopeless", said.get("futility", ""), "", "gentle, eager or never"),
    ]


def _raw(said: Mapping[str, str], name: str, default: float | None = None) -> str:
    return said.get(f"{name}_percent", said.get(name, _percent(default)))


_NUMBER = {"visitors_per_week", "weeks", "variants"}
PARAMETERS = [
    OpenApiParameter("metric", OpenApiTypes.STR, many=True, description="Key of a metric; may be given several times."),
    *(
        OpenApiParameter(name, OpenApiTypes.NUMBER if name in _NUMBER else OpenApiTypes.STR)
        for name in SINGLE
        if name != "site"
    ),
]


class Plan(ServerApiView):
    renderer_classes = [JSONRenderer]

    @extend_schema(
        operation_id="plan",
        summary="Sizes, durations and a recommendation, from the site's own traffic and rates",
        description="Shares may be written as `0.1` or `10%`. Without `metric`, every metric of the site is planned with.",
        tags=["results"],
        parameters=PARAMETERS,
        responses={
            200: contract.PLAN,
            400: OpenApiResponse(contract.ERROR, "A value that cannot be planned with."),
            401: OpenApiResponse(contract.ERROR, "No key, or one that is unknown or revoked."),
            403: OpenApiResponse(contract.ERROR, "A client key: planning needs a server key."),
            404: OpenApiResponse(contract.ERROR, "No such experiment on the key's site."),
        },
    )
    def get(self, request: Request) -> Response:
        plan = self._plan(request)
        found = certificate_for(plan, _experiment(plan), now=timezone.now())
        return Response({**to_document(plan), "certificate": certificate_document(found) if found else None})

    def _plan(self, request: Request) -> SitePlan:
        given: dict[str, Sequence[str]] = {name: list(values) for name, values in request.query_params.lists()}
        named = next((value for value in given.get("site", ()) if value), self.site)
        if named != self.site:
            raise ApiError(
                400,
                "site_not_allowed",
                f"This key is of another site than '{named}'.",
                "Leave `site` out: the key decides it.",
            )
        given["site"] = [self.site]
        try:
            return planning.answer(given, now=timezone.now())
        except Refused as refused:
            status = 404 if refused.code == "unknown_experiment" else 400
            raise ApiError(status, refused.code, refused.message, refused.advice) from refused

    @extend_schema(
        operation_id="simulate_plan",
        summary="Ask for the simulation of a plan",
        description="Takes the same parameters as the plan. A worker simulates it in seconds; ask for the plan again to read it.",
        tags=["results"],
        request=None,
        parameters=PARAMETERS,
        responses={
            202: contract.PLAN,
            400: OpenApiResponse(contract.ERROR, "A value that cannot be planned with, or nothing to simulate."),
            401: OpenApiResponse(contract.ERROR, "No key, or one that is unknown or revoked."),
            403: OpenApiResponse(contract.ERROR, "A client key: planning needs a server key."),
            404: OpenApiResponse(contract.ERROR, "No such experiment on the key's site."),
        },
    )
    def post(self, request: Request) -> Response:
        plan = self._plan(request)
        try:
            row = request_certificate(plan=plan, experiment=_experiment(plan), now=timezone.now())
        except Refused as refused:
            raise ApiError(400, refused.code, refused.message, refused.advice) from refused
        if row.status != Certificate.Status.DONE:
            simulate_certificate.delay(row.pk)
        return Response({**to_document(plan), "certificate": certificate_document(row)}, status=202)
