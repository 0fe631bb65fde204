"""Microseconds to evaluate one experiment for one visitor: ours against GrowthBook's Python SDK, in the same run.

    python -m benchmarks.evaluation [--experiments 20] [--repeats 7]

Both get the same rules (same seeds, weights, targeting) and the same visitors, and must agree on every variant.
"""

from __future__ import annotations

import argparse
import os
import random
import time
import timeit
from collections.abc import Callable
from typing import Any

from growthbook import GrowthBook

from benchmarks.assignment import AUDIENCES
from experiments.core.assign import assign, compile_ruleset
from experiments.core.bucketing import compile_hash, fnv1a32_pure
from experiments.core.lifecycle import Status
from experiments.core.ruleset import ExperimentRule, Ruleset, RuleVariant

VARIANTS = (RuleVariant("control", 5_000, is_control=True), RuleVariant("treatment", 5_000))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--experiments", type=int, default=20)
    arguments.add_argument("--repeats", type=int, default=7)
    options = arguments.parse_args()
    rng = random.Random(1)
    visitors = [
        (
            f"{rng.getrandbits(128):032x}",
            {"country": rng.choice(["PT", "DE"]), "plan": rng.choice(["pro", "free"]), "age": 33},
        )
        for _ in range(200)
    ]
    count = options.experiments

    def best(work: Callable[[], object], evaluations: int) -> float:
        # CPU time of this thread, so that what else runs on the machine counts little
        runs = timeit.repeat(work, timer=time.thread_time, number=1, repeat=options.repeats)
        return min(runs) / evaluations * 1e6

    print(f"{'':34}{'ours us':>9}{'SDK us':>9}{'ratio':>8}")
    for name, audiences in (("no targeting", [{}]), ("simple targeting", AUDIENCES)):
        rules = tuple(
            ExperimentRule(f"e{n}", Status.RUNNING, f"salt-{n}", VARIANTS, audience=audiences[n % len(audiences)])
            for n in range(count)
        )
        compiled = compile_ruleset(Ruleset("shop", 1, rules))
        features = {rule.key: feature_of(rule) for rule in rules}
        check(compiled, features, visitors[:20])
        ours = best(lambda c=compiled: [assign(c, *visitor) for visitor in visitors], len(visitors) * count)  # type: ignore[misc]
        theirs = best(lambda f=features: [ask_sdk(f, *visitor) for visitor in visitors[:20]], 20 * count)  # type: ignore[misc]
        print(f"{name:34}{ours:9.2f}{theirs:9.1f}{theirs / ours:7.0f}x")
    names = [visitor for visitor, _ in visitors]
    number = compile_hash("salt")
    fast = best(lambda: [number(name) for name in names], len(names))
    pure = best(lambda: [fnv1a32_pure(str(fnv1a32_pure("salt" + name))) for name in names], len(names))
    print(f"one bucket: {fast:.2f} us with the C hash, {pure:.2f} us in pure Python")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def feature_of(rule: ExperimentRule) -> dict[str, Any]:
    return {
        "defaultValue": "control",
        "rules": [
            {
                "key": rule.key,
                "seed": rule.seed,
                "hashVersion": 2,
                "coverage": 1,
                "weights": [0.5, 0.5],
                "variations": ["control", "treatment"],
                "meta": [{"key": "control"}, {"key": "treatment"}],
                "condition": dict(rule.audience),
            }
        ],
    }


def ask_sdk(features: dict[str, Any], visitor: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """Evaluate every feature for one visitor, as a server does for one request."""
    sdk = GrowthBook(attributes={**attributes, "id": visitor}, features=features)
    values = {key: sdk.eval_feature(key).value for key in features}
    sdk.destroy()
    return values


def check(compiled: Any, features: dict[str, Any], visitors: list[tuple[str, dict[str, Any]]]) -> None:
    for visitor, attributes in visitors:
        ours = {key: answer.variant for key, answer in assign(compiled, visitor, attributes).items()}
        if ours != ask_sdk(features, visitor, attributes):
            raise SystemExit(f"The two disagree for {visitor}: the timing would compare different work.")


if __name__ == "__main__":
    main()
