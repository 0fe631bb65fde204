"""Covariates as numbers: one row per visitor, and the groups in which rare conversions are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.core.covariates import COVARIATE_KINDS, Covariate, Known
from tracking.core.totals import VisitorTotals

FloatArray = NDArray[np.float64]

MOST_DIVIDING = 2  # covariates that strata are made of, in the plan's order


@dataclass(frozen=True, slots=True)
class KnownBefore:
    """What was known of every visitor before the first exposure.

    `names` says what each column is; NaN stands for what nobody could know (the activity of a visitor never seen before).
    `stratum` numbers the combination of groups that a visitor belongs to, by the first two covariates that have groups.
    Shapes: `values` (visitors, columns); `stratum` (visitors,).
    """

    names: tuple[str, ...]
    values: FloatArray
    stratum: NDArray[np.int64]


def known_before(
    covariates: Sequence[Covariate],
    totals: VisitorTotals,
    *,
    time_zone: str,
    is_counted: NDArray[np.bool_] | None = None,
) -> KnownBefore:
    """Turn what the store answered into numbers.

    `is_counted` marks the visitors who tell which labels of a trait are common (None: all). A running experiment asks those of
    the first look, so that a look stays what it was however many visitors come after it.

    Raises: KeyError when the store was not asked for a covariate.
    """
    if totals.seen_before is None:
        raise KeyError("seen_before")
    known = Known(
        columns=totals.columns,
        labels={name: trait.labels for name, trait in totals.traits.items()},
        codes={name: trait.codes for name, trait in totals.traits.items()},
        seen_before=totals.seen_before,
        first_exposure=totals.first_exposure,
        is_counted=np.ones(len(totals.variant), dtype=np.bool_) if is_counted is None else is_counted,
        time_zone=time_zone,
    )
    found = [COVARIATE_KINDS[covariate.kind].values(covariate, known) for covariate in covariates]
    stratum = np.zeros(len(totals.variant), dtype=np.int64)
    for groups in [one.groups for one in found if one.groups is not None][:MOST_DIVIDING]:
        stratum = stratum * (int(groups.max(initial=0)) + 1) + groups
    columns = [column for one in found for column in one.columns]
    values = np.column_stack([numbers for _, numbers in columns]) if columns else np.empty((len(stratum), 0))
    return KnownBefore(tuple(name for name, _ in columns), values, stratum)
