"""Comparing with covariates: by regression where the data carry one, within strata where conversions are rare."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from experiments.core.metric_kinds.base import StatisticKind
from reports.core.methods.base import Blocker, Comparison, Method, NotComputable
from reports.core.methods.by_period import StratifiedShares
from reports.core.methods.regression import fitted_estimates, refused, usable_columns, with_missing_indicators
from reports.core.methods.strata import Stratum, merged
from reports.core.methods.welch import Estimates, compare_estimates, estimates_margin_z
from reports.core.statistics import Covaried, Mean, Proportion, Ratio, Statistic


class WithinStrata:
    """Compare shares within groups of visitors who were alike before, and put the comparisons together.

    Source: Mantel & Haenszel (1959), JNCI 22:719-748, for the weights and, with Cochran, the test; Miettinen & Nurminen (1985) for
    the stratified score. Checked against: statsmodels StratifiedTable.
    """

    key = "stratified_score"
    label = "Within groups known before: Mantel-Haenszel, stratified score test and interval"

    @staticmethod
    def of(t: Covaried, c: Covaried) -> StratifiedShares | None:
        """Return the groups of a share; None for other statistics, and where all visitors are in one."""
        if not isinstance(t.plain, Proportion) or not isinstance(c.plain, Proportion):
            return None
        t_counts, c_counts = _by_stratum(t), _by_stratum(c)
        nobody = Proportion(0, 0)
        known = sorted({*t_counts, *c_counts})
        parts = merged([Stratum(t_counts.get(s, nobody), c_counts.get(s, nobody)) for s in known])
        table = [
            (p.treatment.converted, p.treatment.visitors, p.control.converted, p.control.visitors)
            for p in parts
            if p.treatment.visitors and p.control.visitors
        ]
        return StratifiedShares(*np.asarray(table, dtype=float).T) if len(table) > 1 else None


class AdjustedMethod:
    """Compare with what was known of the visitors before taken out.

    By Lin's interacted regression where there are visitors and conversions enough for its standard errors; shares below
    that within strata of returning and first trait; what neither suits, plainly. Which of them it was is the comparison's
    `method`.

    Source: Lin (2013), Annals of Applied Statistics 7:295-318; Zhao & Ding (2022), arXiv 2108.00152, for missing covariates.
    Checked against: statsmodels OLS with HC2 and HC3; statsmodels StratifiedTable; the plain methods.
    """

    key = "lin"
    label = "Regression on what was known before (Lin), Fieller interval for the lift"
    statistic = StatisticKind.MEAN

    def __init__(self, plain: tuple[Method, ...]) -> None:
        self._plain = plain

    def suits(self, treatment: Statistic, control: Statistic) -> bool:
        return isinstance(treatment, Covaried)

    def compare(self, treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
        t, c = _covaried(treatment, control)
        if not t.visitors or not c.visitors:
            return self._plainly(t, c).compare(t.plain, c.plain, alpha=alpha)
        pair = _regressed(t, c)
        if not isinstance(pair, NotComputable):
            return compare_estimates(self.key, pair, alpha=alpha)
        strata = WithinStrata.of(t, c)
        if strata is not None:
            return strata.compare(WithinStrata.key, alpha=alpha)
        return self._plainly(t, c).compare(t.plain, c.plain, alpha=alpha)

    def margin_z(self, treatment: Statistic, control: Statistic, *, ratio: float) -> float | NotComputable:
        t, c = _covaried(treatment, control)
        if not t.visitors or not c.visitors:
            return self._plainly(t, c).margin_z(t.plain, c.plain, ratio=ratio)
        pair = _regressed(t, c)
        if not isinstance(pair, NotComputable):
            return estimates_margin_z(pair, ratio=ratio)
        strata = WithinStrata.of(t, c)
        if strata is not None:
            return float(strata.z_ratio(np.asarray(ratio)))
        return self._plainly(t, c).margin_z(t.plain, c.plain, ratio=ratio)

    def why_not_regression(self, treatment: Covaried, control: Covaried) -> NotComputable | None:
        """Return why the regression was not used, or None when it was."""
        pair = _regressed(treatment, control)
        return pair if isinstance(pair, NotComputable) else None

    def _plainly(self, t: Covaried, c: Covaried) -> Method:
        kind = type(t.plain)
        return next(
            method for method in self._plain if _KINDS.get(method.statistic) is kind and method.suits(t.plain, c.plain)
        )


_KINDS: dict[StatisticKind, type] = {
    StatisticKind.PROPORTION: Proportion,
    StatisticKind.MEAN: Mean,
    StatisticKind.RATIO: Ratio,
}


def _covaried(treatment: Statistic, control: Statistic) -> tuple[Covaried, Covaried]:
    if not isinstance(treatment, Covaried) or not isinstance(control, Covaried):
        raise TypeError("Both variants come with covariates, or neither does.")
    return treatment, control


# A pair is asked many times, for its look, its interval and the page; it is kept for as long as the data themselves.
_KEPT: WeakKeyDictionary[Covaried, WeakKeyDictionary[Covaried, Estimates | NotComputable]] = WeakKeyDictionary()


def _regressed(t: Covaried, c: Covaried) -> Estimates | NotComputable:
    mine = _KEPT.setdefault(t, WeakKeyDictionary())
    found = mine.get(c)
    if found is None:
        found = mine[c] = _regress(t, c)
    return found


def _regress(t: Covaried, c: Covaried) -> Estimates | NotComputable:
    if not t.visitors or not c.visitors:
        return NotComputable(Blocker.NO_VISITORS, "A variant has no visitors yet.")
    if (
        isinstance(t.plain, Ratio)
        and isinstance(c.plain, Ratio)
        and not (t.plain.denominator_mean and c.plain.denominator_mean)
    ):
        return NotComputable(Blocker.NO_DENOMINATOR, "The denominator of a variant adds up to 0.")
    x = with_missing_indicators(np.concatenate([t.covariates, c.covariates]))
    events = None
    if isinstance(t.plain, Proportion) and isinstance(c.plain, Proportion):
        # Near a share of 1 it is those who did not convert that are few.
        events = min(min(one.converted, one.visitors - one.converted) for one in (t.plain, c.plain))
    x = usable_columns(x, t.visitors)
    blocked = refused(t.visitors + c.visitors, x.shape[1], events)
    if blocked is not None:
        return blocked
    return fitted_estimates(t.linearised, c.linearised, x)


def _by_stratum(one: Covaried) -> dict[int, Proportion]:
    strata = one.strata
    visitors = np.bincount(strata)
    converted = np.bincount(strata, weights=one.linearised)
    known = np.flatnonzero(visitors).tolist()
    return {stratum: Proportion(int(visitors[stratum]), round(float(converted[stratum]))) for stratum in known}
