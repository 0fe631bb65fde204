"""Assignments a second, against empty answers of the same server.

    python -m benchmarks.assignment [--seconds 8] [--rounds 3] [--threads 8] [--experiments 20]

Starts granian with two workers on a temporary SQLite database with running experiments that all have targeting, sends
requests to each address in turn, several rounds, and prints medians and ratios. The load client shares the machine, so
the ratios count, not the absolute figures.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.load import Load, Measured, measure

ROOT = Path(__file__).resolve().parent.parent
AUDIENCES = (
    {"country": {"$in": ["PT", "ES", "FR"]}},
    {"plan": {"$ne": "free"}},
    {"age": {"$exists": True, "$gte": 18}},
    {"$or": [{"country": "PT"}, {"plan": "pro"}]},
)
BODY = '{"visitor_id":"b58e88cc-e4a8-46a5-bd35-%012d","attributes":{"country":"PT","plan":"pro","age":33,"device":"phone"}}'


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=8)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=8, help="blocking threads of each of the two workers")
    arguments.add_argument("--experiments", type=int, default=20)
    arguments.add_argument("--connections", type=int, default=32)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="inkling-benchmark-") as folder:
        os.environ |= {"INKLING_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "INKLING_DEMO": "false"}
        os.environ.pop("DATABASE_URL", None)
        key = prepare(options.experiments)
        port = free_port()
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={port}"),
                *("--workers=2", f"--blocking-threads={options.threads}", "--backpressure=256", "--no-ws"),
                *("--log-level=error", "benchmarks.assignment_app:application"),
            ],
            cwd=ROOT,
        )
        try:
            await_port(port, server)
            report(run(f"http://127.0.0.1:{port}", key, options), options)
        finally:
            server.terminate()
            server.wait(timeout=30)


def prepare(experiments: int) -> str:
    """Make the database and return a client key."""
    import django

    django.setup()
    from django.core.management import call_command

    from experiments.core.lifecycle import Status
    from experiments.core.ruleset import ExperimentRule, Ruleset, RuleVariant
    from experiments.models import PublishedRuleset
    from experiments.services.sites import create_api_key, create_site

    call_command("migrate", verbosity=0)
    site = create_site(key="shop", name="Shop")
    _, key = create_api_key(site=site, kind="client", name="benchmark")
    variants = (
        RuleVariant("control", 5_000, is_control=True),
        RuleVariant("treatment", 5_000, payload={"colour": "green"}),
    )
    rules = tuple(
        ExperimentRule(f"experiment-{n}", Status.RUNNING, f"salt-{n}", variants, audience=AUDIENCES[n % len(AUDIENCES)])
        for n in range(experiments)
    )
    ruleset = Ruleset("shop", 1, rules)
    PublishedRuleset.objects.create(
        site=site, version=1, document=ruleset.to_document(), content_hash=ruleset.content_hash()
    )
    return key


def run(base: str, key: str, options: argparse.Namespace) -> dict[str, list[Measured]]:
    from benchmarks.addresses import EMPTY_FRONT, EMPTY_VIEW, EMPTY_VIEW_BARE

    headers = (("Authorization", f"Bearer {key}"), ("Content-Type", "application/json"))
    loads = {
        "assignments": Load(f"{base}/api/v1/assignments", "POST", headers, BODY, visitors=1_000_000),
        "empty Django view, no middleware": Load(f"{base}{EMPTY_VIEW_BARE}"),
        "empty Django view, our middleware": Load(f"{base}{EMPTY_VIEW}"),
        "empty answer of the front": Load(f"{base}{EMPTY_FRONT}"),
    }
    for load in loads.values():  # the first requests pay for imports and caches
        measure(load, seconds=1, connections=options.connections)
    results: dict[str, list[Measured]] = {name: [] for name in loads}
    for _ in range(options.rounds):
        for name, load in loads.items():
            results[name].append(measure(load, seconds=options.seconds, connections=options.connections))
    return results


def report(results: dict[str, list[Measured]], options: argparse.Namespace) -> None:
    ours = statistics.median(m.per_second for m in results["assignments"])
    print(f"\n{options.experiments} running experiments with targeting, granian, 2 workers x {options.threads} threads")
    print(f"{'':36}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}   assignments are at")
    for name, runs in results.items():
        rate = statistics.median(m.per_second for m in runs)
        p50, p99 = (statistics.median(getattr(m, field) for m in runs) for field in ("p50_ms", "p99_ms"))
        failed = sum(m.failures for m in runs)
        print(f"{name:36}{rate:9,.0f}{p50:9.2f}{p99:9.2f}{failed:8}   {ours / rate:6.0%}")
    load = os.getloadavg()[0]
    print(f"load average afterwards {load:.1f} on {os.cpu_count()} cores; target: at least 50 % of the empty view")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit(f"The server ended with {server.returncode} before it listened.")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"The server did not listen within {seconds:g} s.")


if __name__ == "__main__":
    main()
