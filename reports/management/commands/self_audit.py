"""`manage.py self_audit METRIC|--all --site SITE`: try metrics on the site's own past before they may decide anything."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from experiments import services
from experiments.core.refusal import Refused
from experiments.selectors.metrics import auditable_metrics
from reports.audits import LEAST_DAYS, audit_metric, outcome_document
from reports.models import MetricAudit


class Command(BaseCommand):
    help = (
        "Split the site's past visitors at random 500 times per metric and report how often chance looks like an effect, "
        "and the smallest lift that can be found. Exit status 1 when a metric failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("metric", metavar="METRIC", nargs="?", help="Key of the metric.")
        parser.add_argument("--all", action="store_true", help="Every metric of the site that is not archived.")
        parser.add_argument("--site", required=True, help="Key of the site.")
        parser.add_argument(
            "--days", type=int, default=LEAST_DAYS, help=f"How far to look back; at least {LEAST_DAYS}, the default."
        )
        parser.add_argument("--seed", type=int, help="Repeat an earlier audit's splits; without it they are new.")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["metric"]) == options["all"]:
            raise CommandError("metric_or_all: Name one METRIC, or say --all for every metric of the site.")
        if options["days"] < LEAST_DAYS:
            raise CommandError(
                f"too_few_days: {options['days']} days are too few; an audit needs at least {LEAST_DAYS}."
            )
        if options["seed"] is not None and options["seed"] < 0:
            raise CommandError(f"seed_malformed: The seed {options['seed']} is below 0; give a whole number from 0 on.")
        now = timezone.now()
        seed = int(now.timestamp()) if options["seed"] is None else options["seed"]
        try:
            metrics = auditable_metrics(options["site"], options["metric"])
        except Refused as refused:
            raise CommandError(f"{refused.code}: {refused.message} {refused.advice}") from refused
        failed = []
        for metric in metrics:
            audit = audit_metric(metric=metric, now=now, seed=seed, days=options["days"])
            services.note_audit(metric=metric, outcome=outcome_document(audit), at=now)
            self.stdout.write(_line(metric.key, audit))
            if audit.state == MetricAudit.State.FAILED:
                failed.append(metric.key)
        if failed:
            raise CommandError(
                f"metric_failed_audit: {', '.join(failed)} may not decide an experiment; exploratory use stays open.",
                returncode=1,
            )


def _line(key: str, audit: MetricAudit) -> str:
    head = f"{key}: {audit.get_state_display().lower()}. {audit.reason}"
    if audit.false_positive_rate is None or audit.rate_low is None or audit.rate_high is None:
        return head
    found = (
        f"{head}\n    false positives {audit.false_positive_rate:.1%} (95 % interval {audit.rate_low:.1%} to "
        f"{audit.rate_high:.1%}), {audit.visitors:,} visitors, {audit.splits:,} splits, seed {audit.seed}"
    )
    if audit.detectable_lift is None:
        return found
    return f"{found}\n    smallest lift found with 80 % power: {audit.detectable_lift:.1%}"
