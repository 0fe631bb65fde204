"""A person at the admin: logs in, fills forms as a browser would, reads messages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from experiments.models import Experiment


class Person:
    """One person with a role (or a superuser) and a browser."""

    def __init__(self, role: str) -> None:
        self.user = User.objects.create_user(role, is_staff=True, is_superuser=role == "superuser")
        if role != "superuser":
            self.user.groups.add(Group.objects.get(name=role))
        self.client = Client()
        self.client.force_login(self.user)

    def get(self, view: str, *args: Any, **query: Any) -> Any:
        return self.client.get(reverse(f"admin:{view}", args=args), query)

    def post(self, view: str, *args: Any, data: dict[str, Any]) -> Any:
        return self.client.post(reverse(f"admin:{view}", args=args), data, follow=True)

    def do(self, deed: str, *experiments: Experiment, **data: Any) -> Any:
        address = reverse("admin:experiments_experiment_do", args=[deed])
        return self.client.post(f"{address}?ids={','.join(str(e.pk) for e in experiments)}", data, follow=True)

    def filled_in(self, experiment: Experiment) -> dict[str, Any]:
        """Return what a browser would send when the experiment's page is saved untouched."""
        page = self.get("experiments_experiment_change", experiment.pk)
        assert page.status_code == 200
        return form_data(page)


class _Boxes(HTMLParser):
    """Collects what a browser would send for the page's main form; rows kept for copying (`__prefix__`) stay out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.values: dict[str, str] = {}
        self._is_inside = False
        self._select: str | None = None
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "form":
            self._is_inside = (given.get("id") or "").endswith("_form")
        if not self._is_inside or "__prefix__" in name:
            return
        if tag == "input" and name and given.get("type") not in ("submit", "button", "file"):
            if given.get("type") not in ("checkbox", "radio") or "checked" in given:
                self.values[name] = given.get("value") or ("on" if given.get("type") == "checkbox" else "")
        elif tag == "select" and name:
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.values):
            self.values[self._select] = given.get("value") or ""
        elif tag == "textarea" and name:
            self._textarea = name
            self.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.values[self._textarea] += data


def form_data(page: Any) -> dict[str, Any]:
    """Return what a browser sends when the form on an admin page is saved untouched, read from the HTML itself."""
    boxes = _Boxes()
    boxes.feed(page.content.decode())
    # Browsers drop the line break that HTML puts after <textarea>.
    return {name: value.removeprefix("\r\n").removeprefix("\n") for name, value in boxes.values.items()}


def messages(page: Any) -> str:
    return " ".join(str(m) for m in page.context["messages"]) if page.context else ""


def text_of(page: Any) -> str:
    """Return a page's visible text."""
    body = re.sub(r"<(script|style|template).*?</\1>", " ", page.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))
