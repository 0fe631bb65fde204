"""`manage.py analyse KEY`: analyse one experiment at once, and print the report."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from experiments.core.refusal import Refused
from experiments.selectors.experiments import Experiment, experiment_by_key
from reports import selectors, services
from reports.models import AnalysisRun
from reports.plain_text import report_lines


class Command(BaseCommand):
    help = "Analyse an experiment at once, keep the run, and print the report."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", metavar="KEY", help="Key of the experiment.")
        parser.add_argument("--site", help="Key of its site, needed when several sites have the experiment.")
        parser.add_argument(
            "--as-of",
            metavar="TIME",
            help="Count only what happened up to this moment, ISO 8601; without a zone it is in the site's zone.",
        )
        parser.add_argument("--json", action="store_true", help="Print the public JSON document.")

    def handle(self, *args: Any, **options: Any) -> None:
        experiment = _experiment(options["key"], options["site"])
        now = timezone.now()
        as_of = _moment(options["as_of"], experiment.site.time_zone) if options["as_of"] else now
        try:
            run = services.run_analysis(experiment=experiment, as_of=as_of, now=now)
        except Refused as refused:
            raise _refusal(refused.code, refused.message, refused.advice) from refused
        if run.status != AnalysisRun.Status.DONE:
            error = run.error or {}
            raise _refusal(error.get("code", ""), error.get("message", ""), error.get("advice", ""))
        document = selectors.report_document(run)
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
            return
        for line in report_lines(document, name=experiment.name, time_zone=experiment.site.time_zone):
            self.stdout.write(line)


def _experiment(key: str, site: str | None) -> Experiment:
    try:
        return experiment_by_key(site, key)
    except Refused as refused:
        advice = refused.advice
        if refused.code == "unknown_experiment":
            known = [e.key for e in selectors.reportable_experiments() if site in (None, e.site.key)]
            near = selectors.close_matches(key, known)
            if near:
                advice = f"Did you mean {' or '.join(near)}?"
            elif known:
                advice = f"There are: {', '.join(sorted(known)[:10])}."
        raise _refusal(refused.code, refused.message, advice) from refused


def _moment(text: str, time_zone: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refusal(
            "as_of_malformed", f"'{text}' is no time.", "Write it as 2026-03-01 or 2026-03-01T12:00:00+00:00."
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(time_zone))
    return moment.astimezone(UTC)


def _refusal(code: str, message: str, advice: str) -> CommandError:
    return CommandError(f"{code}: {message} {advice}".strip(), returncode=1)
