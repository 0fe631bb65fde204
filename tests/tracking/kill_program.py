"""Writers and compactors that are killed at random while they work, and the balance afterwards.

    INKLING_DATA_DIR=... python -m tests.tracking.kill_program SEED KILLS

Every process is a fork of this one, killed with SIGKILL after a random time and replaced. A writer notes what was
acknowledged in a file of its own hand; whatever stands there must be in the store exactly once at the end.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import django

WRITERS = 3
BATCH = 20
LEASE_SECONDS = 0.8  # short, so that the next compactor is soon at work, or in the way of one that still lives
SITE = "shop"


def main(seed: int, kills: int) -> dict[str, int]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from tracking.selectors import events_root

    call_command("migrate", "tracking", verbosity=0)
    connections.close_all()
    chance = random.Random(seed)
    root = events_root()
    acknowledged = root.parent / "acknowledged.txt"
    jobs: list[Callable[[int], None]] = [lambda n: write(root, acknowledged, n)] * WRITERS
    jobs += [lambda n: compact(root)] * 2
    children = {spawn(job, number): job for number, job in enumerate(jobs)}
    for number in range(len(jobs), kills + len(jobs)):
        time.sleep(chance.uniform(0.0, 0.12))
        victim = chance.choice(list(children))
        job = children.pop(victim)
        end(victim)
        children[spawn(job, number)] = job
    for child in children:
        end(child)
    return balance(root, acknowledged, kills)


def spawn(job: Callable[[int], None], number: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        job(number)
    except BaseException as error:  # noqa: BLE001 - a child must never return into its parent's code
        print(f"child {number}: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def write(root: Path, acknowledged: Path, number: int) -> None:
    """Send batches for ever; every third is sent again, as a client does whose answer got lost."""
    from tests.tracking.logs import DAY_0
    from tracking.core.events import Event
    from tracking.core.timestamps import DAY_US
    from tracking.segments import SegmentWriter, encode_lines

    writer = SegmentWriter(root, max_bytes=15_000, max_age_seconds=0.2)
    journal = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    turn = 0
    while True:
        ids = [f"{number}-{turn}-{place}" for place in range(BATCH)]
        times = [DAY_0 + (place % 3) * DAY_US + turn for place in range(BATCH)]
        events = [
            Event(event_id=one, name="buy", visitor_id=f"v{one}", time=at, received=at)
            for one, at in zip(ids, times, strict=True)
        ]
        for _ in range(2 if turn % 3 == 0 else 1):
            writer.append(encode_lines(SITE, events))
        os.write(journal, f"{number}-{turn}\n".encode())
        turn += 1


def compact(root: Path) -> None:
    from tracking.manifest import DatabaseManifest
    from tracking.stores.compaction import Compactor
    from tracking.stores.parquet import ParquetStore

    manifest = DatabaseManifest(lease_seconds=LEASE_SECONDS)
    store = ParquetStore(root, manifest, compactor=Compactor(root, manifest, batch_bytes=60_000, grace_seconds=5.0))
    while True:
        store.compact()
        time.sleep(0.01)


def balance(root: Path, acknowledged: Path, kills: int) -> dict[str, int]:
    """Take over what is left and compare what was acknowledged with what is stored and counted."""
    import duckdb

    from tracking.manifest import DatabaseManifest
    from tracking.sealing import waiting_segments
    from tracking.segments import Folders
    from tracking.stores.parquet import ParquetStore

    manifest = DatabaseManifest()
    store = ParquetStore(root, manifest)
    counted_before = store.count_events(site=SITE)
    if store.compact(wait_seconds=30).is_busy:
        raise RuntimeError("The claim was not given back within 30 s.")
    paths = [str(root / entry.path) for entry in manifest.files()]
    stored = Counter(
        row[0] for row in duckdb.connect().execute("SELECT event_id FROM read_parquet(?)", [paths]).fetchall()
    )
    lines = acknowledged.read_text().splitlines()
    expected = {f"{line}-{place}" for line in lines for place in range(BATCH)}
    return {
        "kills": kills,
        "acknowledged": len(expected),
        "stored": stored.total(),
        "counted": store.count_events(site=SITE),
        "counted_before": counted_before,
        "lost": len(expected - stored.keys()),
        "doubled": sum(count > 1 for count in stored.values()),
        "segments_left": len(waiting_segments(Folders(root))),
        "files": len(paths),
    }


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
