"""What 46 real experiments of a large shop can teach about micro conversions, and what they cannot.

    python -m benchmarks.asos_learning PATH/TO/asos_dev_even.parquet

Summary statistics only (count, mean, variance of each variant over time; metric 1 is binary). The errors of two metrics on the same
visitors agree, by how much is not in the data; so effects on early visitors are held against effects on late ones, whose errors
have nothing to do with each other.

Data: Liu, Cardoso, Couturier & McCoy (2021), Datasets for Online Controlled Experiments, arXiv 2111.10198, CC BY 4.0.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from reports.core.proxy.funnel import FunnelCounts
from reports.core.proxy.learning.grid import learn
from reports.core.proxy.learning.past import PastComparison

FloatArray = NDArray[np.float64]
METRICS = (1, 2, 3, 4)
MACRO = 1
QUERY = """
    SELECT experiment_id || '/' || variant_id AS arm, metric_id, time_since_start, count_c, count_t, mean_c, mean_t, variance_c, variance_t
    FROM read_parquet(?) WHERE count_c > 0 AND count_t > 0 AND mean_c > 0 AND mean_t > 0 ORDER BY arm, metric_id, time_since_start
"""


@dataclass(frozen=True, slots=True)
class Half:
    """Log-lift and its variance on some of the visitors of one comparison."""

    effect: float
    variance: float


def halves(path: Path) -> dict[int, dict[str, tuple[Half, Half, Half]]]:
    """Return, by metric and comparison, the effect on all visitors, on the earlier ones and on the later ones."""
    rows = duckdb.execute(QUERY, [str(path)]).fetchall()
    series: dict[tuple[int, str], list[tuple[float, ...]]] = {}
    for arm, metric, time, *values in rows:
        series.setdefault((int(metric), arm), []).append(
            (float(time), *(np.nan if v is None else float(v) for v in values))
        )
    found: dict[int, dict[str, tuple[Half, Half, Half]]] = {metric: {} for metric in METRICS}
    for (metric, arm), points in series.items():
        last = points[-1]
        middle = min(points, key=lambda p: abs(p[1] - last[1] / 2))
        late = _rest(last, middle)
        if late is None or middle is last:
            continue
        parts = tuple(_half(p, metric) for p in (last, middle, late))
        if all(np.isfinite(h.effect) and np.isfinite(h.variance) and h.variance > 0 for h in parts):
            found[metric][arm] = parts  # type: ignore[assignment]
    return found


def _rest(last: tuple[float, ...], first: tuple[float, ...]) -> tuple[float, ...] | None:
    n_c, n_t = last[1] - first[1], last[2] - first[2]
    if min(n_c, n_t) < 100:
        return None
    mean_c = (last[1] * last[3] - first[1] * first[3]) / n_c
    mean_t = (last[2] * last[4] - first[2] * first[4]) / n_t
    return (last[0], n_c, n_t, mean_c, mean_t, last[5], last[6]) if min(mean_c, mean_t) > 0 else None


def _half(point: tuple[float, ...], metric: int) -> Half:
    _, n_c, n_t, mean_c, mean_t, variance_c, variance_t = point
    if metric == MACRO:
        variance_c, variance_t = mean_c * (1 - mean_c), mean_t * (1 - mean_t)
    error = variance_c / n_c / mean_c**2 + variance_t / n_t / mean_t**2
    return Half(float(np.log(mean_t / mean_c)), float(error))


def slope_with_interval(x: FloatArray, y: FloatArray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the correlation and its 95 % interval by drawing experiments again."""
    draws = [rng.integers(0, len(x), len(x)) for _ in range(2_000)]
    values = [np.corrcoef(x[d], y[d])[0, 1] for d in draws]
    return (float(np.corrcoef(x, y)[0, 1]), *(float(q) for q in np.quantile(values, [0.025, 0.975])))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    asked = parser.parse_args()
    if not asked.path.is_file():
        print(f"There is no file {asked.path}.", file=sys.stderr)
        return 1
    for line in study(asked.path):
        print(line)
    return 0


def study(path: Path) -> list[str]:
    """Return the lines of the study."""
    found = halves(path)
    lines = [
        "| metric | comparisons | spread of estimates | spread without noise | with noise the estimates say | early against late |",
        "|---|---|---|---|---|---|",
    ]
    rng = np.random.default_rng(1)
    macro = found[MACRO]
    for metric in METRICS:
        arms = sorted(set(found[metric]) & set(macro))
        if not arms:
            continue
        own = np.array([[h.effect for h in found[metric][arm]] for arm in arms])
        goal = np.array([[h.effect for h in macro[arm]] for arm in arms])
        noise = np.array([found[metric][arm][0].variance for arm in arms])
        centred = np.median(own[:, 0])
        raw = float(np.mean((own[:, 0] - centred) ** 2))
        true = max(raw - float(noise.mean()), 0.0)
        if metric == MACRO:
            told, apart = "-", slope_with_interval(own[:, 1], own[:, 2], rng)
        else:
            told = "{:+.2f} ({:+.2f} to {:+.2f})".format(*slope_with_interval(own[:, 0], goal[:, 0], rng))
            apart = slope_with_interval(own[:, 1], goal[:, 2], rng)
        lines.append(
            f"| {metric} | {len(arms)} | {raw**0.5:.2%} | {true**0.5:.2%} | {told} | {apart[0]:+.2f} ({apart[1]:+.2f} to {apart[2]:+.2f}) |"
        )
    return [*lines, "", _grid(path)]


def _grid(path: Path) -> str:
    """Say what the product's own learning makes of the binary metric, as a funnel of the goal alone."""
    query = f"{QUERY.replace('WHERE', 'WHERE metric_id = 1 AND')}"
    last = {row[0]: row for row in duckdb.execute(query, [str(path)]).fetchall()}
    arms = [arm.split("/")[0] for arm in last]
    past = []
    for arm, (_, _, _, n_c, n_t, mean_c, mean_t, *_) in last.items():
        funnels = [FunnelCounts.nested(int(n), [round(n * mean)]) for n, mean in ((n_t, mean_t), (n_c, mean_c))]
        past.append(PastComparison(arm, "t", ("goal",), *funnels, shared_by=arms.count(arm.split("/")[0])))
    learned = learn(past)
    shares = ", ".join(f"{c.value} {share:.0%}" for c, share in learned.shares.items())
    return f"Learned from {learned.experiments:.0f} experiments as funnels of the goal alone: {shares}; pass-through {learned.pass_through:.2f}."


if __name__ == "__main__":
    raise SystemExit(main())
