"""Inkling beside other programs: the largest relative differences, on public experiments and on 200 random data sets.

    python -m tests.agreement [FILE]

writes the page docs/agreement.md (or FILE). statsmodels is one of Inkling's own packages; tea-tasting is not, and brings
some 50 MB of others with it. To have it beside, in a folder of its own:

    .venv/bin/python -m pip install --target FOLDER -c requirements-dev.txt tea-tasting
    PYTHONPATH=FOLDER .venv/bin/python -m tests.agreement

The tests check the same against statsmodels and scipy in every run, and against tea-tasting where it can be imported.
"""

from __future__ import annotations

import csv
import io
import math
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from experiments.core.metric_kinds.base import StatisticKind, VisitorValues
from reports.core.health.sample_ratio import sample_ratio_p
from reports.core.methods import ScoreMethod, compare
from reports.core.methods.base import Comparison, Lift
from reports.core.statistics import summarise
from tests.shared_data import SHARED

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "agreement.md"
RANDOM_SETS = 200
MARGIN = 0.1
ALPHA = 0.05

Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """Two variants of one experiment. Shapes: each array (visitors of that variant,); `per_*` only for a ratio."""

    kind: StatisticKind
    treatment: np.ndarray
    control: np.ndarray
    per_treatment: np.ndarray | None = None
    per_control: np.ndarray | None = None

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return int(self.treatment.sum()), len(self.treatment), int(self.control.sum()), len(self.control)


@dataclass(frozen=True, slots=True)
class Rival:
    """Another program's answer to one kind of data; `reason` says why a quantity differs, where one does."""

    program: str
    kind: StatisticKind
    answer: Callable[[Sample], Numbers]
    reasons: Mapping[str, str]


def ours(sample: Sample) -> Numbers:
    """Return Inkling's numbers, by the method that it uses for an equal split."""
    t = summarise(sample.kind, VisitorValues(sample.treatment, sample.per_treatment))
    c = summarise(sample.kind, VisitorValues(sample.control, sample.per_control))
    is_share = sample.kind is StatisticKind.PROPORTION
    # At unequal splits with few conversions Inkling uses mid-P, which none of these programs has.
    found = ScoreMethod().compare(t, c, alpha=ALPHA) if is_share else compare(t, c, alpha=ALPHA)
    assert isinstance(found, Comparison)
    lift = found.lift if isinstance(found.lift, Lift) else None
    numbers = {
        "effect": found.effect,
        "interval of the effect, low": found.interval.low,
        "interval of the effect, high": found.interval.high,
        "p-value": found.p_value,
        "sample ratio p-value": sample_ratio_p((len(sample.treatment), len(sample.control)), (0.5, 0.5)),
    }
    if lift is not None:
        numbers |= {
            "lift": lift.value,
            "interval of the lift, low": lift.interval.low,
            "interval of the lift, high": lift.interval.high,
        }
    if is_share:
        z = ScoreMethod().margin_z(t, c, ratio=1 - MARGIN)
        assert isinstance(z, float)
        numbers["guardrail p-value, margin 10 %"] = float(stats.norm.sf(z))
        # Without the factor (N-1)/N: what other programs call Pearson's chi-square.
        total = len(sample.treatment) + len(sample.control)
        numbers["p-value without N-1"] = float(2 * stats.norm.sf(abs(found.z) * math.sqrt(total / (total - 1))))
    return numbers


def statsmodels_shares(sample: Sample) -> Numbers:
    counts = sample.counts
    low, high = confint_proportions_2indep(*counts, compare="ratio", method="score")
    numbers = {
        "p-value": float(test_proportions_2indep(*counts, compare="diff", method="score").pvalue),
        "interval of the lift, low": low - 1,
        "interval of the lift, high": high - 1,
        "guardrail p-value, margin 10 %": float(
            test_proportions_2indep(
                *counts, value=1 - MARGIN, compare="ratio", method="score", alternative="larger"
            ).pvalue
        ),
    }
    try:
        low, high = confint_proportions_2indep(*counts, compare="diff", method="score")
    except ValueError:  # its search finds no change of sign; see _SCORE_BUG
        return numbers
    return numbers | {"interval of the effect, low": float(low), "interval of the effect, high": float(high)}


def statsmodels_means(sample: Sample) -> Numbers:
    both = CompareMeans(DescrStatsW(sample.treatment), DescrStatsW(sample.control))
    low, high = both.tconfint_diff(alpha=ALPHA, usevar="unequal")
    return {
        "interval of the effect, low": float(low),
        "interval of the effect, high": float(high),
        "p-value": float(both.ttest_ind(usevar="unequal")[1]),
    }


def tea_tasting(sample: Sample) -> Numbers:
    """Raises: ImportError where tea-tasting is not installed."""
    import tea_tasting as tt  # type: ignore[import-not-found]

    columns = {
        "variant": np.repeat([1, 0], [len(sample.treatment), len(sample.control)]),
        "value": np.concatenate([sample.treatment, sample.control]),
    }
    ratio = {"split": tt.SampleRatio(method="norm", correction=False)}
    if sample.kind is StatisticKind.PROPORTION:
        columns["value"] = columns["value"].astype(np.int64)
        metrics = {
            "found": tt.Proportion("value", method="norm", correction=False, equal_var=False),
            "tested": tt.Proportion("value", method="pearson", correction=False),
        }
    elif sample.kind is StatisticKind.RATIO:
        assert sample.per_treatment is not None
        assert sample.per_control is not None
        columns["per"] = np.concatenate([sample.per_treatment, sample.per_control])
        metrics = {"found": tt.RatioOfMeans("value", "per", equal_var=False, use_t=True)}
    else:
        metrics = {"found": tt.Mean("value", equal_var=False, use_t=True)}
    answers = tt.Experiment(metrics | ratio, variant="variant").analyze(pd.DataFrame(columns))
    found = answers["found"]
    numbers = {
        "effect": found.effect_size,
        "lift": found.rel_effect_size,
        "interval of the effect, low": found.effect_size_ci_lower,
        "interval of the effect, high": found.effect_size_ci_upper,
        "interval of the lift, low": found.rel_effect_size_ci_lower,
        "interval of the lift, high": found.rel_effect_size_ci_upper,
        "sample ratio p-value": answers["split"].pvalue,
    }
    if sample.kind is StatisticKind.PROPORTION:
        return numbers | {"p-value": answers["tested"].pvalue, "p-value without N-1": answers["tested"].pvalue}
    return numbers | {"p-value": found.pvalue}


_SCORE_BUG = (
    "statsmodels up to 0.15.0 has a slip in the cubic of its score interval for differences (its issue 10269), and for "
    "some tables it finds none. Brute-force likelihood agrees with Inkling to 1e-6 (`tests/data/independent.py`)"
)
_DELTA = (
    "tea-tasting takes the logarithm of the ratio as normal; Inkling uses Fieller, whose interval agrees with the test. "
    "Root finding agrees with Inkling to 1e-8"
)
_N_MINUS_ONE = (
    "Inkling's variance has the factor N/(N-1) of Miettinen & Nurminen. Without it the two are equal, see the next line"
)
_WALD = "tea-tasting's interval is Wald's, with the unpooled variance; Inkling inverts the score test (section 1)"
_KATZ = "tea-tasting's interval is Katz's logarithm; Inkling inverts the score test (section 1)"

RIVALS: tuple[Rival, ...] = (
    Rival(
        "statsmodels",
        StatisticKind.PROPORTION,
        statsmodels_shares,
        {"interval of the effect, low": _SCORE_BUG, "interval of the effect, high": _SCORE_BUG},
    ),
    Rival("statsmodels", StatisticKind.MEAN, statsmodels_means, {}),
    Rival(
        "tea-tasting",
        StatisticKind.PROPORTION,
        tea_tasting,
        {
            "p-value": _N_MINUS_ONE,
            "interval of the effect, low": _WALD,
            "interval of the effect, high": _WALD,
            "interval of the lift, low": _KATZ,
            "interval of the lift, high": _KATZ,
        },
    ),
    *(
        Rival(
            "tea-tasting",
            kind,
            tea_tasting,
            {"interval of the lift, low": _DELTA, "interval of the lift, high": _DELTA},
        )
        for kind in (StatisticKind.MEAN, StatisticKind.RATIO)
    ),
)


def has_tea_tasting() -> bool:
    return util.find_spec("tea_tasting") is not None


def difference(mine: float, theirs: float) -> float:
    """Return how far two numbers are apart, relative to the larger one; numbers below 1e-9 count as that large."""
    if mine == theirs:
        return 0.0
    return abs(mine - theirs) / max(abs(mine), abs(theirs), 1e-9)


def largest_differences(samples: Sequence[Sample], rival: Rival) -> dict[str, float]:
    """Return the largest difference of each quantity that both name."""
    worst: dict[str, float] = {}
    for sample in samples:
        mine, theirs = ours(sample), rival.answer(sample)
        for name in (name for name in mine if name in theirs):
            worst[name] = max(worst.get(name, 0.0), difference(mine[name], theirs[name]))
    return worst


def random_samples(kind: StatisticKind, count: int = RANDOM_SETS, seed: int = 20) -> Iterator[Sample]:
    """Yield experiments of 100 to 3,000 visitors a variant, split up to 4 : 1, with effects from -40 % to +60 %."""
    rng = np.random.default_rng(seed)
    while count:
        n_c = int(rng.integers(100, 3000))
        n_t = max(100, int(n_c * rng.choice([1.0, 1.0, 0.5, 0.25])))
        share = float(np.exp(rng.uniform(np.log(0.01), np.log(0.5))))
        effect = float(rng.uniform(0.6, 1.6))
        if kind is StatisticKind.PROPORTION:
            sample = Sample(kind, _did(rng, n_t, min(share * effect, 0.9)), _did(rng, n_c, share))
        elif kind is StatisticKind.MEAN:
            spread = float(rng.uniform(0.3, 1.3))
            amounts = [rng.lognormal(3, spread, n) for n in (n_t, n_c)]
            sample = Sample(
                kind, _did(rng, n_t, min(share * effect, 0.9)) * amounts[0], _did(rng, n_c, share) * amounts[1]
            )
        else:
            per_t, per_c = (1.0 + rng.poisson(rng.uniform(0.2, 3), n) for n in (n_t, n_c))
            sample = Sample(
                kind,
                rng.binomial(per_t.astype(int), min(share * effect, 0.9)).astype(float),
                rng.binomial(per_c.astype(int), share).astype(float),
                per_t,
                per_c,
            )
        # Programs differ in what they refuse; five visitors with a value in each variant suit them all.
        if min(np.count_nonzero(sample.treatment), np.count_nonzero(sample.control)) >= 5:
            count -= 1
            yield sample


def _did(rng: np.random.Generator, visitors: int, share: float) -> np.ndarray:
    return (rng.random(visitors) < share).astype(float)


@cache
def hillstrom() -> list[Sample]:
    table = pq.read_table(SHARED / "data/hillstrom/hillstrom.parquet").to_pydict()
    segment = np.array(table["segment"])
    columns = (
        ("visit", StatisticKind.PROPORTION),
        ("conversion", StatisticKind.PROPORTION),
        ("spend", StatisticKind.MEAN),
    )
    return [
        _split(np.array(table[name], dtype=float), segment == mail, segment == "No E-Mail", kind)
        for mail in ("Mens E-Mail", "Womens E-Mail")
        for name, kind in columns
    ]


@cache
def cookie_cats() -> list[Sample]:
    table = pq.read_table(SHARED / "data/cookie_cats/cookie_cats.parquet").to_pydict()
    late = np.array(table["version"]) == "gate_40"
    rounds = np.array(table["sum_gamerounds"], dtype=float)
    came_back = np.array(table["retention_7"], dtype=float)
    return [
        _split(np.array(table["retention_1"], dtype=float), late, ~late, StatisticKind.PROPORTION),
        _split(came_back, late, ~late, StatisticKind.PROPORTION),
        _split(rounds, late, ~late, StatisticKind.MEAN),
        # As a ratio: returns per game round, rounds varying from player to player.
        Sample(StatisticKind.RATIO, came_back[late], came_back[~late], 1 + rounds[late], 1 + rounds[~late]),
    ]


@cache
def landing_page() -> list[Sample]:
    """Udacity's page experiment, each visitor once and only rows whose page is their group's."""
    visitors: dict[str, dict[str, float]] = {"control": {}, "treatment": {}}
    with zipfile.ZipFile(SHARED / "data/udacity_landing_page/ab_data.csv.zip") as archive:
        for row in csv.DictReader(io.TextIOWrapper(archive.open("ab_data.csv"))):
            if (row["group"] == "treatment") == (row["landing_page"] == "new_page"):
                visitors[row["group"]].setdefault(row["user_id"], float(row["converted"]))
    treatment, control = (np.array(list(visitors[group].values())) for group in ("treatment", "control"))
    return [Sample(StatisticKind.PROPORTION, treatment, control)]


def _split(values: np.ndarray, treated: np.ndarray, control: np.ndarray, kind: StatisticKind) -> Sample:
    return Sample(kind, values[treated], values[control])


PUBLIC: Mapping[str, Callable[[], list[Sample]]] = {
    "Hillstrom": hillstrom,
    "Cookie Cats": cookie_cats,
    "Udacity": landing_page,
}


def data_sets(kind: StatisticKind) -> dict[str, list[Sample]]:
    """Return the samples of one kind by data set; sets that have none are left out."""
    sets = {name: [s for s in load() if s.kind is kind] for name, load in PUBLIC.items()}
    sets[f"{RANDOM_SETS} random"] = list(random_samples(kind))
    return {name: samples for name, samples in sets.items() if samples}


LABELS = {
    StatisticKind.PROPORTION: "Shares of visitors",
    StatisticKind.MEAN: "Means per visitor",
    StatisticKind.RATIO: "Ratios of two sums",
}


def document(rivals: Sequence[Rival] = RIVALS) -> str:
    """Return the page."""
    lines = list(_HEAD)
    for rival in rivals:
        found = {name: largest_differences(samples, rival) for name, samples in data_sets(rival.kind).items()}
        lines += [f"## {LABELS[rival.kind]}, beside {rival.program} {metadata.version(rival.program)}", ""]
        lines += [f"| quantity | {' | '.join(found)} | where it differs, why |", f"|---|{'---|' * (len(found) + 1)}"]
        for quantity in max(found.values(), key=len):
            cells = [f"{worst[quantity]:.1e}" for worst in found.values()]
            lines.append(f"| {quantity} | {' | '.join(cells)} | {rival.reasons.get(quantity, '')} |")
        lines.append("")
    return "\n".join([*lines, *_FOOT]) + "\n"


_HEAD = (
    "# Inkling beside other programs",
    "",
    "The largest relative difference of each quantity between Inkling's functions and another program, over all comparisons of a",
    "public experiment and over 200 random ones: 100 to 3,000 visitors a variant, split up to 4 : 1, effects from -40 % to +60 %.",
    "Written by `python -m tests.agreement`; do not edit it.",
    "",
)
_FOOT = (
    "## How to read it",
    "",
    "- A line without a reason is the same formula in both programs; what is left is rounding, and how exactly the other program",
    "  finds its roots. `tests/reports/core/test_agreement.py` holds such a line to 1e-6 in every test run.",
    "- A line with a reason is meant to differ. What Inkling does instead is held against a third computation, named in the reason.",
    "- Relative differences look large where the number itself is near 0, such as one end of an interval.",
    "- Hillstrom has three metrics in two e-mails against none, Cookie Cats two retentions and the game rounds, Udacity the page",
    "  experiment's conversions. Where the data come from: `docs/import.md` and the publishers named in the tests.",
    "- What only one side has is not here: mid-P at unequal splits, daily looks, guardrail outcomes, regression of covariates.",
)


def main(arguments: Sequence[str]) -> int:
    if not has_tea_tasting():
        print("tea-tasting is not installed; see the head of this module.", file=sys.stderr)
        return 1
    text = document()
    (Path(arguments[0]) if arguments else OUTPUT).write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
