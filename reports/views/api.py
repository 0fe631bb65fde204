"""Results for programs: the list of experiments, the report of one as JSON or CSV, one earlier run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.core.protocol import ApiError
from reports import selectors
from reports.models import AnalysisRun
from reports.views import contract
from reports.views.exports import csv_text
from reports.views.server_key import ServerApiView

if TYPE_CHECKING:
    from experiments.selectors.experiments import Experiment

KEY = OpenApiParameter("key", OpenApiTypes.STR, OpenApiParameter.PATH, description="Key of the experiment.")
REFUSALS = {
    401: OpenApiResponse(contract.ERROR, "No key, or one that is unknown or revoked."),
    403: OpenApiResponse(contract.ERROR, "A client key: results need a server key."),
    404: OpenApiResponse(contract.ERROR, "No such experiment or run on the key's site, or no answer yet."),
}


class CsvReport(BaseRenderer):
    """Writes a report document as one line per comparison."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return csv_text(data).encode()


class ExperimentList(ServerApiView):
    renderer_classes = [JSONRenderer]

    @extend_schema(
        operation_id="list_experiments",
        summary="List the experiments that have started, with their verdicts",
        tags=["results"],
        parameters=[OpenApiParameter("status", OpenApiTypes.STR, enum=contract.STATUSES)],
        responses={200: contract.EXPERIMENTS, 400: OpenApiResponse(contract.ERROR), **REFUSALS},
    )
    def get(self, request: Request) -> Response:
        status = request.query_params.get("status", "")
        if status and status not in contract.STATUSES:
            raise ApiError(
                400, "unknown_status", f"There is no status '{status}'.", f"Use one of {', '.join(contract.STATUSES)}."
            )
        mine = [
            e
            for e in selectors.reportable_experiments()
            if e.site.key == self.site and (not status or e.status == status)
        ]
        return Response({"experiments": [_listed(row) for row in selectors.report_rows(mine)]})


class ExperimentReport(ServerApiView):
    renderer_classes = [JSONRenderer, CsvReport]

    @extend_schema(
        operation_id="read_report",
        summary="Read the newest report of an experiment",
        tags=["results"],
        parameters=[KEY, contract.FORMAT],
        responses={(200, "application/json"): contract.REPORT, (200, "text/csv"): OpenApiTypes.STR, **REFUSALS},
    )
    def get(self, request: Request, key: str) -> Response:
        experiment = _experiment(self.site, key)
        run = selectors.last_good_run(experiment)
        if run is None:
            raise _no_answer(experiment)
        return Response(selectors.report_document(run))


class ExperimentRun(ServerApiView):
    renderer_classes = [JSONRenderer, CsvReport]

    @extend_schema(
        operation_id="read_run",
        summary="Read one earlier run; a failed one says why",
        tags=["results"],
        parameters=[
            KEY,
            OpenApiParameter("run_id", OpenApiTypes.INT, OpenApiParameter.PATH, description="Number of the run."),
            contract.FORMAT,
        ],
        responses={(200, "application/json"): contract.REPORT, (200, "text/csv"): OpenApiTypes.STR, **REFUSALS},
    )
    def get(self, request: Request, key: str, run_id: int) -> Response:
        experiment = _experiment(self.site, key)
        run = selectors.run_of(experiment, run_id)
        if run is None:
            raise ApiError(
                404,
                "unknown_run",
                f"Experiment '{key}' has no run {run_id}.",
                f"GET /api/v1/experiments/{key}/report gives the newest one.",
            )
        if run.status != AnalysisRun.Status.DONE:
            raise _failed(run)
        return Response(selectors.report_document(run))


def _experiment(site: str, key: str) -> Experiment:
    found = selectors.experiments_called(key, site=site)
    if found:
        return found[0]
    known = [e.key for e in selectors.reportable_experiments() if e.site.key == site]
    near = selectors.close_matches(key, known)
    advice = f"Did you mean {' or '.join(near)}?" if near else "GET /api/v1/experiments lists those of this key's site."
    raise ApiError(404, "unknown_experiment", f"There is no experiment '{key}' on site '{site}'.", advice)


def _no_answer(experiment: Experiment) -> ApiError:
    if experiment.started_at is None:
        return ApiError(
            404,
            "not_started",
            f"Experiment '{experiment.key}' has not started, so it has no report.",
            "Start it in the admin; the first report follows within minutes.",
        )
    run = selectors.latest_run(experiment)
    if run is not None:
        return _failed(run)
    return ApiError(
        404,
        "no_report_yet",
        f"Experiment '{experiment.key}' has not been analysed yet.",
        f"Ask again in {selectors.refresh_minutes()} minutes, or run `manage.py analyse {experiment.key}`.",
    )


def _failed(run: AnalysisRun) -> ApiError:
    error = run.error or {}
    return ApiError(404, str(error.get("code")), str(error.get("message")), str(error.get("advice")))


def _listed(row: selectors.ReportRow) -> dict[str, Any]:
    facts = row.experiment
    return {
        "key": facts.key,
        "name": facts.name,
        "status": facts.status.value,
        "is_imported": facts.is_imported,
        "started_at": facts.started_at.isoformat() if facts.started_at else None,
        "ended_at": facts.ended_at.isoformat() if facts.ended_at else None,
        "verdict": {"state": row.verdict["state"], "summary": row.verdict["summary"]} if row.verdict else None,
        "visitors": row.visitors,
        "as_of": row.run.as_of.isoformat() if row.run else None,
        "run": row.run.id if row.run else None,
        "latest_run_failed": row.latest_failed,
    }
