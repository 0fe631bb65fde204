"""How much of alpha (or beta) may be used up by a given share of the planned data."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

Spending = Callable[[float, float], float]


def _whole_at_the_end(spending: Spending) -> Spending:
    def spent(share: float, total: float) -> float:
        if share <= 0:
            return 0.0
        return total if share >= 1 else min(total, spending(share, total))

    return spent


def _obrien_fleming(share: float, total: float) -> float:
    return 2 * float(special.ndtr(special.ndtri(total / 2) / math.sqrt(share)))


def _pocock(share: float, total: float) -> float:
    return total * math.log1p((math.e - 1) * share)


def power_spending(rho: float) -> Spending:
    """Return total * share^rho. Source: Kim & DeMets (1987), Biometrika 74:149-154."""
    return _whole_at_the_end(lambda share, total: float(total * share**rho))


def hwang_shih_decani(gamma: float) -> Spending:
    """Return the gamma family. Source: Hwang, Shih & DeCani (1990), Statistics in Medicine 9:1439-1445."""

    def spent(share: float, total: float) -> float:
        if gamma == 0:
            return total * share
        return total * math.expm1(-gamma * share) / math.expm1(-gamma)

    return _whole_at_the_end(spent)


# Each function takes (share of the planned data, total to spend). Source: Lan & DeMets (1983), Biometrika 70:659-663.
SPENDING: dict[str, Spending] = {
    "LD-OBF": _whole_at_the_end(_obrien_fleming),
    "LD-Pocock": _whole_at_the_end(_pocock),
    "power rho=2": power_spending(2.0),
    "power rho=3": power_spending(3.0),
    "HSD(-4)": hwang_shih_decani(-4.0),
    "HSD(-2)": hwang_shih_decani(-2.0),
}


def spending_named(name: str) -> Spending:
    """Return a spending function by its name, also `power rho=<number>` and `HSD(<number>)`.

    Raises: ValueError for a name that is not known.
    """
    if name in SPENDING:
        return SPENDING[name]
    try:
        if name.startswith("power rho="):
            return power_spending(float(name.removeprefix("power rho=")))
        if name.startswith("HSD(") and name.endswith(")"):
            return hwang_shih_decani(float(name[4:-1]))
    except ValueError:
        pass
    raise ValueError(f"Spending function '{name}' is not known; use one of {', '.join(SPENDING)}.")
