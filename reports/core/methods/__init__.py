"""How two variants are compared. The first method in the list that suits a statistic is used."""

from __future__ import annotations

from reports.core.methods.base import Comparison, Method, NotComputable
from reports.core.methods.bootstrap import BootstrapMethod
from reports.core.methods.by_period import ScoreByPeriodMethod, WelchByPeriodMethod
from reports.core.methods.delta import DeltaMethod
from reports.core.methods.kaplan_meier import KaplanMeierMethod
from reports.core.methods.midp import MidPMethod
from reports.core.methods.score import ScoreMethod
from reports.core.methods.welch import WelchMethod
from reports.core.statistics import STATISTICS, Statistic, Stratified

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


def method_for(treatment: Statistic, control: Statistic) -> Method:
    """Return the method for two statistics of one kind.

    Raises: LookupError when no method compares this kind.
    """
    if isinstance(treatment, Stratified):
        return next(method for method in METHODS_BY_PERIOD if method.suits(treatment, control))
    for method in METHODS:
        if isinstance(treatment, STATISTICS[method.statistic]) and method.suits(treatment, control):
            return method
    raise LookupError(f"No method compares a {type(treatment).__name__} with a {type(control).__name__}.")


def compare(treatment: Statistic, control: Statistic, *, alpha: float) -> Comparison | NotComputable:
    """Compare by the method that suits these statistics."""
    return method_for(treatment, control).compare(treatment, control, alpha=alpha)
