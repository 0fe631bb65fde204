"""`manage.py erase_visitor SITE VISITOR`: delete everything known about one visitor."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.core.refusal import Refused
from experiments.selectors.experiments import site_by_key
from tracking.services import erase_visitor
from tracking.stores.manifest import StoreBusy


class Command(BaseCommand):
    help = "Delete every event of a visitor and of the identities linked to it, for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("site", help="The site's key.")
        parser.add_argument("visitor", help="The visitor id as it was sent.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            site = site_by_key(options["site"])
            erased = erase_visitor(site=site.key, visitor=options["visitor"])
        except Refused as refused:
            raise CommandError(f"{refused.message} {refused.advice}") from refused
        except StoreBusy as busy:
            raise CommandError(f"{busy} Try again in a minute; nothing was deleted.") from busy
        self.stdout.write(self.style.SUCCESS(f"{erased:,} events of '{options['visitor']}' erased."))
