"""`manage.py learn_proxies`: learn from finished experiments now, and print what was learnt."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from experiments.core.refusal import Refused
from experiments.selectors.experiments import site_by_key
from experiments.services import note_learned_priors
from reports.learning import learn_site, learnable_sites
from reports.sections.evidence_words import evidence_lines


class Command(BaseCommand):
    help = "Learn from finished experiments how often ideas are bait and how much of a step's gain arrives."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", metavar="KEY", help="Key of the site; left out, every site.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            keys = [site_by_key(options["site"]).key] if options["site"] else learnable_sites()
        except Refused as refused:
            raise CommandError(f"{refused.code}: {refused.message} {refused.advice}", returncode=1) from refused
        for key in keys:
            evidence, priors = learn_site(site_key=key, now=timezone.now())
            note_learned_priors(site_key=key, priors=priors)
            self.stdout.write(
                f"{key}: {evidence.comparisons} comparisons of finished experiments (evidence {evidence.pk})"
            )
            for line in evidence_lines(evidence.document):
                self.stdout.write(f"  {line}")
