"""One analysis of 20 metrics and three variants with daily looks, after the totals are read: seconds of CPU.

    python -m benchmarks.looks [--metrics 20] [--visitors 30000] [--rounds 5]

Shares, amounts, counts and orders per session of four weeks, one of them primary, three guardrails, the others proxies and
exploratory. `first` is the analysis of a fresh process, which computes every bound; `analysis` one with the bounds cached, as in
a worker that has analysed before; `document` everything up to the report's JSON. The days differ in traffic, so that
every round has bounds of its own where they depend on the visitors; `again` repeats the very same analysis.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np

from experiments.core.metrics import Conversion, MetricDefinition, Role
from experiments.core.plan import AnalysisPlan, PlannedMetric, PlannedVariant
from reports.core.analyse import Analysis, analyse
from reports.core.wire import to_document
from tracking.core.totals import DailyExposures, ExposureCounts, VisitorTotals

T = TypeVar("T")

HORIZON_DAYS = 28
DAY_US = 86_400_000_000
STARTED = datetime(2026, 3, 2, tzinfo=UTC)
AS_OF = STARTED + timedelta(days=HORIZON_DAYS)
VARIANTS = ("control", "a", "b")
LIMIT_SECONDS = 2.0
KINDS = ("conversion", "conversion", "value_sum", "event_count", "ratio")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--metrics", type=int, default=20)
    arguments.add_argument("--visitors", type=int, default=30_000)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    plan = plan_of(options.metrics)
    rng = np.random.default_rng(1)
    shop = [totals_of(plan, options.visitors, rng) for _ in range(options.rounds + 1)]

    found: dict[str, list[float]] = {"analysis": [], "again": [], "document": []}
    first, _ = timed(lambda: analysed(plan, shop[0]))
    for people in shop[1:]:
        seconds, analysis = timed(lambda people=people: analysed(plan, people))
        found["analysis"].append(seconds)
        found["again"].append(timed(lambda people=people: analysed(plan, people))[0])
        found["document"].append(seconds + timed(lambda analysis=analysis: to_document(analysis))[0])
    looks = len(analysis.metrics[0].comparisons[0].looks)
    print(
        f"{options.metrics} metrics, {len(VARIANTS)} variants, {looks} looks, {options.visitors:,} visitors; seconds of CPU"
    )
    print(f"{'first':10}{first:8.2f}")
    for name, seconds in found.items():
        print(f"{name:10}{statistics.median(seconds):8.2f}   {min(seconds):.2f} to {max(seconds):.2f}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; target: document under {LIMIT_SECONDS:g}")
    return 0 if statistics.median(found["document"]) < LIMIT_SECONDS else 1


def plan_of(metrics: int) -> AnalysisPlan:
    roles = [Role.PRIMARY, *([Role.GUARDRAIL] * 3), *([Role.PROXY] * 4)]
    planned = []
    for number in range(metrics):
        role = roles[number] if number < len(roles) else Role.EXPLORATORY
        kind = KINDS[number % len(KINDS)]
        definition = MetricDefinition(
            key=f"m{number}",
            name=f"Metric {number}",
            conversion=Conversion.MACRO if role in (Role.PRIMARY, Role.GUARDRAIL) else Conversion.MILESTONE,
            kind=kind,
            event=f"event {number}",
            window_hours=24.0 * (1 + number % 3),
            denominator_event="session" if kind == "ratio" else None,
        )
        planned.append(PlannedMetric(definition, role, 0.1 if role is Role.GUARDRAIL else None))
    share = 1 / len(VARIANTS)
    return AnalysisPlan(
        site="shop",
        experiment="button",
        time_zone="UTC",
        variants=tuple(PlannedVariant(key, share, key == VARIANTS[0]) for key in VARIANTS),
        metrics=tuple(planned),
        horizon_days=HORIZON_DAYS,
        started_at=STARTED,
    )


def totals_of(plan: AnalysisPlan, visitors: int, rng: np.random.Generator) -> VisitorTotals:
    start = round(STARTED.timestamp() * 1_000_000)
    columns: dict[str, np.ndarray] = {}
    for planned in plan.metrics:
        metric = planned.metric
        did = (rng.random(visitors) < rng.uniform(0.02, 0.4)).astype(float)
        if metric.kind == "value_sum":
            did *= rng.lognormal(3.0, 1.0, visitors)
        elif metric.kind == "event_count":
            did *= rng.poisson(2.0, visitors)
        elif metric.kind == "ratio":
            columns[f"{metric.key}.denominator"] = 1.0 + rng.poisson(1.0, visitors)
        columns[metric.key] = did
    return VisitorTotals(
        VARIANTS,
        rng.integers(0, len(VARIANTS), visitors).astype(np.int8),
        start + rng.integers(0, HORIZON_DAYS * DAY_US, visitors),
        columns,
    )


def analysed(plan: AnalysisPlan, people: VisitorTotals) -> Analysis:
    return analyse(plan, people, exposures_of(people), as_of=AS_OF)


def exposures_of(people: VisitorTotals) -> ExposureCounts:
    counts = [int(np.count_nonzero(people.variant == index)) for index in range(len(VARIANTS))]
    day = (people.first_exposure - people.first_exposure.min()) // DAY_US
    daily = np.stack([np.bincount(day[people.variant == index], minlength=HORIZON_DAYS) for index in range(3)])
    return ExposureCounts(
        visitors=dict(zip(VARIANTS, counts, strict=True)),
        in_several_variants=0,
        conflicting=0,
        only_conflicting=0,
        linked_identities=0,
        daily=DailyExposures(
            tuple(str((STARTED + timedelta(days=number)).date()) for number in range(daily.shape[1])),
            tuple(tuple(row) for row in daily.T.tolist()),
        ),
        first_exposure=int(people.first_exposure.min()),
        last_exposure=int(people.first_exposure.max()),
        last_event=int(people.first_exposure.max()),
    )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


if __name__ == "__main__":
    raise SystemExit(main())
