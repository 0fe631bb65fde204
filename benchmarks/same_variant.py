"""The same variant everywhere: our server, GrowthBook's Python SDK and the browser client on random rulesets.

    python -m benchmarks.same_variant [--rulesets 50] [--visitors 10000]

Each ruleset has five experiments with random weights, traffic, layers, holdouts, audiences and hashed attributes. The browser client
runs in Chromium, from the sources that it is built from. Any difference ends the run with its case.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from growthbook import GrowthBook
from playwright.sync_api import Route, sync_playwright

from experiments.core.assign import assign, compile_ruleset
from experiments.core.payload import payload_of
from experiments.core.ruleset import Ruleset
from tests.experiments.test_assign import random_rule, random_visitor

SOURCES = Path(__file__).resolve().parent.parent / "tracking" / "browser"
PAGE = """async ([features, visitors]) => {
  const { evaluate } = await import("http://source.test/evaluate.js");
  const keys = Object.keys(features);
  return visitors.map((attributes) => keys.map((key) => evaluate(features[key], attributes).variant || null));
}"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rulesets", type=int, default=50)
    arguments.add_argument("--visitors", type=int, default=10_000)
    options = arguments.parse_args()
    rng = random.Random(3)
    spent = dict.fromkeys(("server", "GrowthBook SDK", "browser"), 0.0)
    compared = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.route("http://source.test/**", serve)
        page.goto("http://source.test/")
        for number in range(options.rulesets):
            groups = {"staff": tuple(f"user-{rng.randrange(10**6)}" for _ in range(3))}
            ruleset = Ruleset("shop", 1, tuple(random_rule(rng, n) for n in range(5)), groups)
            compiled, payload = compile_ruleset(ruleset), json.loads(payload_of(ruleset).body)
            visitors = [random_visitor(rng) for _ in range(options.visitors)]
            begun = time.perf_counter()
            ours = [
                [a.variant if a.in_experiment else None for a in assign(compiled, visitor, more).values()]
                for visitor, more in visitors
            ]
            spent["server"] += time.perf_counter() - begun
            begun = time.perf_counter()
            theirs = [ask_sdk(payload, visitor, more) for visitor, more in visitors]
            spent["GrowthBook SDK"] += time.perf_counter() - begun
            begun = time.perf_counter()
            sent = [json.loads(compiled.browser), [{**more, "id": visitor} for visitor, more in visitors]]
            there = page.evaluate(PAGE, sent)
            spent["browser"] += time.perf_counter() - begun
            for who, mine, sdk, js in zip(visitors, ours, theirs, there, strict=True):
                if not mine == sdk == js:
                    print(
                        f"Ruleset {number} differs for {who}: server {mine}, SDK {sdk}, browser {js}", file=sys.stderr
                    )
                    return 1
            compared += len(visitors) * len(ruleset.experiments)
        browser.close()
    print(
        f"{compared:,} assignments of {options.rulesets} rulesets x {options.visitors:,} visitors: the same everywhere."
    )
    for name, seconds in spent.items():
        print(f"{name:16} {seconds:7.1f} s, {seconds / compared * 1e6:6.2f} us an assignment")
    return 0


def ask_sdk(payload: dict[str, Any], visitor: str, more: dict[str, Any]) -> list[str | None]:
    sdk = GrowthBook(
        attributes={**more, "id": visitor}, features=payload["features"], savedGroups=payload["savedGroups"]
    )
    found = []
    for key in payload["features"]:
        result = sdk.eval_feature(key)
        is_in = result.source == "experiment" and result.experimentResult is not None
        found.append(result.experimentResult.key if is_in else None)
    sdk.destroy()
    return found


def serve(route: Route) -> None:
    path = SOURCES / route.request.url.rsplit("/", 1)[1]
    if path.is_file():
        route.fulfill(body=path.read_text(), content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


if __name__ == "__main__":
    raise SystemExit(main())
