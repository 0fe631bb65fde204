"""The verdict first: one sentence, the numbers that made it, how far the experiment has come and when it could change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from experiments.core.lifecycle import Status
from reports.sections import numbers
from reports.sections.base import ReportInput, Section
from reports.sections.verdicts import VerdictLook, look_of

STALE_AFTER = 4  # planned refreshes missed before the page says that its numbers are old


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of something planned has happened. Units: `percent` 0..100; None when nothing was planned."""

    label: str
    value: str
    of: str = ""
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know before reading on. `tone` is `info`, `warn` or `bad`."""

    tone: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Headline:
    look: VerdictLook
    summary: str
    reasons: tuple[str, ...]
    progress: tuple[Progress, ...]
    next_change: str
    analysed: str
    analysed_at: str
    notices: tuple[Notice, ...]


def build(report: ReportInput) -> Headline:
    """Turn the verdict of the document, or the lack of one, into what a person reads first."""
    if report.document is None:
        return _without_result(report)
    verdict = report.document["verdict"]
    look = look_of(str(verdict["state"]))
    assert report.run is not None
    return Headline(
        look=look,
        summary=numbers.typeset(str(verdict["summary"])),
        reasons=tuple(reason_text(r) for r in verdict.get("reasons", ())),
        progress=progress(report),
        next_change=next_change(report, verdict),
        analysed=numbers.age(report.run.as_of, report.now),
        analysed_at=numbers.moment(report.run.as_of, report.experiment.time_zone),
        notices=notices(report),
    )


def reason_text(reason: Any) -> str:
    """Return the sentence of a reason, which is a plain string or an object with a code and a text."""
    if isinstance(reason, str):
        return numbers.typeset(reason)
    return numbers.typeset(
        str(reason.get("text") or reason.get("detail") or reason.get("message") or reason.get("code", ""))
    )


def progress(report: ReportInput) -> tuple[Progress, ...]:
    """Return days and visitors so far against the plan."""
    parts = []
    facts, plan, document = report.experiment, report.plan, report.document
    horizon = plan.horizon_days if plan else None
    if facts.is_imported and document is not None:
        spanned = _spanned_days(document)
        if spanned:
            parts.append(Progress("Days of data", numbers.whole(spanned)))
    elif facts.started_at is not None:
        end = min(facts.ended_at or report.now, report.run.as_of if report.run else report.now)
        # Whole days, as the verdict and its looks count them.
        parts.append(_part("Days", max((end - facts.started_at) // timedelta(days=1), 0), horizon))
    if document is not None:
        visitors = sum(int(v["visitors"]) for v in document["variants"])
        parts.append(_part("Visitors", visitors, plan.planned_visitors if plan else None))
    return tuple(parts)


def _part(label: str, value: int, planned: int | None) -> Progress:
    if not planned:
        return Progress(label, numbers.whole(value))
    share = min(100.0, 100 * value / planned)
    if value > planned:
        return Progress(label, numbers.whole(value), f"{numbers.whole(planned)} were planned", share)
    return Progress(label, numbers.whole(value), f"of {numbers.whole(planned)} planned", share)


def _spanned_days(document: Mapping[str, Any]) -> int:
    return len((document.get("exposures") or {}).get("days", ()))


def next_change(report: ReportInput, verdict: Mapping[str, Any]) -> str:
    """Say when the verdict could next be another one."""
    facts = report.experiment
    if facts.is_imported:
        return "Only when more data are imported."
    if facts.status is Status.ARCHIVED:
        return "It is archived and stays as it is."
    if facts.status is Status.STOPPED:
        return "Only while late conversions arrive; after the last conversion window it stays as it is."
    if facts.status is Status.PAUSED:
        return "After it is resumed, or when late conversions arrive."
    look = numbers.parse_time(verdict.get("next_change"))
    if look is not None and look > report.now:
        return f"Not before {numbers.moment(look, facts.time_zone)}."
    if report.document is not None and report.document.get("is_final"):
        return "The planned data are in: decide, and stop the experiment."
    return f"With the next analysis, within {report.refresh_minutes} minutes."


def notices(report: ReportInput) -> tuple[Notice, ...]:
    """Return what a reader must know about the experiment and the age of these numbers, most pressing first."""
    found = []
    facts, run = report.experiment, report.run
    if not report.is_latest and run is not None:
        found.append(
            Notice(
                "info",
                "An earlier answer",
                f"This is run {run.id}, as it stood on {numbers.moment(run.as_of, facts.time_zone)}. A newer one exists.",
            )
        )
    if report.failure is not None and report.is_latest:
        found.append(_failed(report))
    elif run is not None and report.is_latest and facts.status is Status.RUNNING:
        late = report.now - run.as_of
        if late > timedelta(minutes=report.refresh_minutes * STALE_AFTER):
            found.append(
                Notice(
                    "warn",
                    "These numbers are old",
                    f"The last analysis was {numbers.age(run.as_of, report.now)}, though one is due every "
                    f"{report.refresh_minutes} minutes. The worker may be down; assignment and events go on without it.",
                )
            )
    if facts.status is Status.ARCHIVED:
        found.append(
            Notice(
                "info", "Archived", "Kept for the record; no visitor meets it any more." + _because(facts.end_reason)
            )
        )
    elif facts.status is Status.STOPPED and not facts.is_imported:
        ended = numbers.day(facts.ended_at, facts.time_zone) if facts.ended_at else "an unknown day"
        found.append(
            Notice("info", f"Stopped on {ended}", _because(facts.end_reason).strip() or "No reason was given.")
        )
    elif facts.status is Status.PAUSED:
        found.append(Notice("info", "Paused", "New visitors get no variant; those who met one are still followed."))
    if facts.is_imported:
        found.append(
            Notice(
                "info",
                "Imported",
                "These visitors were assigned elsewhere, so there is no plan made beforehand: read it as one look at finished data.",
            )
        )
    return tuple(found)


def _because(reason: str) -> str:
    return f" Reason: {reason.strip()}" if reason.strip() else ""


def _failed(report: ReportInput) -> Notice:
    failure, run = report.failure, report.run
    assert failure is not None
    error = failure.error or {}
    text = f"{error.get('message', 'The analysis failed.')} {error.get('advice', '')}".strip()
    if run is None:
        return Notice("bad", "The analysis failed", text)
    return Notice(
        "warn",
        f"The latest analysis failed, {numbers.age(failure.finished_at, report.now)}",
        f"{text} Below is the last good answer, from {numbers.age(run.as_of, report.now)}.",
    )


def _without_result(report: ReportInput) -> Headline:
    facts = report.experiment
    if facts.status is Status.DRAFT:
        look, summary = look_of("not_started"), "This experiment has not started, so no visitor has met it yet."
        following = "After it is started in the admin."
    elif report.failure is not None:
        look, summary = look_of("no_answer"), "There is no answer yet, because the analysis could not be finished."
        following = "With the next analysis, which is tried again by itself."
    elif facts.status is Status.ARCHIVED:
        look, summary = look_of("no_answer"), "This experiment was archived before it was ever analysed."
        following = "It stays as it is."
    else:
        look, summary = look_of("waiting"), "The first analysis is on its way. Visitors are being counted already."
        following = f"Within {report.refresh_minutes} minutes."
    return Headline(look, summary, (), progress(report), following, "", "", notices(report))


HEADLINE = Section(key="verdict", title="Verdict", template="reports/sections/headline.html", build=build)
