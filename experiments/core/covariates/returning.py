"""Had the visitor been here before?"""

from __future__ import annotations

import numpy as np

from experiments.core.covariates.base import Covariate, CovariateValues, Known
from experiments.core.metrics import Column


class ReturningKind:
    """1 for a visitor with any event in the 28 days before the first exposure; it is never missing."""

    key = "returning"
    example = "returning"
    needs_name = False

    def column(self, covariate: Covariate) -> Column | None:
        return None

    def trait(self, covariate: Covariate) -> str | None:
        return None

    def values(self, covariate: Covariate, known: Known) -> CovariateValues:
        seen = known.seen_before
        return CovariateValues(((covariate.text, seen.astype(np.float64)),), seen.astype(np.int64))
