"""`make calibrate`: how often the product is wrong in worlds with a known truth, as the page docs/calibration.md.

    python -m tests.calibration.page [--replicates 20000] [--through 20000] [--experiments 200] [--file FILE]

Four layers: REPLICATES of each world over arrays of counts; THROUGH of each world through the whole `analyse()`, some 4 ms each;
mistakes made on purpose; and EXPERIMENTS A/A experiments over HTTP, intake and the worker of a real instance.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from reports.code_version import code_version
from tests.calibration import end_to_end
from tests.calibration.counts import Row, negative_controls, vectorised
from tests.calibration.harness import Found, measure
from tests.calibration.mutations import MUTATIONS, Mutation, seen
from tests.calibration.scenarios import WORLDS

OUTPUT = Path(__file__).resolve().parents[2] / "docs" / "calibration.md"


def through_analysis(replicates: int) -> Iterator[Row]:
    """Yield every reading of every world, each replicate a whole analysis of single visitors."""
    # A process a core: the worlds know nothing of each other.
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for rows in pool.map(_rows_of, range(len(WORLDS)), repeat(replicates)):
            yield from rows


def _rows_of(number: int, replicates: int) -> list[Row]:
    # Other seeds than those of the tests: two samples of the same worlds.
    world = WORLDS[number]
    return [_row(f"{world.name}: {f.reading.name}", f) for f in measure(world, replicates, seed=world.seed + 1)]


def _row(name: str, found: Found) -> Row:
    low, high = found.limits
    is_at_most = found.reading.low == 0
    nominal = f"at most {found.reading.expected:g}" if is_at_most else f"{found.reading.expected:g}"
    return Row(name, found.rate, nominal, None if is_at_most else low, high)


def mistakes(mutations: Sequence[Mutation], replicates: int) -> Iterator[Row]:
    """Yield what the harness reads when a wrong rule stands in the place of the right one: it must lie outside."""
    for mutation in mutations:
        found = seen(mutation, max(replicates, mutation.replicates))
        low, high = mutation.known or (found.limits[1], None)
        expected = f"{low:g} to {high:g}" if high is not None else f"above {low:.4f}"
        yield Row(f"{mutation.name} ({mutation.shown_in.name})", found.rate, expected, low, high)


def document(replicates: int, through: int, experiments: int) -> tuple[str, bool]:
    """Return the page, and whether every row is inside its limits."""
    wrong = min(through, 2000)  # enough to see any of them
    parts = (
        (f"Through the whole analysis: {through:,} replicates of each world", through_analysis(through)),
        (f"Statistics and bounds over counts: {replicates:,} replicates of each world", vectorised(replicates)),
        (
            f"Mistakes made on purpose: {wrong:,} analyses or more of each, which must be seen to be wrong",
            mistakes(MUTATIONS, wrong),
        ),
        (f"The same over counts: {replicates:,} replicates", negative_controls(replicates)),
        *(
            ((f"From end to end: {experiments} A/A experiments of a running instance", end_to_end.rows(experiments)),)
            if experiments
            else ()
        ),
    )
    made = f"--replicates {replicates} --through {through} --experiments {experiments}"
    lines = [*_HEAD, f"Made by `python -m tests.calibration.page {made}`, code version `{code_version()}`.", ""]
    is_good = True
    for title, part in parts:
        rows = list(part)
        is_good = is_good and all(row.is_inside for row in rows)
        lines += [f"## {title}", "", "| world | measured | nominal | limits | inside |", "|---|---|---|---|---|"]
        lines += [*(row.text() for row in rows), ""]
    return "\n".join([*lines, *_FOOT]) + "\n", is_good


_HEAD = (
    "# Calibration",
    "",
    "How often Inkling is wrong in worlds whose truth is known. This page is written by `make calibrate`; do not edit it.",
    "",
    "Limits hold a calibrated product in 999 of 1,000 runs (exact binomial), unless the world says otherwise. Experiments run",
    "28 days with a look every day from day 7 on; the bounds are the product's own (Lan-DeMets, O'Brien-Fleming type).",
    "",
)
_FOOT = (
    "## How to read it",
    "",
    "- *Through the whole analysis*: single visitors with times of exposure, as the event store delivers them, go into",
    "  `analyse()`, and the claims are read off its answer. One analysis at the end of the horizon judges all 22 looks, because a",
    "  claim once made stays. Where the promise is *at most*, the lower limit is left out.",
    "- Mid-P at an unequal split, Holm over several variants and intervals that hold at all looks leave some of alpha unused.",
    "- Several variants: wins are held to 5 % two-sided in all, losses to 5 % one-sided in all. A false claim of either kind is then",
    "  made in up to 7.5 % of experiments: the deliberate price of a quick alarm.",
    "- *Over counts*: random daily counts go into the product's own score statistic and bounds, as arrays. Maturity, units and",
    "  the decision rule are not in play. That the whole analysis makes the same claims on the same data is a test of its own.",
    "- Worlds with fewer than 20 conversions per variant have a lower limit of 0.03: counts that small cannot spend all of alpha.",
    "  Intervals are allowed 0.03 to 0.07, because a coarse count covers sometimes a little more and sometimes a little less.",
    "- Power is allowed one point either way of the designed 0.78, which is itself rounded; guardrails half a point, the grain",
    "  of one look at whole conversions.",
    "- *Mistakes made on purpose*: the named rule of the product is replaced while the world runs. A harness that reads such a",
    "  world inside its limits would be blind. These run in every test run too (`tests/calibration/test_mutations.py`).",
    "- *From end to end*: see `tests/calibration/end_to_end.py`. All experiments share their visitors, as on a small site, and deal",
    "  them by their own salts; the split of each is a fresh one, so that their claims are as good as independent.",
    "- Visitors are independent of each other and days are alike, but for the world that says otherwise; a site whose days differ",
    "  wildly should use `manage.py self_audit`, which splits its own visitors.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20_000)
    parser.add_argument("--through", type=int, default=20_000)
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--file", type=Path, default=OUTPUT)
    asked = parser.parse_args(arguments)
    text, is_good = document(asked.replicates, asked.through, asked.experiments)
    asked.file.write_text(text, encoding="utf-8")
    print(text)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
