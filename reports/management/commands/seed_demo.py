"""Fill an empty database with a demo shop: configuration, assignment, intake, compaction and analysis, all for real."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone
from tqdm import tqdm

from experiments.models import Site
from experiments.services import note_learned_priors
from reports.learning import learn_site
from reports.management.demo.playing import play
from reports.management.demo.setting_up import DemoSite, set_up
from reports.management.demo.stories import SITE, STORIES, demo_shop
from reports.ranking import rank_site
from reports.services import run_analysis
from tracking.core.timestamps import to_us
from tracking.services import take_over


class Command(BaseCommand):
    help = (
        "Fill an empty database with a demo shop of six weeks, whose experiments tell stories: a micro win, bait-and-switch, "
        "a broken split, one that is too young, and one without effect."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--if-empty", action="store_true", help="Do nothing, silently, when there is a site already."
        )
        parser.add_argument("--seed", type=int, default=4, help="Seed of the simulated traffic. Default: 4.")
        parser.add_argument("--now", metavar="TIME", help="Pretend that it is this moment (ISO 8601 with an offset).")

    def handle(self, *args: Any, **options: Any) -> None:
        if Site.objects.exists():
            if options["if_empty"]:
                return
            raise CommandError(
                "This database has a site already, and the demo fills only an empty one. For a demo beside it, choose "
                "another folder: INKLING_DATA_DIR=var-demo make run."
            )
        began, now = time.monotonic(), _now(options["now"])
        # All or nothing: a run that was interrupted leaves an empty database, which the next run fills.
        with transaction.atomic():
            demo, accepted = self._live_through(now, options["seed"])
        take_over()
        self.stdout.write(f"Demo shop '{SITE}': {accepted:,} events of six weeks.")
        for story in STORIES:
            experiment = demo.experiments[story.key]
            experiment.refresh_from_db()
            run = run_analysis(experiment=experiment, as_of=now, now=now)
            if run.result is None:
                raise CommandError(f"The analysis of '{story.key}' failed: {run.error}")
            self.stdout.write(f"  {story.key}: {run.result['verdict']['state']} ({story.look_for})")
        rank_site(site_key=SITE, now=now)
        _, priors = learn_site(site_key=SITE, now=now)
        note_learned_priors(site_key=SITE, priors=priors)
        self.stdout.write(f"  Client key  {demo.client_key}")
        self.stdout.write(f"  Server key  {demo.server_key}   (shown only this once)")
        self.stdout.write(f"  Done in {time.monotonic() - began:.0f} s. Open /reports/ to read what they say.")

    def _live_through(self, now: datetime, seed: int) -> tuple[DemoSite, int]:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        demo = set_up(now)
        with tqdm(desc="Six weeks of traffic", unit=" events", unit_scale=True, disable=None) as bar:
            accepted = play(
                demo_shop(to_us(midnight)),
                SITE,
                demo.experiments,
                now_us=to_us(now),
                rng=np.random.default_rng(seed),
                progress=bar.update,
            )
        return demo, accepted


def _now(text: str | None) -> datetime:
    if text is None:
        return timezone.now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--now '{text}' is not a time; write it like 2026-03-01T12:00:00Z.") from None
    if moment.tzinfo is None:
        raise CommandError(f"--now '{text}' has no offset; write it like 2026-03-01T12:00:00Z.")
    return moment
