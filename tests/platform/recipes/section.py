"""How many metrics the experiment has."""

from __future__ import annotations

from dataclasses import dataclass

from reports.sections.base import ReportInput, Section


@dataclass(frozen=True, slots=True)
class Tally:
    metrics: int


def build(report: ReportInput) -> Tally | None:
    return None if report.document is None else Tally(len(report.document["metrics"]))


TALLY = Section("tally", "Tally", "reports/sections/tally.html", build)
