"""The delta method for a ratio of two sums over visitors, such as orders per session."""

from __future__ import annotations

from experiments.core.metric_kinds.base import StatisticKind
from reports.core.methods.base import Comparison, NotComputable
from reports.core.methods.welch import Estimates, compare_estimates, estimates, estimates_margin_z
from reports.core.statistics import Ratio, Statistic


class DeltaMethod:
    """Compare two ratios of sums; visitors are the unit of variance, however many sessions each of them has.

    Treating sessions as independent finds 11 % false positives in an A/A test (STATISTICS section 2); the linearised
    value of a visitor keeps to 5 %.

    Source: Deng, Knoblich & Lu (2018), KDD, equation 2; Budylin et al. (2018), WSDM (linearisation).
    Checked against: Welch's test on the linearised values of raw visitors.
    """

    key = "delta"
    label = "Delta method on visitors, Fieller interval for the lift"
    statistic = StatisticKind.RATIO

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        return True

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        pair = _pair(treatment, control)
        return pair if isinstance(pair, NotComputable) else compare_estimates(self.key, pair, alpha=alpha)

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        pair = _pair(treatment, control)
        return pair if isinstance(pair, NotComputable) else estimates_margin_z(pair, ratio=ratio)


def _pair(treatment: Statistic, control: Statistic) -> Estimates | NotComputable:
    if not isinstance(treatment, Ratio) or not isinstance(control, Ratio):
        raise TypeError("The delta method compares ratios.")
    return estimates(treatment, control)
