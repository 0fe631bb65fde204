"""`manage.py reproduce BUNDLE`: compute a run again from its bundle, without database and event store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.core.refusal import Refused
from reports.code_version import code_version
from reports.core.bundle import Bundle, read_bundle
from reports.core.reproduction import Reproduction, reproduce

DIFFERS = 1
UNREADABLE = 2
SHOWN = 50


class Command(BaseCommand):
    help = (
        "Compute a run again from its bundle and compare every number to 1e-9. "
        "Exit status: 0 it agrees, 1 it differs or the file was changed, 2 the file is no bundle."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="A file made by `manage.py export_bundle`.")

    def handle(self, *args: Any, **options: Any) -> None:
        bundle, found = _reproduced(options["bundle"])
        self.stdout.write(
            f"Experiment {bundle.inputs.plan.experiment} as of {bundle.inputs.as_of.isoformat()}, "
            f"{len(bundle.inputs.totals.variant):,} visitors."
        )
        if bundle.code_version != code_version():
            self.stdout.write(
                f"Another code version: the run was computed by {bundle.code_version}, this is {code_version()}."
            )
        if bundle.inputs_changed:
            self.stdout.write("The events had changed between the run and the export, so its numbers may differ.")
        if not found.is_intact:
            self.stdout.write("bundle_tampered: The file was changed after it was written; its sha256 does not fit.")
        for difference in found.differences[:SHOWN]:
            self.stdout.write(
                f"{difference.path}: stored {_shown(difference.stored)}, recomputed {_shown(difference.recomputed)}"
            )
        if found.agrees:
            self.stdout.write(f"All {found.compared:,} values agree to 1e-9.")
            return
        rest = len(found.differences) - SHOWN
        if rest > 0:
            self.stdout.write(f"... and {rest:,} more.")
        raise CommandError(f"{len(found.differences):,} of {found.compared:,} values differ.", returncode=DIFFERS)


def _reproduced(path: Path) -> tuple[Bundle, Reproduction]:
    try:
        bundle = read_bundle(path.read_bytes())
    except OSError as error:
        raise CommandError(
            f"file_unreadable: {path} could not be read: {error.strerror}.", returncode=UNREADABLE
        ) from error
    except Refused as refused:
        raise CommandError(f"{refused.code}: {refused.message} {refused.advice}", returncode=UNREADABLE) from refused
    try:
        return bundle, reproduce(bundle)
    except (KeyError, ValueError, LookupError) as error:
        raise CommandError(
            f"bundle_not_computable: The inputs of this bundle do not fit its plan: {error}", returncode=UNREADABLE
        ) from error


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:117] + "..."
