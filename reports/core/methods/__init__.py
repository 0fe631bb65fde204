"""How two variants are compared. The first method in the list that suits a statistic is used."""

from __future__ import annotations

from reports.core.methods.adjusted import AdjustedMethod, WithinStrata
from reports.core.methods.base import Comparison, Method, NotComputable
from reports.core.methods.bootstrap import BootstrapMethod
from reports.core.methods.by_period import ScoreByPeriodMethod, WelchByPeriodMethod
from reports.core.methods.delta import DeltaMethod
from reports.core.methods.kaplan_meier import KaplanMeierMethod
from reports.core.methods.midp import MidPMethod
from reports.core.methods.score import ScoreMethod
from reports.core.methods.welch import WelchMethod
from reports.core.statistics import STATISTICS, Covaried, Statistic, Stratified

METHODS: tuple[Method, ...] = (
    MidPMethod(),
    ScoreMethod(),
    WelchMethod(),
    DeltaMethod(),
    KaplanMeierMethod(),
    BootstrapMethod(),
)

# For variants whose weights changed on the way: the first that suits, as above.
METHODS_BY_PERIOD: tuple[Method, ...] = (ScoreByPeriodMethod(), WelchByPeriodMethod())

# For variants that come with what was known of their visitors before.
ADJUSTED = AdjustedMethod(METHODS)

# Everything that a comparison may name as its method.
NAMED: dict[str, Method | WithinStrata] = {m.key: m for m in (*METHODS, *METHODS_BY_PERIOD, ADJUSTED)}
NAMED[WithinStrata.key] = WithinStrata()


def method_for(treatment: Statistic, control: Statistic) -> Method:
    """Return the method for two statistics of one kind.

    Raises: LookupError when no method compares this kind.
    """
    if isinstance(treatment, Stratified):
        return next(method for method in METHODS_BY_PERIOD if method.suits(treatment, control))
    if isinstance(treatment, Covaried):
        return ADJUSTED
    for method in METHODS:
        if isinstance(treatment, STATISTICS[method.statistic]) and method.suits(treatment, control):
            return method
    raise LookupError(f"No method compares a {type(treatment).__name__} with a {type(control).__name__}.")


def compare(treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
    """Compare by the method that suits these statistics."""
    return method_for(treatment, control).compare(treatment, control, alpha=alpha)
