"""The design of an experiment with an end: looks from day 7, O'Brien-Fleming-type efficacy, non-binding futility, whole weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from experiments.core.plan import DAILY, AnalysisPlan, Futility
from reports.core.progress import FIRST_LOOK_DAYS
from reports.core.sequential.bounds import HIGHEST, efficacy_bounds, nominal_alpha
from reports.core.sequential.recursion import START, Paths, check_information, crossing_probabilities, grid_for
from reports.core.sequential.spending import spending_named

DEFAULT_SPENDING = "LD-OBF"

# Safety is asked at every look, and people go on until it is shown, so its looks share one alpha as well. Most of it is kept
# for the end, where a guardrail of few conversions is decided. Measured, 28 daily looks, 5 % base, true drop of the margin, 20,000 replicates:
# safe at any look in 5.1 %; with O'Brien-Fleming bounds before the end and all of alpha at it 6.3 %. Power at no change 83.9 %, one look 84.4 %.
SAFETY_SPENDING = "HSD(-8)"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an experiment with a planned end is looked at, and how soon it is called hopeless.

    Raises: ValueError unless the horizon is whole weeks.
    """

    horizon_days: int
    every_days: int = DAILY
    futility: Futility = Futility.GENTLE

    def __post_init__(self) -> None:
        if self.horizon_days < FIRST_LOOK_DAYS or self.horizon_days % 7:
            raise ValueError(f"A horizon is whole weeks, because weekdays differ; {self.horizon_days} days are not.")

    @property
    def days(self) -> tuple[int, ...]:
        return tuple(range(FIRST_LOOK_DAYS, self.horizon_days + 1, self.every_days))

    @property
    def information(self) -> tuple[float, ...]:
        """The share of the planned data at each look, at an even flow of visitors."""
        return tuple(day / self.horizon_days for day in self.days)

    def design(self, *, alpha: float, power: float) -> Design:
        return design(self.information, alpha=alpha, power=power, futility=spending_of(self.futility))

    def final_safety_alpha(self, alpha: float) -> float:
        """Return the alpha of a single test at the last look, so that safety asked for at all of them errs in `alpha`."""
        return nominal_alpha(efficacy_bounds(self.information, alpha=alpha, spending=SAFETY_SPENDING)[-1])


def schedule_of(plan: AnalysisPlan) -> Schedule | None:
    """Return when a plan is looked at; None without a planned end of whole weeks."""
    if plan.horizon_days is None or plan.horizon_days % 7:
        return None
    return Schedule(plan.horizon_days, plan.look_every_days, plan.futility)


def spending_of(futility: Futility) -> str | None:
    """Return the name of the spending function of a futility; None for never."""
    return None if futility is Futility.NEVER else futility.value


@dataclass(frozen=True, slots=True)
class Design:
    """A planned group-sequential test.

    `drift` is the mean of z at the end that gives the planned power; `inflation` how many times the visitors of a test with
    one look are needed at most; `expected_if_real` and `expected_if_null` how many on average. Futility bounds are advice:
    type I error does not rest on them.

    Shapes: `information`, `efficacy` and `futility` are (looks,).
    """

    information: tuple[float, ...]
    efficacy: tuple[float, ...]
    futility: tuple[float, ...]
    drift: float
    inflation: float
    expected_if_real: float
    expected_if_null: float


@lru_cache(maxsize=256)
def design(
    information: tuple[float, ...],
    *,
    alpha: float,
    power: float,
    spending: str = DEFAULT_SPENDING,
    futility: str | None = Futility.GENTLE.value,
    is_one_sided: bool = False,
) -> Design:
    """Return bounds, drift and sizes of a test with looks at these fractions of the information.

    The drift is the one at which the last futility bound meets the last efficacy bound (with futility), or at which the
    test has the planned power (without).

    Units: `alpha` two-sided unless `is_one_sided`. Source: Jennison & Turnbull (2000), chapters 4, 7 and 19; Hwang, Shih &
    DeCani (1990). Checked against: gsDesign (R) snapshots; STATISTICS section 4.2.
    """
    levels = check_information(information).tolist()
    upper = efficacy_bounds(information, alpha=alpha, spending=spending, is_one_sided=is_one_sided)
    per_side = alpha if is_one_sided else alpha / 2
    fixed = float(special.ndtri(1 - per_side) + special.ndtri(power))
    none = (-np.inf,) * len(levels)

    def missing(drift: float) -> float:
        if futility is None:
            return float(crossing_probabilities(information, none, upper, drift=drift).upper.sum()) - power
        return upper[-1] - futility_bounds(levels, upper, beta=1 - power, spending=futility, drift=drift)[-1]

    sign = 1.0 if futility is None else -1.0
    drift = float(optimize.brentq(lambda d: sign * missing(d), 0.9 * fixed, 1.6 * fixed, xtol=1e-9))
    lower = (
        none
        if futility is None
        else (*futility_bounds(levels, upper, beta=1 - power, spending=futility, drift=drift)[:-1], upper[-1])
    )
    inflation = (drift / fixed) ** 2
    return Design(
        information=tuple(information),
        efficacy=upper,
        futility=tuple(lower),
        drift=drift,
        inflation=inflation,
        expected_if_real=inflation * _expected_information(levels, lower, upper, drift),
        expected_if_null=inflation * _expected_information(levels, lower, upper, 0.0),
    )


def futility_bounds(
    information: Sequence[float],
    upper: Sequence[float],
    *,
    beta: float,
    spending: str,
    drift: float,
    shares: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Return the z below which a look gives up, spending `beta` under `drift`.

    The last one is where the remaining beta would be spent, whether or not it meets the efficacy bound. `shares` are the
    shares of the planned data that the spending function sees; without them the information itself.
    """
    seen = tuple(shares if shares is not None else information)
    return _futility_bounds(tuple(information), tuple(upper), seen, beta, spending, drift)


@lru_cache(maxsize=1024)
def _futility_bounds(
    information: tuple[float, ...],
    upper: tuple[float, ...],
    shares: tuple[float, ...],
    beta: float,
    spending: str,
    drift: float,
) -> tuple[float, ...]:
    spend = spending_named(spending)
    paths: Paths = START
    bounds: list[float] = []
    spent = 0.0
    grid = grid_for(check_information(information))
    for k, level in enumerate(information):
        amount = spend(shares[k], beta) - spent
        bound = _bound_losing(paths, amount, level, drift)
        bounds.append(bound)
        spent += amount
        if k + 1 < len(information):
            paths = paths.next(min(bound, upper[k]), min(upper[k], HIGHEST), level, drift, grid=grid)
    return tuple(bounds)


def _bound_losing(paths: Paths, amount: float, level: float, drift: float) -> float:
    """Return the bound below which z falls with probability `amount`."""

    def excess(bound: float) -> float:
        return paths.probability_below(bound, level, drift) - amount

    if excess(-HIGHEST) > 0:
        return -np.inf
    if excess(HIGHEST) < 0:
        return HIGHEST
    return float(optimize.brentq(excess, -HIGHEST, HIGHEST, xtol=1e-10))


def _expected_information(
    levels: Sequence[float], lower: Sequence[float], upper: Sequence[float], drift: float
) -> float:
    crossing = crossing_probabilities(levels, lower, upper, drift=drift)
    stopped = (crossing.upper + crossing.lower)[:-1]
    return float(stopped @ np.asarray(levels)[:-1] + (1 - stopped.sum()) * levels[-1])
