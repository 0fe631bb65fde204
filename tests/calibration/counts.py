"""The product's own statistics and bounds over arrays of counts: many replicates in seconds.

Maturity, units and the decision rule are not in play here. That the whole analysis claims the same on the same data is a test:
`test_analysis__on_the_same_data__claims_exactly_what_bounds_and_score_say`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.core.methods.score import z_difference, z_ratio
from reports.core.sequential.bounds import efficacy_bounds
from reports.core.sequential.recursion import crossing_probabilities
from tests.calibration.harness import limits

DAYS = 28
LOOKS = np.arange(7, DAYS + 1)
SHARES = tuple(day / DAYS for day in LOOKS)


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `low` and `high` are where a calibrated product lies in 999 of 1,000 runs; None: no limit on that side."""

    world: str
    measured: float
    nominal: str
    low: float | None
    high: float | None

    @property
    def is_inside(self) -> bool:
        return (self.low is None or self.measured >= self.low) and (self.high is None or self.measured <= self.high)

    def text(self) -> str:
        low = "" if self.low is None else f"{self.low:.4f}"
        high = "" if self.high is None else f"{self.high:.4f}"
        return f"| {self.world} | {self.measured:.4f} | {self.nominal} | {low} to {high} | {'yes' if self.is_inside else '**no**'} |"


def vectorised(replicates: int, seed: int = 1) -> Iterator[Row]:
    """Yield the worlds that are judged from counts alone."""
    rng = np.random.default_rng(seed)
    bounds = np.asarray(efficacy_bounds(SHARES, alpha=0.05))
    low, high = limits(0.05, replicates)
    for base in (0.003, 0.01, 0.05, 0.3):
        for per_day in (50, 200, 1000):
            z = _z_at_looks(rng, base, base, (per_day, per_day), replicates)
            name = f"any daily look, {base:.1%} convert, {per_day} a day and variant, no effect"
            # Below 20 conversions per variant the counts are too coarse to spend all of alpha.
            is_coarse = base * per_day * DAYS < 20
            yield Row(name, _crossed(z, bounds), "0.05", min(low, 0.03) if is_coarse else low, high)
            if per_day == 200:
                for side, sign in (("win", 1), ("loss", -1)):
                    edge = limits(0.025, replicates)
                    found = float(np.mean((sign * z >= bounds).any(axis=1)))
                    yield Row(f"same, {side} side only", found, "0.025", 0.012 if is_coarse else edge[0], edge[1])
    z = _z_at_looks(rng, 0.01, 0.01, (360, 40), replicates)
    yield Row("any daily look, 1.0%, split 90/10, score statistic", _crossed(z, bounds), "0.05", None, high)
    z = _z_at_looks(rng, 0.05, 0.0622, (200, 200), replicates)
    power = limits(0.78, replicates)
    found = float(np.mean((z >= bounds).any(axis=1)))
    yield Row("power, 5.0% to 6.22%, 200 a day and variant", found, "0.78", power[0] - 0.01, power[1] + 0.01)
    yield from _stops(rng, replicates, bounds)
    yield from _intervals(rng, replicates)
    yield from _guardrails(rng, replicates)


def negative_controls(replicates: int, seed: int = 2) -> Iterator[Row]:
    """Yield rules known to be wrong: a harness that does not see them is blind."""
    rng = np.random.default_rng(seed)
    daily = rng.binomial(200, 0.05, (2, replicates, DAYS)).cumsum(axis=2)
    visitors = 200 * np.arange(1, DAYS + 1)
    z = z_difference(0.0, daily[1], visitors, daily[0], visitors)
    yield Row("naive peeking: z beyond 1.96 on any of 28 days", _crossed(z, 1.96), "0.25 to 0.30", 0.25, 0.30)
    bounds = np.asarray(efficacy_bounds(SHARES, alpha=0.05))
    n_c, n_t = 360 * LOOKS, 40 * LOOKS
    p_c = rng.binomial(360, 0.01, (replicates, DAYS)).cumsum(axis=1)[:, LOOKS - 1] / n_c
    p_t = rng.binomial(40, 0.01, (replicates, DAYS)).cumsum(axis=1)[:, LOOKS - 1] / n_t
    with np.errstate(divide="ignore", invalid="ignore"):
        wald = np.nan_to_num((p_t - p_c) / np.sqrt(p_t * (1 - p_t) / n_t + p_c * (1 - p_c) / n_c))
    yield Row("unpooled variance at 90/10, 1.0%, daily looks", _crossed(wald, bounds), "above 0.10", 0.10, None)


def _z_at_looks(
    rng: np.random.Generator, control: float, treatment: float, per_day: tuple[int, int], replicates: int
) -> np.ndarray:
    """Return the score z at every look. Shapes: (replicates, looks)."""
    counts = [
        rng.binomial(n, p, (replicates, DAYS)).cumsum(axis=1)[:, LOOKS - 1]
        for n, p in zip(per_day, (control, treatment), strict=True)
    ]
    return np.asarray(z_difference(0.0, counts[1], per_day[1] * LOOKS, counts[0], per_day[0] * LOOKS))


def _crossed(z: np.ndarray, bounds: np.ndarray | float) -> float:
    return float(np.mean((np.abs(z) >= bounds).any(axis=1)))


def _stops(rng: np.random.Generator, replicates: int, bounds: np.ndarray) -> Iterator[Row]:
    """How long it takes, and by how much the plain estimate of a win is too large, where 5 % become 6.22 %."""
    control, treatment = (
        rng.binomial(200, share, (replicates, DAYS)).cumsum(axis=1)[:, LOOKS - 1] for share in (0.05, 0.0622)
    )
    z = np.asarray(z_difference(0.0, treatment, 200 * LOOKS, control, 200 * LOOKS))
    is_beyond = np.abs(z) >= bounds
    stop = np.where(is_beyond.any(axis=1), is_beyond.argmax(axis=1), len(LOOKS) - 1)
    # The recursion knows the expected length without drawing anything: its drift is that of the fixed test with this power.
    drift = float(np.mean(z[:, -1]))
    crossed = crossing_probabilities(SHARES, [-b for b in bounds], list(bounds), drift=drift)
    stays = 1 - np.concatenate([[0.0], np.cumsum(np.add(crossed.upper, crossed.lower))[:-1]])
    expected = float(np.sum(stays * np.diff(np.concatenate([[0.0], SHARES]))))
    name = "mean length until a claim or the end, of the horizon, 5.0% to 6.22%"
    yield Row(name, float(np.mean(LOOKS[stop] / DAYS)), f"{expected:.3f}", expected - 0.01, expected + 0.01)
    won = np.flatnonzero(np.take_along_axis(z, stop[:, None], axis=1)[:, 0] >= bounds[stop])
    plain = (treatment - control)[won, stop[won]] / (200 * LOOKS[stop[won]]) / 0.0122
    # STATISTICS section 4.1: 1.29 for daily looks.
    yield Row(
        "plain estimate of a win over the truth (the winner's curse), same", float(plain.mean()), "1.29", 1.24, 1.34
    )


def _intervals(rng: np.random.Generator, replicates: int) -> Iterator[Row]:
    """An interval by inversion misses the truth exactly when the statistic at the truth is beyond the critical value."""
    critical = -special.ndtri(0.025)
    for n in (100, 500):
        for control, treatment in ((0.05, 0.08), (0.1, 0.1), (0.2, 0.3)):
            x_c, x_t = rng.binomial(n, control, replicates), rng.binomial(n, treatment, replicates)
            z = z_difference(treatment - control, x_t, n, x_c, n)
            found = float(np.mean(np.abs(z) > critical))
            yield Row(
                f"95 % interval of the difference misses, n {n}, {control:g} and {treatment:g}",
                found,
                "0.05",
                0.03,
                0.07,
            )


def _guardrails(rng: np.random.Generator, replicates: int) -> Iterator[Row]:
    critical = -special.ndtri(0.05)
    low, high = limits(0.05, replicates)
    for base, margin in ((0.01, 0.2), (0.05, 0.2), (0.05, 0.1)):
        x_c, x_t = rng.binomial(5600, base, replicates), rng.binomial(5600, base * (1 - margin), replicates)
        found = float(np.mean(z_ratio(1 - margin, x_t, 5600, x_c, 5600) > critical))
        name = f"guardrail SAFE at a true drop of its margin, {base:.1%}, margin {margin:.0%}"
        # One look at coarse counts: a half per cent either way is the grain of the counts.
        yield Row(name, found, "0.05", low - 0.005, high + 0.005)
    # At every daily look, by the bounds that spend the guardrail's 5 % over them, most of it at the end.
    visitors = 200 * LOOKS
    control, treatment = (
        rng.binomial(200, share, (replicates, DAYS)).cumsum(axis=1)[:, LOOKS - 1] for share in (0.05, 0.04)
    )
    bounds = np.asarray(efficacy_bounds(SHARES, alpha=0.10, spending="HSD(-8)"))
    found = float(np.mean((z_ratio(0.8, treatment, visitors, control, visitors) >= bounds).any(axis=1)))
    yield Row("same at any daily look, 5.0%, margin 20%", found, "0.05", low - 0.005, high + 0.005)
