"""`manage.py plan`: sizes, durations and a recommendation before an experiment starts, for a terminal."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from experiments.core.refusal import Refused
from experiments.selectors.experiments import experiment_by_key
from reports import planning
from reports.certificates import certificate_document, compute_certificate, request_certificate
from reports.core.planning.ask import SINGLE
from reports.core.planning.site_plan import SitePlan
from reports.core.planning.wire import to_document
from reports.models import Certificate
from reports.sections.forecast_words import forecast_lines
from reports.sections.plan_words import plan_lines

HELP = {
    "site": "Key of the site; not needed when there is only one.",
    "experiment": "Take metrics, roles, variants and traffic from this experiment.",
    "lift": "The smallest relative change worth finding, 0.1 or 10%% (the default).",
    "weeks": "The weeks at hand; left out, up to 8 are looked at.",
    "variants": "How many variants, the control included, in equal shares.",
    "split": "Their shares, the control first: 50/50 or 60/20/20.",
    "alpha": "Two-sided chance of a false win, 0.05.",
    "power": "Chance to find the lift when it is there, 0.8.",
    "margin": "Relative loss that guardrails may not exceed, 0.1 or 10%%.",
    "traffic": "Share of the visitors that takes part, 1 or 50%%.",
    "entry": "The event with which a visit begins; left out, any event.",
    "until": "The last day of history to count, 2026-03-01; left out, yesterday.",
    "visitors_per_week": "New visitors a week, instead of the site's own history.",
    "rate": "Share of visitors that convert, instead of the site's own history.",
    "looks": "How often it is looked at from day 7 on: daily (the default) or weekly.",
    "futility": "How soon it is called hopeless: gentle (the default), eager or never.",
}


class Command(BaseCommand):
    help = "Plan an experiment from the site's own traffic and rates."

    def add_arguments(self, parser: CommandParser) -> None:
        for name in SINGLE:
            parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=HELP[name])
        parser.add_argument(
            "--metric", metavar="KEY", action="append", help="A metric to plan with; may be given several times."
        )
        parser.add_argument(
            "--simulate", action="store_true", help="Simulate what the rule would do with it; takes some seconds."
        )
        parser.add_argument("--json", action="store_true", help="Print the public JSON document.")

    def handle(self, *args: Any, **options: Any) -> None:
        given = {name: [str(options[name])] for name in SINGLE if options[name] is not None}
        given["metric"] = options["metric"] or []
        try:
            plan = planning.answer(given, now=timezone.now())
            document = {**to_document(plan), "certificate": None}
            if options["simulate"]:
                document["certificate"] = certificate_document(_simulated(plan))
        except Refused as refused:
            raise CommandError(f"{refused.code}: {refused.message} {refused.advice}", returncode=1) from refused
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
            return
        for line in (*plan_lines(document), *forecast_lines(document["options"], document["certificate"])):
            self.stdout.write(line)


def _simulated(plan: SitePlan) -> Certificate:
    now = timezone.now()
    experiment = experiment_by_key(plan.site, plan.ask.experiment) if plan.ask.experiment else None
    row = request_certificate(plan=plan, experiment=experiment, now=now)
    return compute_certificate(certificate_id=row.pk, now=now) or row
