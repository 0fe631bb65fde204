"""What it costs that several metrics may win: they share alpha. Without the numerical libraries, so that the client API stays quick."""

from __future__ import annotations

from statistics import NormalDist

_z = NormalDist().inv_cdf


def cost_of_sharing(success_tests: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return how many times the visitors of a single success metric each of several needs.

    Units: `alpha` two-sided, shared evenly. Source: Schultzberg, Ankargren & Franberg (2024), arXiv 2402.11609.
    Checked against: `visitors_for_means` at the shared level.
    """
    shared = alpha / max(success_tests, 1)
    return ((_z(1 - shared / 2) + _z(power)) / (_z(1 - alpha / 2) + _z(power))) ** 2
