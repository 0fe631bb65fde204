"""Errors outside of any view: a page for people, the envelope for programs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from experiments.core.protocol import ApiError


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404, as JSON under /api/."""
    if request.path.startswith("/api/"):
        return _envelope(
            ApiError(
                404, "not_found", f"There is nothing at {request.path[:200]}.", "See /api/docs/ for what there is."
            )
        )
    words = exception.args[0] if exception.args and isinstance(exception.args[0], str) else ""
    return render(request, "404.html", {"heading": words}, status=404)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403, as JSON under /api/."""
    if request.path.startswith("/api/"):
        return _envelope(ApiError(403, "forbidden", "You may not do this.", "Use a key that may."))
    return render(request, "403.html", status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, as JSON under /api/; nothing of the fault is told."""
    if request.path.startswith("/api/"):
        return _envelope(
            ApiError(500, "internal_error", "Something went wrong on our side.", "Try again; the log says more.")
        )
    return render(request, "500.html", status=500)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 for a form that was not sent from our own page."""
    context: dict[str, Any] = {
        "heading": "This form is too old.",
        "advice": "It was opened before you signed in or by another browser. Go back, load the page again and send it once more.",
    }
    return render(request, "403.html", context, status=403)


def _envelope(error: ApiError) -> JsonResponse:
    return JsonResponse(error.to_document(), status=error.status)
