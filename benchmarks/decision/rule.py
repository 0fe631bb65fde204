"""The product's own rule in the benchmark: the same `weigh` and `conditions` that decide a real experiment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.decision.rivals import Outcome, decide_by
from benchmarks.decision.worlds import Portfolio, Weeks
from reports.core.proxy.classes import Prior
from reports.core.proxy.engine import weigh
from reports.core.proxy.funnel import StepEffects, nested_effects
from reports.core.proxy.verdict import (
    LEAST_MACRO,
    LEAST_MACRO_PER_VARIANT,
    MACRO_ALPHA,
    Preset,
    conditions,
)
from reports.core.sequential.bounds import efficacy_bounds


def proxy_rule(
    found: Portfolio,
    weeks: Weeks,
    preset: Preset,
    prior: Prior,
    *,
    looks: int,
    declared: float = 0.0,
    rng: np.random.Generator | None = None,
    first_look: int = 1,
) -> Outcome:
    """Return what the rule does with a portfolio.

    `declared` is the share of experiments whose owner names the right target step, the others name a wrong one; 0: nobody
    names any. No look counts before `first_look`, the first full week.
    """
    visitors = np.broadcast_to(weeks.visitors[:looks], (len(found), looks)).reshape(-1).astype(float)
    t, c = (side[:, :looks].reshape(len(found) * looks, -1).astype(float) for side in (weeks.treatment, weeks.control))
    effects = nested_effects(visitors, t, visitors, c)
    bounds = efficacy_bounds(tuple(np.arange(1, looks + 1) / looks), alpha=MACRO_ALPHA, is_one_sided=True)
    bound = np.tile(np.asarray(bounds), len(found))
    elapsed = np.tile(np.arange(1, looks + 1) / looks, len(found))
    ship = np.zeros(len(found) * looks, dtype=bool)
    stop = np.zeros_like(ship)
    for target, rows in _by_target(found, looks, declared, rng):
        mine = StepEffects(effects.effect[rows], effects.variance[rows])
        aimed = replace(prior, target_step=target)
        holds = conditions(mine, weigh(mine, aimed), aimed, preset, macro_bound=bound[rows], elapsed=elapsed[rows])
        ship[rows], stop[rows] = holds.ships, holds.stops
    enough = (t[:, -1] + c[:, -1] >= LEAST_MACRO) & (np.minimum(t[:, -1], c[:, -1]) >= LEAST_MACRO_PER_VARIANT)
    enough &= np.tile(np.arange(1, looks + 1) >= first_look, len(found))
    shape = (len(found), looks)
    return decide_by((ship & enough).reshape(shape), (stop & enough).reshape(shape))


def _by_target(
    found: Portfolio, looks: int, declared: float, rng: np.random.Generator | None
) -> list[tuple[int | None, NDArray[np.intp]]]:
    """Return the rows that share a declared target step."""
    every = np.arange(len(found) * looks)
    if not declared:
        return [(None, every)]
    assert rng is not None
    steps = found.control.shape[1]
    wrong = (found.place + rng.integers(1, steps, len(found))) % steps
    target = np.where(rng.random(len(found)) < declared, found.place, wrong)
    of_row = np.repeat(target, looks)
    return [(step + 1, every[of_row == step]) for step in range(steps)]
