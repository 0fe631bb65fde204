"""`manage.py evaluate_counts FILE`: the proxy engine on counts from anywhere, so that anybody can check it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from reports.core.proxy.cases import CaseFault, evaluate_case


class Command(BaseCommand):
    help = "Evaluate funnels given as counts, and print the engine's evidence and state as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help='JSON: one case, a list of cases, or {"cases": [...]}.')

    def handle(self, *args: Any, **options: Any) -> None:
        document = _read(Path(options["file"]))
        is_set = isinstance(document, dict) and "cases" in document
        cases = document["cases"] if is_set else document
        if not isinstance(cases, list):
            found: Any = _evaluated(cases, None)
        else:
            found = [_evaluated(case, number) for number, case in enumerate(cases)]
        if is_set:
            found = {**{k: v for k, v in document.items() if k != "cases"}, "cases": found}
        self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"file_not_readable: {path}: {error.strerror}. Give the path of a JSON file.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CommandError(f"not_json: {path} is not JSON: {error}. Save it as UTF-8 JSON.") from error


def _evaluated(case: Any, number: int | None) -> dict[str, Any]:
    try:
        return evaluate_case(case)
    except CaseFault as fault:
        where = "" if number is None else f"Case {number}: "
        raise CommandError(f"{fault.code}: {where}{fault.message} {fault.advice}") from fault
