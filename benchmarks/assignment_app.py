"""The product's WSGI application with three empty addresses beside it, to measure assignments against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.addresses import EMPTY_FRONT, EMPTY_VIEW, EMPTY_VIEW_BARE
from config.wsgi import application as product

from django.conf import settings  # isort: skip
from django.core.handlers.wsgi import WSGIHandler  # isort: skip
from django.http import HttpRequest, HttpResponse  # isort: skip
from django.urls import path  # isort: skip

from config import client_api  # isort: skip
from experiments.core.protocol import ClientRequest, Reply  # isort: skip


def _empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"")


def _empty_front(request: ClientRequest, now_us: int) -> Reply:
    return Reply(200, b"")


urlpatterns = [path(EMPTY_VIEW[1:], _empty), path(EMPTY_VIEW_BARE[1:], _empty)]
settings.ROOT_URLCONF = "benchmarks.assignment_app"

_middleware = settings.MIDDLEWARE
settings.MIDDLEWARE = []
_bare = WSGIHandler()
settings.MIDDLEWARE = _middleware

client_api.ROUTES = {**client_api.ROUTES, EMPTY_FRONT: {"GET": client_api.Route(_empty_front)}}


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == EMPTY_VIEW_BARE:
        return _bare(environ, start_response)
    return product(environ, start_response)
