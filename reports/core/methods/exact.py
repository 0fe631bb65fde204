"""Fisher's exact test of a table of four cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

IntArray = NDArray[np.int64]


def fisher_exact_p(did_t: int, did_not_t: int, did_c: int, did_not_c: int) -> float:
    """Return the two-sided p-value: the chance of all tables with these margins that are as unlikely, or more.

    Source: Fisher (1935), JRSS 98:39-82. Checked against: scipy.stats.fisher_exact.
    """
    row, column = did_t + did_not_t, did_t + did_c
    total = row + did_c + did_not_c
    first = np.arange(max(0, row + column - total), min(row, column) + 1)
    logs = _log_choose(column, first) + _log_choose(total - column, row - first) - _log_choose(total, np.array(row))
    chances = np.exp(logs)
    return float(min(1.0, chances[chances <= chances[did_t - first[0]] * (1 + 1e-7)].sum()))


def _log_choose(n: int, k: IntArray) -> NDArray[np.float64]:
    chosen: NDArray[np.float64] = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return chosen
