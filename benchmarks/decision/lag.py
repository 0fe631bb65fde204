"""A variant that only makes people buy sooner, judged with and without waiting for the purchases of everybody.

Thirty per cent of the control's purchases come a week late, ten per cent of the treatment's; in the end the variants are alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.decision.rivals import Outcome, decide_by
from benchmarks.decision.worlds import DEFAULT, Mix, Portfolio, portfolio, with_share
from benchmarks.decision.worlds import Truth as TruthKind
from reports.core.proxy.classes import Prior
from reports.core.proxy.engine import weigh
from reports.core.proxy.funnel import effects_of
from reports.core.proxy.verdict import LEAST_MACRO, MACRO_ALPHA, PRESETS, conditions
from reports.core.sequential.bounds import efficacy_bounds

IntArray = NDArray[np.int64]

LATE_CONTROL, LATE_TREATMENT = 0.30, 0.10


def only_sooner(experiments: int, *, per_week: int, weeks: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the shares shipped of ideas without any effect: purchases counted as they come, and after a week's wait."""
    nothing: Mix = with_share(DEFAULT, TruthKind.NEUTRAL, 1.0 - 1e-9)
    found = portfolio(nothing, experiments, rng)
    sides = [_walk(found, per_week // 2, weeks, late, rng) for late in (LATE_TREATMENT, LATE_CONTROL)]
    return tuple(_shipped(sides, per_week // 2, waits=waits) for waits in (False, True))  # type: ignore[return-value]


def _walk(found: Portfolio, each: int, weeks: int, late: float, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return steps by week of exposure, and of the purchases those that come in their own week.

    Shapes: (experiments, weeks, steps) and (experiments, weeks).
    """
    reached = np.full((len(found), weeks), each, dtype=np.int64)
    steps = []
    for step in range(found.control.shape[1]):
        reached = rng.binomial(reached, found.control[:, step : step + 1])
        steps.append(reached)
    return np.stack(steps, axis=2), rng.binomial(reached, 1 - late)


def _shipped(sides: list[tuple[IntArray, IntArray]], each: int, *, waits: bool) -> float:
    arrays = []
    for walked, prompt in sides:
        known = np.cumsum(walked, axis=1).astype(float)
        weeks = known.shape[1]
        visitors = np.broadcast_to(each * np.arange(1, weeks + 1, dtype=float), known.shape[:2])
        risk = np.concatenate([visitors[:, :, None], known[:, :, :-1]], axis=2)
        if waits:
            # The last step knows only those exposed a week ago; all of them have had their time.
            risk[:, 1:, -1], known[:, 1:, -1] = risk[:, :-1, -1].copy(), known[:, :-1, -1].copy()
            risk[:, 0, -1] = known[:, 0, -1] = 0.0
        else:
            late = np.cumsum(walked[:, :, -1] - prompt, axis=1)
            known[:, :, -1] = np.cumsum(prompt, axis=1)
            known[:, 1:, -1] += late[:, :-1]
        arrays.append((risk, known))
    (risk_t, got_t), (risk_c, got_c) = arrays
    shape, steps = risk_t.shape[:2], risk_t.shape[2]
    effects = effects_of(*(a.reshape(-1, steps) for a in (risk_t, got_t, risk_c, got_c)))
    looks = shape[1]
    bounds = efficacy_bounds(tuple(np.arange(1, looks + 1) / looks), alpha=MACRO_ALPHA, is_one_sided=True)
    prior = Prior()
    holds = conditions(
        effects,
        weigh(effects, prior),
        prior,
        PRESETS["balanced"],
        macro_bound=np.tile(np.asarray(bounds), shape[0]),
        elapsed=np.tile(np.arange(1, looks + 1) / looks, shape[0]),
    )
    enough = (got_t[:, :, -1] + got_c[:, :, -1] >= LEAST_MACRO).reshape(-1)
    ship = (holds.ships & enough).reshape(shape)
    stop = (holds.stops & enough).reshape(shape)
    outcome: Outcome = decide_by(ship, stop)
    return float(outcome.shipped.mean())
