"""Ranking a site's micro conversions by its own history: read it, rank, keep what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from experiments.core.funnel import CONVERSION_KIND
from experiments.core.metrics import Aggregate, Column, Conversion, MetricDefinition
from experiments.core.refusal import Refused
from experiments.selectors.experiments import site_by_key
from experiments.selectors.planning import SiteFacts, metrics_of
from reports.code_version import code_version
from reports.core.progress import microseconds
from reports.core.proxy.learning.report_card import step_covariance
from reports.core.proxy.observational.journeys import LANDMARK_HOURS, WINDOW_HOURS, Journeys, Micro
from reports.core.proxy.observational.ranking import rank_micros
from reports.core.proxy.observational.wire import ranking_document
from reports.core.proxy.verdict import default_prior
from reports.learning import proxy_evidence
from reports.models import ProxyRanking
from reports.sections import numbers
from reports.sections.ranking_words import RankingWords, ranking_words
from tracking.core.history import HistoryRequest, VisitorHistory
from tracking.selectors import event_store

MOST_WEEKS = 8
PLANNED_WEEKS = 8  # the length of the experiments whose traffic a ranking is for
MOST_VISITORS = 150_000  # looked at; of more visitors that many are drawn
BEFORE_HOURS = 28 * 24.0
SEED = 1
USUAL_PASS_THROUGH = 0.8
OF_SECONDARY = 0.1


@dataclass(frozen=True, slots=True)
class Subject:
    """The goal and the micro conversions of a site that can be held against it, milestones in their order first."""

    macro: MetricDefinition
    micros: tuple[MetricDefinition, ...]


def subject_of(site_key: str) -> Subject:
    """Return what can be ranked. Raises: Refused with code `no_macro` or `no_micro`."""
    metrics = [m for m in metrics_of(site_key) if m.kind == CONVERSION_KIND]
    macros = [m for m in metrics if m.conversion is Conversion.MACRO]
    if not macros:
        raise Refused(
            "no_macro", f"Site '{site_key}' has no macro conversion yet.", "Add the goal as a metric in the admin."
        )
    steps = [m for m in metrics if m.conversion is Conversion.MILESTONE and m.funnel_order is not None]
    actions = [m for m in metrics if m.conversion is Conversion.SECONDARY]
    if not steps and not actions:
        raise Refused(
            "no_micro",
            f"Site '{site_key}' has no micro conversion yet.",
            "Add milestones with their place on the way, or secondary actions.",
        )
    return Subject(macros[0], (*sorted(steps, key=lambda m: (m.funnel_order or 0, m.key)), *actions))


def rank_site(*, site_key: str, now: datetime, seed: int = SEED) -> ProxyRanking:
    """Rank a site's micro conversions on the visitors whose two weeks have passed, and keep the ranking.

    Raises: Refused with code `no_macro`, `no_micro` or `no_history` when there is nothing to rank by.
    """
    subject = subject_of(site_key)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until = midnight - timedelta(hours=LANDMARK_HOURS + WINDOW_HOURS)
    since = until - timedelta(weeks=MOST_WEEKS)
    history = event_store().visitor_history(
        HistoryRequest(
            site=site_key,
            since=microseconds(since),
            until=microseconds(until),
            as_of=microseconds(now),
            columns=_columns(subject),
        )
    )
    rng = np.random.default_rng(seed)
    everybody = len(history.first_seen)
    journeys = _journeys(subject, _drawn(history, rng))
    if not journeys.did_macro().any():
        raise Refused(
            "no_history",
            f"Of the {everybody:,} visitors of site '{site_key}' whose two weeks have passed, nobody has reached "
            f"'{subject.macro.name or subject.macro.key}'.",
            "Wait until some have, or import the site's history.",
        )
    first = int(history.first_seen.min())
    weeks = max((microseconds(until) - first) / 604_800e6, 1.0)
    per_week = everybody / weeks
    candidates = rank_micros(
        journeys,
        step_covariance(default_prior(), len(journeys.milestones) + 1),
        visitors_per_variant=per_week * PLANNED_WEEKS / 2,
        rng=rng,
    )
    macro = {
        "key": subject.macro.key,
        "name": subject.macro.name or subject.macro.key,
        "share": float(journeys.did_macro().mean()),
        "landmark_hours": LANDMARK_HOURS,
        "window_hours": WINDOW_HOURS,
        "visitors_per_week": per_week,
        "planned_weeks": PLANNED_WEEKS,
    }
    return ProxyRanking.objects.create(
        site=site_by_key(site_key),
        as_of=now,
        since=since,
        until=until,
        visitors=len(journeys.macro_hours),
        of_visitors=everybody,
        document=ranking_document(candidates, macro=macro),
        code_version=code_version(),
    )


def newest_ranking(site_key: str) -> ProxyRanking | None:
    return ProxyRanking.objects.filter(site__key=site_key).first()


def _columns(subject: Subject) -> tuple[Column, ...]:
    """Return, per metric, the hours until it was first done, and how often in the four weeks before the first visit."""
    follow = LANDMARK_HOURS + WINDOW_HOURS
    metrics = (*subject.micros, subject.macro)
    return (
        *(Column(f"{m.key}.first", m.event, Aggregate.FIRST_HOURS, m.where, end_hours=follow) for m in metrics),
        *(
            Column(f"{m.key}.before", m.event, Aggregate.COUNT, m.where, start_hours=-BEFORE_HOURS, end_hours=0.0)
            for m in metrics
        ),
    )


def _drawn(history: VisitorHistory, rng: np.random.Generator) -> VisitorHistory:
    """Return the visitors in an order of their own, a part of them where there are very many."""
    order = np.lexsort([*history.columns.values(), history.first_seen])
    if len(order) > MOST_VISITORS:
        order = np.sort(rng.choice(order, MOST_VISITORS, replace=False))
    return VisitorHistory(history.first_seen[order], {name: c[order] for name, c in history.columns.items()})


def _journeys(subject: Subject, history: VisitorHistory) -> Journeys:
    """Return the visitors with what was known when they came: weekday, hour, and what they had done before."""
    days = history.first_seen // 86_400_000_000
    weekday = (days + 3) % 7
    hour = history.first_seen // 3_600_000_000 % 24
    known = [(weekday == day).astype(float) for day in range(1, 7)]
    known += [(hour // 6 == quarter).astype(float) for quarter in range(1, 4)]
    known += [np.log1p(np.nan_to_num(history.columns[f"{m.key}.before"])) for m in (*subject.micros, subject.macro)]
    return Journeys(
        micros=tuple(_micro(m, history) for m in subject.micros),
        macro_hours=history.columns[f"{subject.macro.key}.first"],
        covariates=np.column_stack(known) if len(days) else np.empty((0, len(known))),
    )


def _micro(metric: MetricDefinition, history: VisitorHistory) -> Micro:
    usual = USUAL_PASS_THROUGH if metric.conversion is Conversion.MILESTONE else OF_SECONDARY
    return Micro(
        key=metric.key,
        name=metric.name or metric.key,
        conversion=metric.conversion,
        hours=history.columns[f"{metric.key}.first"],
        funnel_order=metric.funnel_order,
        pass_through=metric.expected_pass_through or usual,
    )


def grades_of(site_key: str, micros: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the grade of each ranked micro conversion: E for a secondary action, of a milestone what experiments gave it."""
    evidence = proxy_evidence(site_key)
    learned = evidence["grade"] if evidence else "D"
    known = {step["key"] for step in evidence["steps"]} if evidence else set()
    return {
        one["key"]: "E"
        if one["conversion"] == Conversion.SECONDARY.value
        else (learned if one["key"] in known else "D")
        for one in micros
    }


def words_of(ranking: ProxyRanking, site: SiteFacts) -> RankingWords:
    """Return a stored ranking in words."""
    period = f"{numbers.day(ranking.since, site.time_zone)} to {numbers.day(ranking.until, site.time_zone)}"
    return ranking_words(
        ranking.document,
        grades_of(site.key, ranking.document["micros"]),
        visitors=ranking.visitors,
        of_visitors=ranking.of_visitors,
        period=period,
    )
