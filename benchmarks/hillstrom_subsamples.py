"""A real test cut down to the traffic of a small shop: how often and how early the engine ships it, beside the goal alone.

    python -m benchmarks.hillstrom_subsamples PATH/TO/hillstrom.parquet [--replicates 400]

Kevin Hillstrom's e-mail test (MineThatData, 2008): no e-mail against the men's e-mail, which really sells. Visits (18 % against 11 %) are
the micro conversion, orders (1.25 % against .57 %) the goal. Visitors are drawn without replacement and come in ten equal looks.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from reports.core.proxy.classes import Prior
from reports.core.proxy.engine import weigh
from reports.core.proxy.funnel import nested_effects
from reports.core.proxy.verdict import LEAST_MACRO, LEAST_MACRO_PER_VARIANT, MACRO_ALPHA, PRESETS, conditions
from reports.core.sequential.bounds import efficacy_bounds

SIZES = (250, 500, 1_000, 2_000, 8_000)
LOOKS = 10
QUERY = "SELECT segment, visit, conversion FROM read_parquet(?)"


@dataclass(frozen=True, slots=True)
class Arms:
    """Shapes: both (visitors, 2), whether each came and whether each ordered."""

    treatment: NDArray[np.int64]
    control: NDArray[np.int64]


def arms_of(path: Path, treatment: str) -> Arms:
    rows = duckdb.execute(QUERY, [str(path)]).fetchnumpy()
    both = np.column_stack([rows["visit"], np.minimum(rows["visit"], rows["conversion"])]).astype(np.int64)
    return Arms(both[rows["segment"] == treatment], both[rows["segment"] == "No E-Mail"])


def study(path: Path, *, replicates: int, seed: int = 1) -> list[str]:
    """Return the table."""
    lines = [
        "| visitors a variant | engine ships | at look, of 10, median | goal alone ships | no e-mail against itself: engine ships |",
        "|---|---|---|---|---|",
    ]
    arms, rng = arms_of(path, "Mens E-Mail"), np.random.default_rng(seed)
    for size in SIZES:
        ships, looks, alone = _play(arms.treatment, arms.control, size, replicates, rng)
        halves = rng.permutation(len(arms.control))
        same, _, _ = _play(arms.control[halves[::2]], arms.control[halves[1::2]], size, replicates, rng)
        median = f"{np.median(looks[ships]):.0f}" if ships.any() else "-"
        lines.append(f"| {size:,} | {ships.mean():.0%} | {median} | {alone.mean():.0%} | {same.mean():.1%} |")
    return lines


def _play(
    treatment: NDArray[np.int64], control: NDArray[np.int64], size: int, replicates: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
    """Return whether the engine ships each replicate, at which look, and whether the goal alone would. Shapes: (replicates,)."""
    steps = np.linspace(size / LOOKS, size, LOOKS).round().astype(int)
    counts = [
        np.stack(
            [np.cumsum(arm[rng.choice(len(arm), size, replace=False)], axis=0)[steps - 1] for _ in range(replicates)]
        )
        for arm in (treatment, control)
    ]
    t, c = (side.reshape(-1, 2).astype(float) for side in counts)
    visitors = np.tile(steps.astype(float), replicates)
    effects = nested_effects(visitors, t, visitors, c)
    shares = tuple(np.arange(1, LOOKS + 1) / LOOKS)
    own = np.tile(np.asarray(efficacy_bounds(shares, alpha=MACRO_ALPHA, is_one_sided=True)), replicates)
    prior = Prior()
    holds = conditions(
        effects,
        weigh(effects, prior),
        prior,
        PRESETS["balanced"],
        macro_bound=own,
        elapsed=np.tile(np.asarray(shares), replicates),
    )
    enough = (t[:, 1] + c[:, 1] >= LEAST_MACRO) & (np.minimum(t[:, 1], c[:, 1]) >= LEAST_MACRO_PER_VARIANT)
    ship = (holds.ships & enough).reshape(replicates, LOOKS)
    stop = (holds.stops & enough).reshape(replicates, LOOKS)
    first_ship = np.where(ship.any(axis=1), ship.argmax(axis=1), LOOKS)
    first_stop = np.where(stop.any(axis=1), stop.argmax(axis=1), LOOKS)
    pooled = (t[:, 1] + c[:, 1]) / (2 * visitors)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.nan_to_num((t[:, 1] - c[:, 1]) / visitors / np.sqrt(2 * pooled * (1 - pooled) / visitors))
    usual = np.asarray(efficacy_bounds(shares, alpha=0.05))
    alone = (z.reshape(replicates, LOOKS) >= usual).any(axis=1)
    return first_ship < np.minimum(first_stop, LOOKS), first_ship + 1, alone


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--replicates", type=int, default=400)
    asked = parser.parse_args()
    if not asked.path.is_file():
        print(f"There is no file {asked.path}.", file=sys.stderr)
        return 1
    print("\n".join(study(asked.path, replicates=asked.replicates)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
