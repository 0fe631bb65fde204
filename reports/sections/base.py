"""What a section of the report is given, and what it is: one file, one view model, one template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from experiments.core.lifecycle import Status
from experiments.core.plan import AnalysisPlan


@dataclass(frozen=True, slots=True)
class ExperimentFacts:
    """The experiment as it stands now, without the database behind it."""

    key: str
    name: str
    site: str
    site_name: str
    status: Status
    time_zone: str = "UTC"
    currency: str = ""
    hypothesis: str = ""
    owner: str = ""
    is_imported: bool = False
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str = ""
    traffic: float = 1.0


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run of the analysis, with its error when it failed."""

    id: int
    is_done: bool
    as_of: datetime
    finished_at: datetime
    plan_hash: str
    code_version: str
    ruleset_version: int | None = None
    error: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What was simulated for the experiment; `is_late` says that it was made after the start, from the history before it."""

    inputs: Mapping[str, Any]
    result: Mapping[str, Any] | None
    finished_at: datetime
    is_late: bool


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything a section may look at.

    `document` is the public JSON of the run on screen (None: there is none yet); `run` that run; `failure` the latest run
    if it failed after the one on screen; `history` the latest runs, newest first; `refresh_minutes` how often a running
    experiment is analysed; `is_latest` says that no newer good run exists; `certificate` is the one registered with the start.
    """

    experiment: ExperimentFacts
    plan: AnalysisPlan | None
    document: Mapping[str, Any] | None
    run: RunFacts | None
    failure: RunFacts | None
    history: tuple[RunFacts, ...]
    now: datetime
    refresh_minutes: int = 15
    is_latest: bool = True
    certificate: CertificateFacts | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page. `build` returns the view model that `template` shows, or None when there is nothing to show."""

    key: str
    title: str
    template: str
    build: Callable[[ReportInput], object | None]


def variant_names(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what people call each variant; its key where the document of an older run has no name."""
    return {str(v["key"]): str(v.get("name") or v["key"]) for v in document["variants"]}
