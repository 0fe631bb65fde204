"""The secondary view of a comparison: shown beside it, computed only when it is shown, and never part of a decision."""

from __future__ import annotations

from experiments.core.metrics import Role
from reports.core.bayes import BayesView, bayes_view
from reports.core.methods.base import NotComputable
from reports.core.results import MetricResult, VariantComparison
from reports.core.statistics import Proportion


def bayes_of(metric: MetricResult, comparison: VariantComparison, *, control: str) -> BayesView | None:
    """Return the Bayesian view of a share that was compared; exploratory metrics do without, they are many."""
    if metric.planned.role is Role.EXPLORATORY or isinstance(comparison.result, NotComputable):
        return None
    t, c = metric.value_of(comparison.variant).statistic, metric.value_of(control).statistic
    if not isinstance(t, Proportion) or not isinstance(c, Proportion):
        return None
    return bayes_view(t, c) if t.visitors and c.visitors else None
