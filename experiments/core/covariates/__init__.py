"""The kinds of covariate. Adding one is one file here and one line in the list."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.core.covariates.activity import ActivityKind
from experiments.core.covariates.base import (
    LOOKBACK_DAYS,
    LOOKBACK_HOURS,
    Covariate,
    CovariateKind,
    CovariateValues,
    Known,
)
from experiments.core.covariates.returning import ReturningKind
from experiments.core.covariates.trait import TraitKind
from experiments.core.covariates.weekday import WeekdayKind
from experiments.core.metrics import Aggregate

_KINDS: tuple[CovariateKind, ...] = (
    ReturningKind(),
    ActivityKind("activity", Aggregate.COUNT),
    ActivityKind("amount", Aggregate.SUM),
    TraitKind(),
    WeekdayKind(),
)

COVARIATE_KINDS: dict[str, CovariateKind] = {kind.key: kind for kind in _KINDS}


def covariate_from_text(text: str) -> Covariate:
    """Read a covariate as people write it.

    Raises: ValueError with a sentence that says what is allowed.
    """
    covariate = Covariate.from_text(text)
    check_covariate(covariate)
    return covariate


def check_covariate(covariate: Covariate) -> None:
    """Raises: ValueError with a sentence for a covariate that cannot be."""
    kind = COVARIATE_KINDS.get(covariate.kind)
    if kind is None:
        examples = ", ".join(f"'{k.example}'" for k in _KINDS)
        raise ValueError(f"'{covariate.text}' is no covariate: write one of {examples}.")
    if kind.needs_name != bool(covariate.name):
        needs = f"is written '{kind.example}'" if kind.needs_name else "has no name"
        raise ValueError(f"A covariate of kind '{kind.key}' {needs}, not '{covariate.text}'.")
    if not 1 <= covariate.days <= LOOKBACK_DAYS:
        raise ValueError(f"A covariate looks back 1 to {LOOKBACK_DAYS} days, not {covariate.days}.")
    if covariate.days != LOOKBACK_DAYS and kind.column(covariate) is None:
        raise ValueError(f"A covariate of kind '{kind.key}' counts no days; leave out '({covariate.days} days)'.")


def covariates_from_texts(texts: Sequence[str]) -> tuple[Covariate, ...]:
    """Read covariates, each once. Raises: ValueError as `covariate_from_text` does."""
    return tuple(dict.fromkeys(covariate_from_text(text) for text in texts))


__all__ = [
    "COVARIATE_KINDS",
    "LOOKBACK_DAYS",
    "LOOKBACK_HOURS",
    "Covariate",
    "CovariateKind",
    "CovariateValues",
    "Known",
    "check_covariate",
    "covariate_from_text",
    "covariates_from_texts",
]
