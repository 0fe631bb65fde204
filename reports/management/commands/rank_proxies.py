"""`manage.py rank_proxies`: rank a site's micro conversions by its own history now, and print the ranking."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from experiments.core.refusal import Refused
from experiments.selectors.experiments import site_by_key
from experiments.selectors.planning import sites
from reports.ranking import rank_site, words_of
from reports.sections.ranking_words import ranking_lines


class Command(BaseCommand):
    help = "Rank micro conversions by how they go together with the goal. Association, not cause: it ranks and never ships."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", metavar="KEY", help="Key of the site; left out, every site.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chosen = site_by_key(options["site"]).key if options["site"] else None
        except Refused as refused:
            raise CommandError(f"{refused.code}: {refused.message} {refused.advice}", returncode=1) from refused
        for site in sites():
            if chosen not in (None, site.key):
                continue
            try:
                ranking = rank_site(site_key=site.key, now=timezone.now())
            except Refused as refused:
                if chosen is not None:
                    raise CommandError(f"{refused.code}: {refused.message} {refused.advice}", returncode=1) from refused
                self.stderr.write(f"{site.key}: {refused.code}: {refused.message}")
                continue
            for line in ranking_lines(words_of(ranking, site)):
                self.stdout.write(line)
