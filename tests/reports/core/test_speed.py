"""What an analysis costs, with several times the room it takes: a change that makes it many times slower is found here."""

from __future__ import annotations

import time

import numpy as np

from experiments.core.metrics import Role
from experiments.core.plan import AnalysisPlan
from reports.core.analyse import analyse
from tests.reports.core import worlds
from tracking.core.totals import VisitorTotals

KINDS = ("conversion", "value_sum", "event_count")


def _world(metrics: int, variants: int, per_day: int) -> tuple[AnalysisPlan, VisitorTotals]:
    rng = np.random.default_rng(1)
    names = [f"v{k}" for k in range(variants)]
    planned = [
        worlds.metric("cart", window_hours=24),
        *(
            worlds.metric(f"m{k}", Role.EXPLORATORY, kind=KINDS[k % len(KINDS)], window_hours=24)
            for k in range(metrics - 1)
        ),
    ]
    plan = worlds.plan(*planned, weights=dict.fromkeys(names, 1 / variants), is_imported=False, horizon_days=28)
    visitors = 28 * variants * per_day
    when = worlds.microseconds(worlds.START) + rng.integers(0, 28 * worlds.DAY_US, visitors)
    columns = {
        m.metric.key: (rng.random(visitors) < 0.08) * (1.0 if m.metric.kind == "conversion" else rng.integers(1, 5))
        for m in planned
    }
    return plan, worlds.totals(names, rng.integers(0, variants, visitors), columns, when)


def _cpu_seconds(plan: AnalysisPlan, people: VisitorTotals, repeats: int) -> float:
    """Return the least CPU time of an analysis whose bounds are cached."""
    exposures = worlds.exposures_of(people)
    spent = []
    for _ in range(repeats + 1):
        begun = time.process_time()
        analyse(plan, people, exposures, as_of=worlds.at_day(28))
        spent.append(time.process_time() - begun)
    return min(spent[1:])


def test_analyse__one_metric_with_daily_looks__takes_milliseconds() -> None:
    # About 5 ms; two thousand replicates of a world have to fit into the tests.
    assert _cpu_seconds(*_world(1, 2, 200), repeats=8) < 0.04


def test_analyse__twenty_metrics_and_three_variants__takes_a_fraction_of_two_seconds() -> None:
    assert _cpu_seconds(*_world(20, 3, 200), repeats=2) < 2.0
