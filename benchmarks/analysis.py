"""Analysis of 1 million and 10 million events, against plain DuckDB SQL on the same files: seconds and peak memory.

    python -m benchmarks.analysis [--events 1000000 10000000] [--rounds 3]

Writes a shop of 28 days into a temporary event store (a tenth as many visitors as events, eight event names, four fifths
of the visitors exposed), then asks in a process of its own each time:

* plain: one hand-written SQL statement that gives the same sufficient statistics (count, sum and sum of squares of every
  metric by variant) from the same files;
* store: what an analysis asks the store, `exposure_counts` and `visitor_totals` with the columns of the plan's metrics;
* analysis: the same, and everything that follows up to the report's document.

Every round compares the numbers of store and plain SQL.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import Column, Conversion, MetricDefinition, Role
from experiments.core.plan import AnalysisPlan, PlannedMetric, PlannedVariant
from reports.core.analyse import analyse
from reports.core.wire import to_document
from tracking.core.timestamps import DAY_US, HOUR_US, iso_day, to_us
from tracking.core.totals import TotalsRequest
from tracking.stores.columns import SORT, STORED, visitor_hash_sql
from tracking.stores.compaction import ROW_GROUP_ROWS
from tracking.stores.manifest import FileEntry, MemoryManifest
from tracking.stores.parquet import ParquetStore

DAYS = 28
FIRST_DAY = 20_500
SITE = "shop"
STARTED = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=FIRST_DAY)
AS_OF = (FIRST_DAY + DAYS) * DAY_US
WINDOW_HOURS = 168.0
METRICS = (
    MetricDefinition("purchase", "Purchase", Conversion.MACRO, "conversion", "purchase", window_hours=WINDOW_HOURS),
    MetricDefinition("revenue", "Revenue", Conversion.MACRO, "value_sum", "purchase", window_hours=WINDOW_HOURS),
    MetricDefinition("cart", "Cart", Conversion.MILESTONE, "conversion", "add_to_cart", window_hours=WINDOW_HOURS),
    MetricDefinition("views", "Views", Conversion.SECONDARY, "event_count", "view", window_hours=WINDOW_HOURS),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--ask", choices=ASKED, help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.ask:
        print(json.dumps(answer(options.ask, options.folder)))
        return
    for events in options.events:
        with tempfile.TemporaryDirectory(prefix="inkling-benchmark-") as folder:
            compare(events, Path(folder), options.rounds)


def compare(events: int, root: Path, rounds: int) -> None:
    begun = time.perf_counter()
    size = write(events, root)
    print(f"\n{events:,} events in {size / 1e6:,.0f} MB, written in {time.perf_counter() - begun:.0f} s")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in ASKED}
    for _ in range(rounds):
        for name in ASKED:
            results[name].append(_in_own_process(name, root))
        plain, ours = results["plain"][-1]["numbers"], results["store"][-1]["numbers"]
        if not np.allclose(plain, ours, rtol=1e-9):
            raise SystemExit(f"The numbers differ.\nplain: {plain}\nstore: {ours}")
    base = statistics.median(run["seconds"] for run in results["plain"])
    print(f"{'':10}{'seconds':>9}{'CPU s':>9}{'peak MB':>9}   times plain SQL   (medians of {rounds}; numbers equal)")
    for name, runs in results.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        cpu, peak = (statistics.median(run[key] for run in runs) for key in ("cpu_seconds", "peak_mb"))
        print(f"{name:10}{seconds:9.2f}{cpu:9.2f}{peak:9.0f}{seconds / base:12.2f}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; target: at most 3 times, under 1,000 MB")


def _in_own_process(name: str, root: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.analysis", "--ask", name, "--folder", str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write(events: int, root: Path) -> int:
    """Write the shop's days in the form the compactor gives them, and the manifest beside them; return the bytes."""
    visitors = events // 10
    per_day = events // DAYS
    exposed = visitors * 4 // 5
    entries = []
    with duckdb.connect(config={"memory_limit": "2GB", "threads": 2, "temp_directory": str(root / "spill")}) as db:
        for number in range(DAYS):
            day = FIRST_DAY + number
            path = root / "files" / SITE / iso_day(day) / "all.parquet"
            path.parent.mkdir(parents=True)
            db.execute(
                f"""
                COPY (
                    WITH raw AS (
                        SELECT i, md5(i::VARCHAR || 'e{number}') AS event_id, hash(i, {number}, 1) % {visitors} AS v,
                            {day * DAY_US} + (hash(i, {number}, 2) % {DAY_US})::BIGINT AS time,
                            hash(i, {number}, 3) % 1000 AS dice
                        FROM range({per_day}) t(i)
                    ), happened AS (
                        SELECT event_id, CASE WHEN dice < 500 THEN 'view' WHEN dice < 650 THEN 'search'
                            WHEN dice < 750 THEN 'add_to_cart' WHEN dice < 850 THEN 'wishlist'
                            WHEN dice < 900 THEN 'checkout' WHEN dice < 950 THEN 'newsletter' ELSE 'purchase' END AS name,
                            v, time, CASE WHEN dice >= 950 THEN (dice * 7 % 100) / 4.0 END AS value
                        FROM raw WHERE i >= {exposed // DAYS}
                    ), met AS (
                        SELECT md5(n::VARCHAR || 'x') AS event_id, '$exposure' AS name, n AS v,
                            {day * DAY_US} + (hash(n, 4) % {DAY_US})::BIGINT AS time, NULL::DOUBLE AS value
                        FROM range({number * exposed // DAYS}, {(number + 1) * exposed // DAYS}) t(n)
                    ), both_kinds AS (SELECT * FROM happened UNION ALL SELECT * FROM met),
                    named AS (SELECT *, 'visitor-' || lpad(v::VARCHAR, 10, '0') AS visitor_id FROM both_kinds)
                    SELECT {STORED} FROM (
                        SELECT event_id, name, {visitor_hash_sql("visitor_id")} AS visitor, visitor_id, time,
                            time AS received, '' AS session_id, value,
                            CASE WHEN name = '$exposure' THEN '{{"experiment":"button","variant":"'
                                || CASE WHEN v % 2 = 0 THEN 'control' ELSE 'new' END || '"}}' END AS properties,
                            '{{"device":"' || CASE WHEN v % 3 = 0 THEN 'phone' ELSE 'desktop' END || '"}}' AS context,
                            'native' AS source, CASE WHEN name = '$exposure' THEN 'button' END AS experiment,
                            CASE WHEN name <> '$exposure' THEN NULL WHEN v % 2 = 0 THEN 'control' ELSE 'new' END
                                AS variant
                        FROM named
                    ) ORDER BY {SORT}
                ) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})
                """
            )
            rows, first, last = db.execute(f"SELECT count(*), min(time), max(time) FROM '{path}'").fetchall()[0]
            entries.append((SITE, day, str(path.relative_to(root)), rows, path.stat().st_size, first, last))
    (root / "manifest.json").write_text(json.dumps(entries))
    return sum(entry[4] for entry in entries)


def manifest_of(root: Path) -> MemoryManifest:
    manifest = MemoryManifest()
    manifest.commit(added=[FileEntry(*entry) for entry in json.loads((root / "manifest.json").read_text())])
    return manifest


def plan() -> AnalysisPlan:
    return AnalysisPlan(
        site=SITE,
        experiment="button",
        time_zone="Europe/Lisbon",
        variants=(PlannedVariant("control", 0.5, True), PlannedVariant("new", 0.5, False)),
        metrics=tuple(
            PlannedMetric(metric, role, margin)
            for metric, role, margin in zip(
                METRICS,
                (Role.GUARDRAIL, Role.EXPLORATORY, Role.PROXY, Role.EXPLORATORY),
                (0.1, None, None, None),
                strict=True,
            )
        ),
        horizon_days=DAYS,
        started_at=STARTED,
    )


def request_of(asked: AnalysisPlan) -> TotalsRequest:
    columns: dict[str, Column] = {}
    for planned in asked.metrics:
        columns |= {column.name: column for column in METRIC_KINDS[planned.metric.kind].columns(planned.metric)}
    return TotalsRequest(
        site=SITE,
        experiment="button",
        variants=("control", "new"),
        as_of=AS_OF,
        since=to_us(STARTED),
        time_zone=asked.time_zone,
        columns=tuple(columns.values()),
    )


def answer(name: str, root: Path) -> dict[str, Any]:
    begun, cpu = time.perf_counter(), time.process_time()
    numbers = ASKED[name](root)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak / 1024, "numbers": numbers}


def ask_plain(root: Path) -> list[float]:
    window = round(WINDOW_HOURS * HOUR_US)
    within = f"time - first BETWEEN 0 AND {window - 1}"
    files = [str(root / entry.path) for entry in manifest_of(root).files()]
    with duckdb.connect(config={"memory_limit": "900MB", "threads": 2, "temp_directory": str(root / "spill")}) as db:
        rows = db.execute(
            f"""
            WITH events AS (SELECT visitor, name, time, value, experiment, variant FROM read_parquet(?)),
            exposed AS (
                SELECT visitor, min(time) AS first, arg_min(variant, time) AS variant FROM events
                WHERE name = '$exposure' AND experiment = 'button' GROUP BY visitor
            ), totals AS (
                SELECT visitor, any_value(x.variant) AS variant,
                    count(*) FILTER (name = 'purchase' AND {within}) AS purchases,
                    coalesce(sum(e.value) FILTER (name = 'purchase' AND {within}), 0) AS revenue,
                    count(*) FILTER (name = 'add_to_cart' AND {within}) AS carts,
                    count(*) FILTER (name = 'view' AND {within}) AS views
                FROM exposed x LEFT JOIN (
                    SELECT * FROM events WHERE name IN ('purchase', 'add_to_cart', 'view')
                ) e USING (visitor) GROUP BY visitor
            )
            SELECT count(*), sum(least(purchases, 1)), sum(revenue), sum(revenue * revenue), sum(least(carts, 1)),
                sum(views), sum(views * views)
            FROM totals GROUP BY variant ORDER BY variant
            """,
            [files],
        ).fetchall()
    return [float(number) for row in rows for number in row]


def ask_store(root: Path) -> list[float]:
    store, request = ParquetStore(root, manifest_of(root)), request_of(plan())
    store.exposure_counts(request)
    totals = store.visitor_totals(request)
    columns = totals.columns
    numbers: list[float] = []
    for index in range(2):
        here = totals.variant == index
        bought, revenue, cart, views = (columns[metric.key][here] for metric in METRICS)
        numbers += [
            float(here.sum()),
            float((bought > 0).sum()),
            float(revenue.sum()),
            float((revenue**2).sum()),
            float((cart > 0).sum()),
            float(views.sum()),
            float((views**2).sum()),
        ]
    return numbers


def ask_analysis(root: Path) -> list[float]:
    asked = plan()
    store, request = ParquetStore(root, manifest_of(root)), request_of(asked)
    exposures = store.exposure_counts(request)
    totals = store.visitor_totals(request)
    as_of = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=AS_OF)
    to_document(analyse(asked, totals, exposures, as_of=as_of))
    return []


ASKED = {"plain": ask_plain, "store": ask_store, "analysis": ask_analysis}

if __name__ == "__main__":
    main()
