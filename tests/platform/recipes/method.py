"""Wald's interval of two large proportions, as in every first textbook."""

from __future__ import annotations

import math
from typing import cast

from experiments.core.metric_kinds.base import StatisticKind
from reports.core.methods.base import (
    Blocker,
    Comparison,
    Interval,
    NotComputable,
    critical_value,
    two_sided_p,
)
from reports.core.statistics import Proportion, Statistic

NO_LIFT = NotComputable(Blocker.BASELINE_IS_ZERO, "This method gives no lift.")


class WaldMethod:
    key = "wald"
    label = "Wald (recipe)"
    statistic = StatisticKind.PROPORTION

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        return min(treatment.visitors, control.visitors) >= 100

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        t, c = cast(Proportion, treatment), cast(Proportion, control)
        error = math.sqrt(t.value * (1 - t.value) / t.visitors + c.value * (1 - c.value) / c.visitors)
        effect = t.value - c.value
        reach = critical_value(alpha) * error
        z = effect / error
        interval = Interval(effect - reach, effect + reach)
        return Comparison(self.key, alpha, effect, interval, NO_LIFT, z, two_sided_p(z), error)

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        t, c = cast(Proportion, treatment), cast(Proportion, control)
        error = math.sqrt(t.value * (1 - t.value) / t.visitors + ratio**2 * c.value * (1 - c.value) / c.visitors)
        return (t.value - ratio * c.value) / error
