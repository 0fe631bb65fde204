"""The effect at every look with the interval that holds at all of them together: the band of the timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from reports.core.methods import method_for
from reports.core.methods.base import Interval, NotComputable
from reports.core.methods.midp import MidPMethod, mid_p_difference_limits
from reports.core.methods.score import ScoreMethod, difference_limits
from reports.core.sequential.bounds import nominal_alpha
from reports.core.statistics import Proportion, Statistic

Limits = Callable[..., tuple[np.ndarray, np.ndarray]]

# Methods that can invert all looks of a comparison in one go.
_AT_ONCE: dict[str, Limits] = {ScoreMethod.key: difference_limits, MidPMethod.key: mid_p_difference_limits}


def band(
    treatment: Sequence[Statistic], control: Sequence[Statistic], bounds: Sequence[float]
) -> tuple[tuple[float, Interval], ...]:
    """Return effect and repeated confidence interval of each look, by the method that suits it.

    Shapes: all (looks,). Source: Jennison & Turnbull (1989), JRSS B 51:305-361.
    Checked against: comparing each look alone at the level of its bound.
    """
    found: dict[int, tuple[float, Interval]] = {}
    keys = [method_for(t, c).key for t, c in zip(treatment, control, strict=True)]
    for key, limits in _AT_ONCE.items():
        mine = [k for k, used in enumerate(keys) if used == key]
        found |= dict(zip(mine, _at_once(limits, treatment, control, bounds, mine), strict=True))
    for k in set(range(len(keys))) - set(found):
        found[k] = _alone(treatment[k], control[k], bounds[k])
    return tuple(found[k] for k in range(len(keys)))


def _at_once(
    limits: Limits,
    treatment: Sequence[Statistic],
    control: Sequence[Statistic],
    bounds: Sequence[float],
    looks: Sequence[int],
) -> list[tuple[float, Interval]]:
    pairs = [
        (t, c) for k in looks if isinstance(t := treatment[k], Proportion) and isinstance(c := control[k], Proportion)
    ]
    if not pairs:
        return []
    counts = np.array([(t.converted, t.visitors, c.converted, c.visitors) for t, c in pairs]).T
    low, high = limits(*counts, critical=np.array([bounds[k] for k in looks]))
    return [(t.value - c.value, Interval(float(a), float(b))) for (t, c), a, b in zip(pairs, low, high, strict=True)]


def _alone(treatment: Statistic, control: Statistic, bound: float) -> tuple[float, Interval]:
    result = method_for(treatment, control).compare(treatment, control, alpha=nominal_alpha(bound))
    if isinstance(result, NotComputable):
        return treatment.value - control.value, Interval(-np.inf, np.inf)
    return result.effect, result.interval
