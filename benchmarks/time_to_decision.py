"""How soon, and how rightly, an experiment is decided: the product's proxy rule against rules that look at purchases alone.

    python -m benchmarks.time_to_decision [--quick | --full] [--seed 1] [--write]

Plays portfolios of experiments with known truth (`benchmarks/decision/worlds.py`) week by week and lets every rule decide them. The
rivals are group-sequential designs searched over a fine grid of level, futility and length with hindsight; each figure called a
saving compares with the cheapest of those that has at least the rule's power and at most its false ships. `--write` puts the tables
into docs/benchmark.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import numpy as np
import vl_convert
from numpy.typing import NDArray

from benchmarks.decision.lag import only_sooner
from benchmarks.decision.rivals import (
    FUTILITY,
    LENGTHS,
    LEVELS,
    Outcome,
    fixed_horizon,
    group_sequential,
    macro_z,
    naive_micro,
)
from benchmarks.decision.rule import proxy_rule
from benchmarks.decision.scoring import Rival, Score, frontier, risk_matched, rivals_of, saving_error, score
from benchmarks.decision.worlds import DEFAULT, STEPS, STRESS, Mix, Portfolio, Weeks, play, portfolio, sparse_portfolio
from reports.core.proxy.classes import FOUR_SHARES, Prior
from reports.core.proxy.funnel import FunnelCounts
from reports.core.proxy.learning.grid import learn
from reports.core.proxy.learning.past import PastComparison
from reports.core.proxy.verdict import PRESETS

IntArray = NDArray[np.int64]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmark.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"

# Visitors a week, the planned weeks, and how many experiments the full run plays.
SITES = ((1_000, 26), (5_000, 12), (20_000, 12))
QUICK, FULL = 2_000, 8_000
MOST_LOOKS = 300  # of one design; the bounds of more take very long

IMAGES = PAGE.parent / "images"


@dataclass(frozen=True, slots=True)
class Point:
    """What a rule reached at one traffic."""

    per_week: int
    name: str
    power: float
    visitors: float


HEAD = (
    "| rule | power | false ships | false share of ships | bait shipped | visitors, mean | median to right | saving |",
    "|---|---|---|---|---|---|---|---|",
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = arguments.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help=f"{QUICK:,} experiments a table (the default)")
    size.add_argument("--full", action="store_true", help=f"{FULL:,} experiments a table")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--write", action="store_true", help="put the tables into docs/benchmark.md")
    options = arguments.parse_args()
    experiments = FULL if options.full else QUICK
    begun = time.process_time()
    lines: list[str] = []
    points: list[Point] = []
    for line in tables(experiments, options.seed, points):
        print(line, flush=True)
        lines.append(line)
    print(f"{time.process_time() - begun:.0f} s of CPU")
    if options.write:
        draw(points)
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{chr(10).join(lines)}\n{END}{after}", encoding="utf-8")


def tables(experiments: int, seed: int, points: list[Point]) -> Iterator[str]:
    rules = sum(len(grid) for grid in FUTILITY.values())
    grid = f"{len(LEVELS)} levels x {rules} futility rules x {len(LENGTHS)} lengths"
    yield f"{experiments:,} experiments a table, seed {seed}; rivals: {grid}."
    for per_week, weeks in SITES:
        yield from ("", f"### {per_week:,} visitors a week, {weeks} weeks", "", *HEAD)
        yield from site(per_week, weeks, experiments, seed, points)
    yield from ("", "### Truths that the classes were not made for", "")
    yield from stress(experiments, seed)
    yield from ("", "### A variant that only makes people buy sooner", "")
    yield from sooner(experiments, seed)


def site(per_week: int, weeks: int, experiments: int, seed: int, points: list[Point]) -> Iterator[str]:
    rng = np.random.default_rng(seed)
    found = portfolio(DEFAULT, experiments, rng)
    longest = round(weeks * max(LENGTHS))
    played = play(found, per_week=per_week, weeks=longest, looks_per_week=1, rng=rng)
    z = macro_z(played)
    weekly = rivals_of(found, z, looks=weeks, per_look=per_week)
    points += [Point(per_week, "purchases alone", r.power, r.visitors) for r in frontier(weekly, false_ships=0.02)]

    def row(name: str, outcome: Outcome, *, often: int = 1, rivals: list[Rival] | None = None) -> str:
        one = score(found, outcome, per_look=per_week / often)
        if rivals is None:
            return _row(name, one, "")
        points.append(Point(per_week, name.replace("*", ""), one.power, one.visitors))
        matched = risk_matched(one, rivals)
        if matched is None:
            return _row(name, one, "no design is as good")
        error = saving_error(found, outcome, rivals, per_look=per_week / often)
        return _row(name, one, _percent(1 - one.visitors / matched.visitors, error))

    yield row("purchases, fixed horizon, 5 %", fixed_horizon(z, alpha=0.05, looks=weeks))
    sequential = group_sequential(z, alpha=0.05, futility=0.05, looks=weeks)
    yield row("purchases, group-sequential with futility, 5 %", sequential)
    yield row("cart looks significant, weekly peeking", naive_micro(played, looks=weeks, steps=[1]))
    for preset in PRESETS.values():
        outcome = proxy_rule(found, played, preset, Prior(), looks=weeks)
        yield row(f"**proxy, {preset.key}**", outcome, rivals=weekly)
    balanced = PRESETS["balanced"]
    four = proxy_rule(found, played, balanced, Prior(shares=FOUR_SHARES), looks=weeks)
    yield row("proxy, balanced, four classes", four, rivals=weekly)
    for preset in (balanced, PRESETS["fast"]):
        outcome = proxy_rule(found, played, preset, Prior(), looks=weeks, declared=0.85, rng=rng)
        name = f"proxy, {preset.key}, target step declared (85 % right)"
        yield row(name, outcome, rivals=weekly)
    learned = learn(finished(30, per_week=per_week, weeks=weeks, rng=rng)).prior()
    outcome = proxy_rule(found, played, balanced, learned, looks=weeks, declared=0.85, rng=rng)
    yield row("proxy, balanced, declared, learned from 30", outcome, rivals=weekly)
    for often, words in ((2, "two looks a week"), (7, "daily looks")):
        if often * longest > MOST_LOOKS:
            continue
        more = play(found, per_week=per_week, weeks=longest, looks_per_week=often, rng=rng)
        # The rivals may look as often as the rule, or weekly, whichever is cheaper for them.
        same = rivals_of(found, macro_z(more), looks=often * weeks, per_look=per_week / often)
        mine = Weeks(
            *(side[..., : often * weeks] if side.ndim == 1 else side[:, : often * weeks] for side in _sides(more))
        )
        del more
        for preset in (balanced, PRESETS["fast"]):
            outcome = proxy_rule(
                found, mine, preset, Prior(), looks=often * weeks, declared=0.85, rng=rng, first_look=often
            )
            name = f"proxy, {preset.key}, declared, {words}"
            yield row(name, outcome, often=often, rivals=[*weekly, *same])


def _sides(weeks: Weeks) -> tuple[IntArray, IntArray, IntArray]:
    return weeks.visitors, weeks.control, weeks.treatment


def finished(experiments: int, *, per_week: int, weeks: int, rng: np.random.Generator) -> list[PastComparison]:
    """Return finished experiments of the same shop, as the product would learn from them."""
    found = portfolio(DEFAULT, experiments, rng)
    played = play(found, per_week=per_week, weeks=weeks, looks_per_week=1, rng=rng)
    visitors = int(played.visitors[-1])
    return [
        PastComparison(
            f"past-{n}",
            "b",
            STEPS,
            *(
                FunnelCounts.nested(visitors, [int(x) for x in side[n, -1]])
                for side in (played.treatment, played.control)
            ),
        )
        for n in range(experiments)
    ]


def sooner(experiments: int, seed: int) -> Iterator[str]:
    yield "| visitors a week | shipped, purchases counted as they come | shipped, everybody's week awaited |"
    yield "|---|---|---|"
    rng = np.random.default_rng(seed + 2)
    for per_week in (5_000, 20_000):
        hasty, patient = only_sooner(experiments, per_week=per_week, weeks=12, rng=rng)
        yield _cells([f"{per_week:,}", _percent(hasty), _percent(patient)])


def draw(points: list[Point]) -> None:
    """Draw power against visitors: the best designs on purchases alone with 2 % false ships at most, and every rule of ours."""
    for per_week in dict.fromkeys(p.per_week for p in points):
        mine = [p for p in points if p.per_week == per_week]
        rows = [
            {
                "Visitors": p.visitors,
                "Power": p.power,
                "Rule": "purchases alone, best in hindsight" if p.name == "purchases alone" else "proxy rules",
            }
            for p in mine
        ]
        base = alt.Chart(alt.Data(values=rows)).encode(
            x=alt.X("Visitors:Q", axis=alt.Axis(format=",d"), title="Visitors until the decision, mean"),
            y=alt.Y("Power:Q", axis=alt.Axis(format=".0%"), title="Wins shipped"),
            color=alt.Color(
                "Rule:N", legend=alt.Legend(title=None, orient="bottom"), scale=alt.Scale(range=["#2f6f4f", "#b0632a"])
            ),
        )
        alone = base.transform_filter("datum.Rule != 'proxy rules'").mark_line(point=True)
        ours = base.transform_filter("datum.Rule == 'proxy rules'").mark_point(size=70, filled=True, shape="diamond")
        chart = (alone + ours).properties(width=560, height=300, background="white")
        (IMAGES / f"frontier-{per_week}.svg").write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


def stress(experiments: int, seed: int) -> Iterator[str]:
    yield "| world | visitors a week | power | false ships | bait shipped | purchases alone: power | visitors against purchases alone |"
    yield "|---|---|---|---|---|---|---|"
    rng = np.random.default_rng(seed + 1)
    worlds: list[tuple[str, Mix | float]] = [*STRESS.items()]
    worlds += [(f"no kinds of ideas, up to {share:.0%} undone", share) for share in (0.0, 0.6, 1.2)]
    for name, mix in worlds:
        for per_week, weeks in SITES:
            found = (
                portfolio(mix, experiments, rng) if isinstance(mix, Mix) else sparse_portfolio(mix, experiments, rng)
            )
            yield _stressed(name, found, per_week, weeks, rng)


def _stressed(name: str, found: Portfolio, per_week: int, weeks: int, rng: np.random.Generator) -> str:
    played = play(found, per_week=per_week, weeks=weeks, looks_per_week=1, rng=rng)
    ours = score(found, proxy_rule(found, played, PRESETS["balanced"], Prior(), looks=weeks), per_look=per_week)
    alone = score(found, group_sequential(macro_z(played), alpha=0.05, futility=0.05, looks=weeks), per_look=per_week)
    shares = [_share(ours, name) for name in ("power", "false_ships", "bait_shipped")]
    alike = _percent(ours.visitors / alone.visitors - 1)
    return _cells([name, f"{per_week:,}", *shares, _share(alone, "power"), alike])


def _row(name: str, one: Score, saving: str) -> str:
    shares = [_share(one, name) for name in ("power", "false_ships", "false_share", "bait_shipped")]
    right = "never" if math.isinf(one.median_to_right) else f"{one.median_to_right:,.0f}"
    return _cells([name, *shares, f"{one.visitors:,.0f}", right, saving])


def _share(one: Score, name: str) -> str:
    return _percent(float(getattr(one, name)), one.error(name))


def _percent(share: float, error: float = math.nan) -> str:
    if math.isnan(share):
        return "–"
    return f"{100 * share:.1f} %" if math.isnan(error) else f"{100 * share:.1f} ± {100 * error:.1f} %"


def _cells(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


if __name__ == "__main__":
    main()
