"""What the visitor did in the days before: how often, or for how much."""

from __future__ import annotations

import numpy as np

from experiments.core.covariates.base import Covariate, CovariateValues, Known
from experiments.core.metrics import Aggregate, Column

HOURS_A_DAY = 24.0


class ActivityKind:
    """Events of one name in the days before the first exposure, counted or with their values added up.

    A visitor who had not been seen before has no past to count in: the value is missing, not 0.
    """

    needs_name = True

    def __init__(self, key: str, aggregate: Aggregate) -> None:
        self.key = key
        self.aggregate = aggregate
        self.example = f"{key} EVENT"

    def column(self, covariate: Covariate) -> Column | None:
        return Column(
            f"before.{covariate.text}",
            covariate.name,
            self.aggregate,
            start_hours=-covariate.days * HOURS_A_DAY,
            end_hours=0.0,
        )

    def trait(self, covariate: Covariate) -> str | None:
        return None

    def values(self, covariate: Covariate, known: Known) -> CovariateValues:
        done = known.columns[f"before.{covariate.text}"]
        numbers = np.where(known.seen_before, done, np.nan)
        groups = np.where(known.seen_before, np.where(done > 0, 2, 1), 0)
        return CovariateValues(((covariate.text, numbers),), groups.astype(np.int64))
