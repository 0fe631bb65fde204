"""Many comparisons at once: adjusted p-values and the order in which families may claim something."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def _checked(p_values: Sequence[float]) -> FloatArray:
    p = np.asarray(p_values, dtype=float)
    if np.any(~((p >= 0) & (p <= 1))):
        raise ValueError(f"p-values lie between 0 and 1: {list(p_values)}.")
    return p


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65-70. Checked against: statsmodels multipletests.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(1.0, p[order] * np.arange(len(p), 0, -1)))
    return _in_given_order(stepped, order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return Benjamini and Hochberg's adjusted p-values, in the order given.

    Source: Benjamini & Hochberg (1995), JRSS B 57:289-300. Checked against: statsmodels multipletests(method="fdr_bh").
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    raised = p[order] * len(p) / np.arange(1, len(p) + 1)
    stepped = np.minimum(1.0, np.minimum.accumulate(raised[::-1])[::-1])
    return _in_given_order(stepped, order)


def false_coverage_alpha(p_values: Sequence[float], *, q: float) -> float:
    """Return the alpha at which intervals of the comparisons selected at false discovery rate `q` keep their coverage.

    Source: Benjamini & Yekutieli (2005), JASA 100:71-81. Checked against: all selected, where it is `q`.
    """
    selected = sum(p <= q for p in benjamini_hochberg(p_values))
    return q * max(selected, 1) / max(len(p_values), 1)


def gatekept(families: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return adjusted p-values of families tested in order: Holm in each, the next one only once all of the last one fell.

    A p-value is never below the largest of the families before it. That one rejection should open the next family is wrong
    for a family of several: its own errors and those behind the gate would each have all of alpha.

    Source: Dmitrienko & Tamhane (2007), Pharmaceutical Statistics 6:171-180 (serial gatekeeping).
    Checked against: simulation of the family-wise error.
    """
    answers: list[list[float]] = []
    gate = 0.0
    for family in families:
        answers.append([max(gate, p) for p in holm(family)])
        gate = max(answers[-1], default=gate)
    return answers


def _in_given_order(sorted_values: FloatArray, order: NDArray[np.intp]) -> list[float]:
    answer = np.empty(len(order))
    answer[order] = sorted_values
    return [float(v) for v in answer]
