"""How the visitor came: a text from the context of the exposure, or of the last event before it."""

from __future__ import annotations

import numpy as np

from experiments.core.covariates.base import Covariate, CovariateValues, Known, indicators
from experiments.core.metrics import Column

MOST_LABELS = 4  # the commonest; the others go together


class TraitKind:
    """The commonest texts of a trait, all other ones together, and none at all, as groups of their own."""

    key = "trait"
    example = "trait KEY"
    needs_name = True

    def column(self, covariate: Covariate) -> Column | None:
        return None

    def trait(self, covariate: Covariate) -> str | None:
        return covariate.name

    def values(self, covariate: Covariate, known: Known) -> CovariateValues:
        codes, labels = known.codes[covariate.name], known.labels[covariate.name]
        counts = np.bincount(codes[known.is_counted & (codes >= 0)], minlength=len(labels))
        # Equal counts are told apart by the label, so that the groups never depend on the order of visitors.
        common = sorted(np.flatnonzero(counts).tolist(), key=lambda code: (-counts[code], labels[code]))[:MOST_LABELS]
        place = np.full(len(labels) + 1, len(common), dtype=np.int64)
        for number, code in enumerate(common):
            place[code] = number
        place[-1] = len(common) + 1  # code -1
        groups = place[codes]
        names = (*(labels[code] for code in common), "another", "unknown")
        return CovariateValues(indicators(covariate.text, groups, names, reference=0), groups)
