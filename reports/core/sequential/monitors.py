"""The two ways of watching a running experiment: what each look is held to, so that all looks together keep to alpha."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from experiments.core.plan import Monitoring
from reports.core.sequential.bounds import efficacy_bounds, nominal_alpha
from reports.core.sequential.confidence import critical_z, log_evidence
from reports.core.sequential.design import SAFETY_SPENDING, Schedule, futility_bounds, spending_of
from reports.core.sequential.inference import Stagewise, repeated_p, sequential_p, stagewise

PLANNED_POWER = 0.8


class Monitor(Protocol):
    """One way of holding looks to a level. All levels are two-sided.

    Shapes: everything per look is (looks,).
    """

    @property
    def kind(self) -> Monitoring: ...

    def bounds(self, alpha: float) -> tuple[float, ...]:
        """Return how large z has to be at each look."""
        ...

    def p_value(self, z: Sequence[float]) -> float:
        """Return the smallest alpha at which a look so far has crossed its bound."""
        ...

    def p_value_at(self, look: int, z: float, *, alpha: float) -> float:
        """Return the smallest alpha at which this look alone, as one of them, crosses its bound.

        Below `alpha` exactly when `z` is beyond the bound at `alpha`.
        """
        ...

    def safety_alpha(self, alpha: float) -> float:
        """Return the alpha of a single test at the latest look, so that safety asked for at all looks errs in `alpha`."""
        ...

    def planned_safety_alpha(self, alpha: float, *, schedule: Schedule | None) -> float:
        """Return the same for the look with the planned data in."""
        ...

    def futility(self, alpha: float, *, schedule: Schedule | None) -> tuple[float | None, ...]:
        """Return the z of each look below which a win by the planned end is unlikely; None where there is no such z."""
        ...

    def after_stop(self, look: int, z: float, *, level: float, alpha: float) -> Stagewise | None:
        """Return what a test says, at `alpha`, that stopped at this look with `z` above 0 by its bounds at `level`.

        None where stopping changes nothing.
        """
        ...


@dataclass(frozen=True, slots=True)
class GroupSequential:
    """Looks up to a planned end, with bounds that spend alpha as the data come in.

    `information` is in units of the planned amount; `shares` what the spending function sees of it, 1 at the final look.
    """

    information: tuple[float, ...]
    shares: tuple[float, ...]

    @property
    def kind(self) -> Monitoring:
        return Monitoring.GROUP_SEQUENTIAL

    def bounds(self, alpha: float) -> tuple[float, ...]:
        if not self.information:
            return ()
        return efficacy_bounds(self.information, alpha=alpha, shares=self.shares)

    def p_value(self, z: Sequence[float]) -> float:
        return sequential_p(self.information, z, shares=self.shares, is_rough=True, is_one_sided=False)

    def p_value_at(self, look: int, z: float, *, alpha: float) -> float:
        upto = slice(None, look + 1)
        return repeated_p(self.information[upto], z, alpha=alpha, shares=self.shares[upto])

    def safety_alpha(self, alpha: float) -> float:
        bounds = efficacy_bounds(self.information, alpha=alpha, shares=self.shares, spending=SAFETY_SPENDING)
        return nominal_alpha(bounds[-1])

    def planned_safety_alpha(self, alpha: float, *, schedule: Schedule | None) -> float:
        return alpha if schedule is None else schedule.final_safety_alpha(alpha)

    def futility(self, alpha: float, *, schedule: Schedule | None) -> tuple[float | None, ...]:
        spending = None if schedule is None else spending_of(schedule.futility)
        if schedule is None or spending is None or not self.information:
            return (None,) * len(self.information)
        found = futility_bounds(
            self.information,
            self.bounds(alpha),
            beta=1 - PLANNED_POWER,
            spending=spending,
            drift=schedule.design(alpha=alpha, power=PLANNED_POWER).drift,
            shares=self.shares,
        )
        return tuple(bound if math.isfinite(bound) else None for bound in found)

    def after_stop(self, look: int, z: float, *, level: float, alpha: float) -> Stagewise | None:
        return stagewise(
            self.information[: look + 1],
            self.bounds(level)[: look + 1],
            stop_look=look + 1,
            z=z,
            alpha=alpha,
            tolerance=1e-5,
        )


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """Looks without an end: a look counts only the visitors so far, so there may be any number of them.

    `visitors` are those of both variants at each look; `tuned_for` and `tuning` were fixed before the start. The bound is put on the z of the
    test that suits the data, whose variance is the one under no difference: a plug-in variance makes an "always valid"
    interval miss in 21 % of experiments with a 90 / 10 split (STATISTICS section 4.1).

    Source: Waudby-Smith et al. (2024), Annals of Statistics, arXiv 2103.06476.
    """

    visitors: tuple[float, ...]
    tuned_for: float
    tuning: float

    @property
    def kind(self) -> Monitoring:
        return Monitoring.CONFIDENCE_SEQUENCE

    def bounds(self, alpha: float) -> tuple[float, ...]:
        return tuple(critical_z(n, tuning=self.tuning, alpha=alpha) for n in self.visitors)

    def p_value(self, z: Sequence[float]) -> float:
        return min((self.p_value_at(k, value, alpha=1.0) for k, value in enumerate(z)), default=1.0)

    def p_value_at(self, look: int, z: float, *, alpha: float) -> float:
        return min(1.0, math.exp(-log_evidence(z, self.visitors[look], tuning=self.tuning)))

    def safety_alpha(self, alpha: float) -> float:
        return nominal_alpha(self.bounds(alpha)[-1])

    def planned_safety_alpha(self, alpha: float, *, schedule: Schedule | None) -> float:
        return nominal_alpha(critical_z(self.tuned_for, tuning=self.tuning, alpha=alpha))

    def futility(self, alpha: float, *, schedule: Schedule | None) -> tuple[float | None, ...]:
        return (None,) * len(self.visitors)

    def after_stop(self, look: int, z: float, *, level: float, alpha: float) -> Stagewise | None:
        return None
