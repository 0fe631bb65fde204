"""`manage.py export_bundle KEY FILE`: a run with everything it was made of, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.core.refusal import Refused
from experiments.selectors.experiments import experiment_by_key
from reports import selectors
from reports.bundles import bundle_of
from reports.core.bundle import write_bundle


class Command(BaseCommand):
    help = "Write a run of an experiment to a file from which `manage.py reproduce` computes every number again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", metavar="KEY", help="Key of the experiment.")
        parser.add_argument("file", metavar="FILE", type=Path, help="Where to write; an existing file is replaced.")
        parser.add_argument("--site", help="Key of its site, needed when several sites have the experiment.")
        parser.add_argument("--run", metavar="ID", type=int, help="Which run; without it the last good one.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            experiment = experiment_by_key(options["site"], options["key"])
            asked = options["run"]
            run = selectors.last_good_run(experiment) if asked is None else selectors.run_of(experiment, asked)
            if run is None:
                which = "no run with a result yet" if asked is None else f"no run {asked}"
                raise Refused(
                    "unknown_run",
                    f"Experiment '{experiment.key}' has {which}.",
                    "Analyse it with `manage.py analyse KEY`, or choose a run that the report page lists.",
                )
            bundle = bundle_of(experiment=experiment, run=run)
        except Refused as refused:
            raise CommandError(f"{refused.code}: {refused.message} {refused.advice}") from refused
        try:
            options["file"].write_text(write_bundle(bundle), encoding="utf-8")
        except OSError as error:
            raise CommandError(
                f"file_not_written: {options['file']} could not be written: {error.strerror}."
            ) from error
        visitors = len(bundle.inputs.totals.variant)
        self.stdout.write(f"Run {run.pk} of {experiment.key}, {visitors:,} visitors, is in {options['file']}.")
        if bundle.inputs_changed:
            self.stderr.write(
                "The events changed since this run was computed (late arrivals or erased visitors), "
                "so `reproduce` will find other numbers than the run shows. Analyse again to get a run that agrees."
            )
