"""All looks of a comparison in one go: the z of each, and the effects with intervals that hold at all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from reports.core.methods import method_for
from reports.core.methods.base import Interval, NotComputable
from reports.core.methods.midp import MidPMethod, mid_p_difference_limits, mid_p_z
from reports.core.methods.score import ScoreMethod, difference_limits, z_ratio
from reports.core.results import Look
from reports.core.sequential.bounds import nominal_alpha
from reports.core.statistics import Statistic

Limits = Callable[..., tuple[np.ndarray, np.ndarray]]

# Methods that take all looks of a comparison as arrays, which is many times quicker than one by one.
_LIMITS: dict[str, Limits] = {ScoreMethod.key: difference_limits, MidPMethod.key: mid_p_difference_limits}
_Z: dict[str, Callable[..., np.ndarray]] = {
    ScoreMethod.key: lambda *counts: z_ratio(1.0, *counts),
    MidPMethod.key: mid_p_z,
}


def z_at_looks(treatment: Sequence[Statistic], control: Sequence[Statistic]) -> tuple[float | NotComputable, ...]:
    """Return the z of no difference at each look, by the method that suits it.

    Shapes: all (looks,). Checked against: asking the method look by look.
    """
    found: dict[int, float | NotComputable] = {}
    for key, mine in _looks_by_method(treatment, control).items():
        found |= dict(zip(mine, (float(z) for z in _Z[key](*_counts(treatment, control, mine))), strict=True))
    for k in set(range(len(treatment))) - set(found):
        found[k] = method_for(treatment[k], control[k]).margin_z(treatment[k], control[k], ratio=1.0)
    return tuple(found[k] for k in range(len(treatment)))


def band(looks: Sequence[Look]) -> tuple[tuple[float, Interval], ...]:
    """Return effect and repeated confidence interval of each look, by the method that suits it.

    Source: Jennison & Turnbull (1989), JRSS B 51:305-361.
    Checked against: comparing each look alone at the level of its bound.
    """
    treatment, control = [look.treatment for look in looks], [look.control for look in looks]
    found: dict[int, tuple[float, Interval]] = {}
    for key, mine in _looks_by_method(treatment, control).items():
        critical = np.array([looks[k].bound for k in mine])
        limits = _LIMITS[key](*_counts(treatment, control, mine), critical=critical)
        found |= {
            k: (treatment[k].value - control[k].value, Interval(float(low), float(high)))
            for k, low, high in zip(mine, *limits, strict=True)
        }
    for k in set(range(len(looks))) - set(found):
        found[k] = _alone(treatment[k], control[k], looks[k].bound)
    return tuple(found[k] for k in range(len(looks)))


def _looks_by_method(treatment: Sequence[Statistic], control: Sequence[Statistic]) -> dict[str, list[int]]:
    """Return which looks go together, under the key of a method that takes arrays."""
    found: dict[str, list[int]] = {}
    for k, (t, c) in enumerate(zip(treatment, control, strict=True)):
        key = method_for(t, c).key
        if key in _LIMITS and t.visitors and c.visitors:
            found.setdefault(key, []).append(k)
    return found


def _counts(treatment: Sequence[Statistic], control: Sequence[Statistic], looks: Sequence[int]) -> np.ndarray:
    """Return converted and visitors of treatment and control. Shapes: (4, looks)."""
    pairs = [(treatment[k], control[k]) for k in looks]
    return np.array([(t.total, t.visitors, c.total, c.visitors) for t, c in pairs]).T


def _alone(treatment: Statistic, control: Statistic, bound: float) -> tuple[float, Interval]:
    result = method_for(treatment, control).compare(treatment, control, alpha=nominal_alpha(bound))
    if isinstance(result, NotComputable):
        return treatment.value - control.value, Interval(-np.inf, np.inf)
    return result.effect, result.interval
