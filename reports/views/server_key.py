"""Django REST framework's view of our API keys and our errors: a server key in, `{"error": {...}}` out."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from experiments.core.protocol import ApiError, ClientRequest
from experiments.selectors import live


class KeyHolder:
    """Whoever holds a server key: a program of one site, not a person."""

    is_authenticated = True

    def __init__(self, site: str) -> None:
        self.site = site


class ServerKeyAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer <server key>`; the key decides which site's experiments exist."""

    def authenticate(self, request: Request) -> tuple[KeyHolder, Any]:
        asked = ClientRequest(
            method=request.method or "GET",
            path=request.path,
            headers={name.lower(): value for name, value in request.headers.items()},
            query=dict(request.query_params.items()),
            body=b"",
        )
        grant = live.authenticate(asked, needs_server=True)
        return KeyHolder(grant.site), grant

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ServerKeyScheme(OpenApiAuthenticationExtension):
    target_class = "reports.views.server_key.ServerKeyAuthentication"
    name = "serverKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A server key of the site, made in the admin."}


class HoldsServerKey(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.user, KeyHolder)


class KnownFormats(DefaultContentNegotiation):
    """Takes `?format=` first, then the Accept header; an unknown format is an error with the known ones named."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        known = [r for r in renderers if r.format == format]
        if not known:
            names = " or ".join(r.format for r in renderers)
            raise ApiError(400, "unknown_format", f"There is no format '{format}' here.", f"Ask for {names}.")
        return known


class ServerApiView(APIView):
    """What every endpoint for a site's own servers shares."""

    authentication_classes = [ServerKeyAuthentication]
    permission_classes = [HoldsServerKey]
    content_negotiation_class = KnownFormats

    @property
    def site(self) -> str:
        return str(self.request.user.site)

    def get_exception_handler(self) -> Any:
        return error_response

    def handle_exception(self, exc: Exception) -> Response:
        # An error is JSON whatever was asked for: a program that wanted CSV must still be able to read it.
        renderer = JSONRenderer()
        self.request.accepted_renderer, self.request.accepted_media_type = renderer, renderer.media_type
        return super().handle_exception(exc)


def error_response(problem: Exception, context: Any) -> Response | None:
    """Answer an exception in the envelope of the client API; None leaves it to Django, which logs and answers 500."""
    if isinstance(problem, ApiError):
        headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
        return Response(problem.to_document(), status=problem.status, headers=headers)
    if isinstance(problem, Http404):
        problem = exceptions.NotFound()
    if isinstance(problem, exceptions.APIException):
        refused = ApiError(problem.status_code, str(problem.default_code), str(problem.detail), _advice(problem))
        return Response(refused.to_document(), status=problem.status_code)
    return None


def _advice(problem: exceptions.APIException) -> str:
    if isinstance(problem, exceptions.MethodNotAllowed):
        return "Use GET."
    if isinstance(problem, exceptions.NotAcceptable):
        return "Accept application/json, or text/csv where a report is asked for."
    return "See /api/docs/ for what this endpoint takes."
