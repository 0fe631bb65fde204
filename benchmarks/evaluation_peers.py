"""Microseconds to evaluate one experiment for one visitor: ours beside the Python SDKs of other platforms, in one run.

    python -m benchmarks.evaluation_peers [--experiments 20] [--repeats 5]

Each SDK that is installed takes part (`pip install growthbook optimizely-sdk UnleashClient flagsmith-flag-engine`, in an environment of
its own): twenty experiments, two variants, half each, everybody in them. Each is asked in the way that its own client asks, with nothing
sent anywhere. They hash differently, so only the time and the shares of the variants are compared. Times are CPU of one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

from experiments.core.assign import assign, compile_ruleset
from experiments.core.lifecycle import Status
from experiments.core.payload import payload_of
from experiments.core.ruleset import ExperimentRule, Ruleset, RuleVariant

Ask = Callable[[str], list[Any]]
VARIANTS = (RuleVariant("control", 5_000, is_control=True), RuleVariant("treatment", 5_000))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--experiments", type=int, default=20)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    rng = random.Random(1)
    visitors = [f"{rng.getrandbits(128):032x}" for _ in range(300)]
    keys = [f"e{n}" for n in range(options.experiments)]
    print(f"{'':44}{'us each':>9}{'times ours':>12}{'treatment':>12}")
    ours = None
    for name, ask in contestants(keys):
        answers = [one for visitor in visitors for one in ask(visitor)]
        share = sum(str(one).startswith("t") for one in answers) / len(answers)

        def work(ask: Ask = ask) -> None:
            for visitor in visitors:
                ask(visitor)

        seconds = min(timeit.repeat(work, timer=time.thread_time, number=1, repeat=options.repeats))
        each = seconds / len(visitors) / len(keys) * 1e6
        ours = each if ours is None else ours
        print(f"{name:44}{each:9.2f}{each / ours:10.1f} x{share:12.1%}")


def contestants(keys: list[str]) -> Iterator[tuple[str, Ask]]:
    rules = tuple(ExperimentRule(key, Status.RUNNING, f"salt-{key}", VARIANTS) for key in keys)
    ruleset = Ruleset("shop", 1, rules)
    compiled = compile_ruleset(ruleset)
    yield "Inkling", lambda visitor: [one.variant for one in assign(compiled, visitor, {}).values()]
    if _has("growthbook"):
        yield "GrowthBook SDK", growthbook(ruleset, keys)
    if _has("optimizely"):
        yield "Optimizely SDK, decide", optimizely(keys)
    if _has("yggdrasil_engine"):
        yield "Unleash engine (compiled code), get_variant", unleash(keys)
    if _has("flag_engine"):
        yield "Flagsmith engine, get_evaluation_result", flagsmith(keys)


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def growthbook(ruleset: Ruleset, keys: list[str]) -> Ask:
    from growthbook import GrowthBook

    features = json.loads(payload_of(ruleset).body)["features"]

    def ask(visitor: str) -> list[Any]:
        sdk = GrowthBook(attributes={"id": visitor}, features=features)
        found = []
        for key in keys:
            result = sdk.eval_feature(key).experimentResult
            found.append(result.key if result else None)
        sdk.destroy()
        return found

    return ask


def optimizely(keys: list[str]) -> Ask:
    from optimizely import optimizely as sdk

    def experiment(number: int, key: str) -> dict[str, Any]:
        first, second = str(1000 + 2 * number), str(1001 + 2 * number)
        return {
            "id": str(100 + number),
            "key": f"{key}-x",
            "status": "Running",
            "layerId": str(500 + number),
            "audienceIds": [],
            "forcedVariations": {},
            "variations": [
                {"id": one, "key": name, "featureEnabled": True, "variables": []}
                for one, name in ((first, "control"), (second, "treatment"))
            ],
            "trafficAllocation": [{"entityId": first, "endOfRange": 5000}, {"entityId": second, "endOfRange": 10000}],
        }

    datafile = {
        "version": "4",
        "revision": "1",
        "accountId": "1",
        "projectId": "1",
        "anonymizeIP": True,
        "botFiltering": False,
        "attributes": [],
        "audiences": [],
        "events": [],
        "groups": [],
        "rollouts": [],
        "variables": [],
        "typedAudiences": [],
        "experiments": [experiment(number, key) for number, key in enumerate(keys)],
        "featureFlags": [
            {"id": str(number), "key": key, "rolloutId": "", "experimentIds": [str(100 + number)], "variables": []}
            for number, key in enumerate(keys)
        ],
    }
    client = sdk.Optimizely(datafile=json.dumps(datafile))

    def ask(visitor: str) -> list[Any]:
        user = client.create_user_context(visitor)
        return [user.decide(key, ["DISABLE_DECISION_EVENT"]).variation_key for key in keys]

    return ask


def unleash(keys: list[str]) -> Ask:
    from yggdrasil_engine.engine import UnleashEngine

    variants = [
        {"name": name, "weight": 500, "weightType": "variable", "stickiness": "userId", "overrides": []}
        for name in ("control", "treatment")
    ]
    features = [
        {"name": key, "enabled": True, "strategies": [{"name": "default", "parameters": {}}], "variants": variants}
        for key in keys
    ]
    engine = UnleashEngine()
    engine.take_state(json.dumps({"version": 2, "features": features}))

    def ask(visitor: str) -> list[Any]:
        context = {"userId": visitor}
        found = [engine.get_variant(key, context) for key in keys]
        return [getattr(one.variant if hasattr(one, "variant") else one, "name", None) for one in found]

    return ask


def flagsmith(keys: list[str]) -> Ask:
    from flag_engine.engine import get_evaluation_result

    variants = [
        {"value": "control", "weight": 50, "priority": 1},
        {"value": "treatment", "weight": 50, "priority": 2},
    ]
    features = {key: {"key": key, "name": key, "enabled": True, "value": "none", "variants": variants} for key in keys}

    def ask(visitor: str) -> list[Any]:
        context: Any = {
            "environment": {"key": "k", "name": "n"},
            "identity": {"identifier": visitor, "key": f"k_{visitor}", "traits": {}},
            "features": features,
        }
        flags = get_evaluation_result(context)["flags"]
        return [flags[key]["value"] for key in keys]

    return ask


if __name__ == "__main__":
    main()
