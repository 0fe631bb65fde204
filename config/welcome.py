"""What `make run` says once the site answers: where things are and what to try."""

from __future__ import annotations

import http.client
import os
import shlex
from collections.abc import Callable

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model


class Greeting:
    """Says hello once, when the web server answers."""

    def __init__(self, *, say: Callable[[str], object]) -> None:
        self._say = say
        self._is_said = False

    def say_when_up(self) -> None:
        if not self._is_said and is_up(settings.PORT):
            self._is_said = True
            for line in lines():
                self._say(line)


def is_up(port: int) -> bool:
    connection = http.client.HTTPConnection(_reachable_host(), port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _reachable_host() -> str:
    return "127.0.0.1" if settings.HOST in {"0.0.0.0", "::", ""} else settings.HOST


def lines() -> list[str]:
    """Return the lines to print: addresses, the login, and one command for each thing to try."""
    shown_host = "localhost" if _reachable_host() == "127.0.0.1" else _reachable_host()
    site = f"http://{shown_host}:{settings.PORT}"
    told = [
        "",
        f"Inkling is ready at {site}/",
        f"  Reports    {site}/reports/",
        f"  Admin      {site}/admin/",
        f"  Tracking   {site}/tracking/",
        f"  API docs   {site}/api/docs/",
        f"  Health     {site}/readyz",
        *_login(),
    ]
    if not settings.IS_PRODUCTION:
        told += ["", "To try in another terminal:", *_things_to_try(site)]
    return [*told, "", "Ctrl-C stops everything."]


def _login() -> list[str]:
    admin = get_user_model().objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if admin is None:
        return [f"  Login      none yet: {_manage()} createsuperuser"]
    name = admin.get_username()
    return [
        f"  Login      {name}; the password was printed when it was made. "
        f"To set another: {_manage()} changepassword {name}"
    ]


def _manage() -> str:
    """Return how to call manage.py on this very instance."""
    folder = os.environ.get("INKLING_DATA_DIR")
    prefix = f"INKLING_DATA_DIR={shlex.quote(folder)} " if folder else ""
    return f"{prefix}.venv/bin/python manage.py"


def _things_to_try(site: str) -> list[str]:
    manage = _manage()
    experiment = apps.get_model("experiments", "Experiment").objects.filter(status="running").order_by("pk").first()
    key = (
        apps.get_model("experiments", "ApiKey")
        .objects.filter(kind="client", revoked_at=None)
        .exclude(public_value="")
        .order_by("pk")
        .first()
    )
    told = []
    if key is not None:
        call = f"curl -s -H 'Authorization: Bearer {key.public_value}' {site}/api/v1"
        told += [
            "  Which variants does a visitor get?",
            f'    {call}/assignments -d \'{{"visitor_id": "ada", "expose": true}}\'',
            "  Send an event",
            f'    {call}/events -d \'{{"events": [{{"name": "add_to_cart", "visitor_id": "ada"}}]}}\'',
        ]
    if apps.get_model("experiments", "Site").objects.filter(key="demo").exists():
        told += ["  Be a visitor of the demo shop, and watch what arrives", f"    {site}/demo/      {site}/tracking/"]
    if experiment is not None:
        told += [
            "  Open a report",
            f"    {site}/reports/{experiment.key}/",
            "  Analyse now",
            f"    {manage} analyse {experiment.key} --json",
        ]
    return [
        *told,
        "  Bring in data you have",
        f"    {manage} import_events --help      {manage} import_visitors --help",
    ]
