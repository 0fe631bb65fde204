"""Running the import commands in tests, each time with an intake that has seen nothing."""

from __future__ import annotations

import io
import json
from typing import Any

from django.core.management import call_command


def said(*arguments: str) -> str:
    """Run a command and return what it printed."""
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def report(key: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(said("analyse", key, "--json"))
    return document
