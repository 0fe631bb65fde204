"""Compaction: stopped at any step and done again, the store is the same; readers never see an event twice or not at all."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from experiments.core.metrics import Aggregate, Column
from tests.tracking.logs import DAY_0, SITE, alias, event, exposure, rows
from tracking.core.events import Event
from tracking.core.timestamps import DAY_US, HOUR_US
from tracking.core.totals import TotalsRequest
from tracking.sealing import sealed_segments, waiting_segments
from tracking.segments import Folders, SegmentWriter, encode_lines
from tracking.stores import duck
from tracking.stores.columns import visitor_hash, visitor_hash_sql
from tracking.stores.compaction import Compactor
from tracking.stores.manifest import FileEntry, MemoryManifest
from tracking.stores.merging import days_to_tidy, files_to_merge
from tracking.stores.parquet import ParquetStore


class Stopped(Exception):
    """Stands for a kill: whatever comes after it does not happen."""


def stopping_at(step: str) -> object:
    def at_step(done: str) -> None:
        if done == step:
            raise Stopped(step)

    return at_step


def wait_for(root: Path, events: Sequence[Event], *, seal: bool = True, site: str = SITE) -> None:
    writer = SegmentWriter(root)
    writer.append(encode_lines(site, events))
    if seal:
        writer.seal()


def store_with(root: Path, manifest: MemoryManifest, **options: object) -> ParquetStore:
    return ParquetStore(root, manifest, compactor=Compactor(root, manifest, **options))  # type: ignore[arg-type]


def ids(store: ParquetStore) -> list[str]:
    paths = [str(store.root / entry.path) for entry in store.manifest.files()]
    rows = duckdb.connect().execute("SELECT event_id FROM read_parquet(?) ORDER BY 1", [paths]).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("step", ["written", "committed", "deleted"])
def test_compact__stopped_at_a_step_and_done_again__counts_exactly(tmp_path: Path, step: str) -> None:
    manifest = MemoryManifest()
    wait_for(tmp_path, [event(event_id=f"e{n}", hours=n) for n in range(60)])
    wait_for(tmp_path, [event(event_id=f"e{n}", hours=n) for n in range(40, 80)])
    with pytest.raises(Stopped):
        store_with(tmp_path, manifest, at_step=stopping_at(step)).compact()
    store = store_with(tmp_path, manifest)
    assert store.count_events(site=SITE) == 80
    wait_for(tmp_path, [event(event_id="e5", hours=5), event(event_id="new", hours=5)])
    assert store.count_events(site=SITE) == 81
    store.compact()
    assert store.count_events(site=SITE) == 81
    assert len(ids(store)) == len(set(ids(store))) == 81
    assert sealed_segments(Folders(tmp_path)) == []


class FailingManifest(MemoryManifest):
    """Its database is away at the moment of the commit."""

    is_away = True

    def commit(self, **changes: Any) -> None:
        if self.is_away:
            raise Stopped("commit")
        super().commit(**changes)


def test_compact__commit_fails__keeps_the_segments(tmp_path: Path) -> None:
    manifest = FailingManifest()
    store = store_with(tmp_path, manifest)
    wait_for(tmp_path, [event(event_id=f"e{n}", hours=n) for n in range(60)])
    with pytest.raises(Stopped):
        store.compact()
    assert store.count_events(site=SITE) == 60
    manifest.is_away = False
    store.compact()
    assert store.count_events(site=SITE) == len(ids(store)) == 60


class BusyManifest(MemoryManifest):
    """Somebody compacts, merges and cleans up just before, or just after, one of the reader's questions."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = moment
        self.compact: Callable[[], object] | None = None

    def _interrupt(self, moment: str) -> None:
        if moment == self.moment and self.compact is not None:
            compact, self.compact = self.compact, None
            compact()

    def consumed(self, names: Collection[str]) -> set[str]:
        self._interrupt("before consumed")
        found = super().consumed(names)
        self._interrupt("after consumed")
        return found

    def files(self, *, site: str | None = None, days: Collection[int] | None = None) -> list[FileEntry]:
        self._interrupt("before files")
        found = super().files(site=site, days=days)
        self._interrupt("after files")
        return found


@pytest.mark.parametrize("files", [1, 8])  # with 8 the compaction also merges them and deletes the old ones
@pytest.mark.parametrize("moment", ["before consumed", "after consumed", "before files", "after files"])
def test_readers__compaction_at_any_moment_of_the_question__count_exactly(
    tmp_path: Path, moment: str, files: int
) -> None:
    manifest = BusyManifest(moment)
    store = store_with(tmp_path, manifest)
    for n in range(files):
        store.load(SITE, [event(event_id=f"old{n}", hours=1)])
    wait_for(tmp_path, [event(event_id="waits", hours=1), event(event_id="old0", hours=1)])

    def compact() -> None:
        other = store_with(tmp_path, manifest, grace_seconds=0.0)
        assert other.compact().files_merged == (9 if files == 8 else 0)
        other.compactor.delete_orphans()

    manifest.compact = compact
    assert store.count_events(site=SITE) == files + 1
    assert manifest.compact is None
    assert store.count_events(site=SITE) == files + 1


def test_compact__stopped_while_merging__loses_and_doubles_nothing(tmp_path: Path) -> None:
    manifest = MemoryManifest()
    store = store_with(tmp_path, manifest)
    for n in range(8):
        store.load(SITE, [event(event_id=f"e{n}", hours=1)])
    wait_for(tmp_path, [event(event_id="e8", hours=1)])
    with pytest.raises(Stopped):
        store_with(tmp_path, manifest, at_step=stopping_at("merged")).compact()
    assert store.count_events(site=SITE) == 9
    assert ids(store) == [f"e{n}" for n in range(9)]
    assert len(manifest.files()) == 1


def test_compact__twice__changes_nothing_the_second_time(tmp_path: Path) -> None:
    store = store_with(tmp_path, MemoryManifest())
    wait_for(tmp_path, [event(event_id="a"), event(event_id="a"), event(event_id="b")])
    first, second = store.compact(), store.compact()
    assert (first.segments, first.events, first.new_events, first.files_written) == (1, 3, 2, 1)
    assert (second.segments, second.events, second.new_events, second.files_written) == (0, 0, 0, 0)


def test_compact__open_segment_of_a_living_writer__waits_and_is_counted_all_the_same(tmp_path: Path) -> None:
    store = store_with(tmp_path, MemoryManifest())
    writer = SegmentWriter(tmp_path)
    writer.append(encode_lines(SITE, [event("buy", "a"), exposure("a")]))
    assert store.compact().segments == 0
    assert (store.count_events(site=SITE), store.count_exposures(site=SITE, experiment="button")) == (2, 1)
    with next(iter(waiting_segments(Folders(tmp_path)).values())).open("ab") as file:
        file.write(b'{"site":"shop","event_id":"half')  # a write that is under way
    assert store.count_events(site=SITE) == 2


def test_compact__repeats_in_later_segments__are_found_in_the_files(tmp_path: Path) -> None:
    store = store_with(tmp_path, MemoryManifest(), batch_bytes=1)
    for start in (0, 10, 5):
        wait_for(tmp_path, [event(event_id=f"e{n}", hours=n % 3) for n in range(start, start + 15)])
    assert store.compact().new_events == 25
    assert store.count_events(site=SITE) == 25


def test_compact__files__are_sorted_and_split_by_site_and_utc_day(tmp_path: Path) -> None:
    store = store_with(tmp_path, MemoryManifest())
    log = [event(name, visitor, hours) for name in ("view", "buy") for visitor in "cab" for hours in (25, 23.5, 1)]
    wait_for(tmp_path, log)
    wait_for(tmp_path, log[:4], site="other")
    store.compact()
    files = store.manifest.files()
    assert [(entry.site, entry.path.split("/")[2], entry.rows) for entry in files] == [
        ("other", "2026-02-16", 2),
        ("other", "2026-02-17", 2),
        ("shop", "2026-02-16", 12),
        ("shop", "2026-02-17", 6),
    ]
    for entry in files:
        path = tmp_path / entry.path
        rows = duckdb.connect().execute("SELECT name, visitor, time FROM read_parquet(?)", [str(path)]).fetchall()
        assert rows == sorted(rows)
        assert (entry.first_time, entry.last_time) == (min(r[2] for r in rows), max(r[2] for r in rows))
        assert (entry.rows, entry.size_bytes) == (len(rows), path.stat().st_size)


def test_compact__damaged_segment__is_salvaged_and_stops_nobody(tmp_path: Path) -> None:
    store = store_with(tmp_path, MemoryManifest())
    wait_for(tmp_path, [event(event_id="a"), event(event_id="b")])
    [segment] = sealed_segments(Folders(tmp_path))
    segment.write_bytes(b"garbage\n" + segment.read_bytes())
    wait_for(tmp_path, [event(event_id="c")])
    summary = store.compact()
    assert (summary.lost_lines, summary.new_events) == (1, 3)
    assert ids(store) == ["a", "b", "c"]
    assert (Folders(tmp_path).damaged / segment.name).exists()


def test_compact__site_that_is_no_folder_name__is_refused(tmp_path: Path) -> None:
    wait_for(tmp_path, [event()], site="../outside")
    with pytest.raises(ValueError, match="outside"):
        store_with(tmp_path, MemoryManifest()).compact()
    assert not (tmp_path / "outside").exists()


def test_readers__repeat_waits_while_the_original_is_in_a_file__see_it_once(tmp_path: Path) -> None:
    store = store_with(tmp_path, MemoryManifest())
    bought, met = event("buy", "a", 2, event_id="e1"), exposure("a", "new", 1, event_id="e2")
    store.load(SITE, [bought, met])
    wait_for(tmp_path, [bought, event("view", "b", 3, event_id="e1")])
    wait_for(tmp_path, [met, bought], seal=False)
    wait_for(tmp_path, [event("buy", "a", 26, event_id="e1")])  # another day: another event
    assert store.count_events(site=SITE) == 3
    assert store.count_events(site=SITE, event="buy", visitor="a") == 2
    request = TotalsRequest(
        SITE, "button", ("control", "new"), DAY_0 + DAY_US, columns=(Column("n", "buy", Aggregate.COUNT),)
    )
    assert rows(store.visitor_totals(request)) == [("new", DAY_0 + HOUR_US, 1.0)]


def test_readers__deleted_events_whose_consumed_segment_is_still_there__do_not_see_them_again(tmp_path: Path) -> None:
    manifest = MemoryManifest()
    wait_for(tmp_path, [event(event_id="a")])
    with pytest.raises(Stopped):
        store_with(tmp_path, manifest, at_step=stopping_at("committed")).compact()
    assert len(sealed_segments(Folders(tmp_path))) == 1
    manifest.commit(removed=[entry.path for entry in manifest.files()])
    assert store_with(tmp_path, manifest).count_events(site=SITE) == 0


def test_orphans__left_by_a_kill__are_deleted_after_their_grace_and_never_before(tmp_path: Path) -> None:
    manifest = MemoryManifest()
    wait_for(tmp_path, [event(event_id="a")])
    with pytest.raises(Stopped):
        store_with(tmp_path, manifest, at_step=stopping_at("written")).compact()
    store = store_with(tmp_path, manifest)
    store.compact()
    assert len(list(tmp_path.glob("files/*/*/*.parquet"))) == 2
    assert store.compactor.delete_orphans() == 0
    [orphan] = {str(p.relative_to(tmp_path)) for p in tmp_path.glob("files/*/*/*.parquet")} - {manifest.files()[0].path}
    old = time.time() - 3600
    os.utime(tmp_path / orphan, (old, old))
    assert store.compactor.delete_orphans() == 1
    assert store.count_events(site=SITE) == 1


def test_merge__replaced_files__stay_for_readers_who_hold_the_old_list(tmp_path: Path) -> None:
    manifest = MemoryManifest()
    store = store_with(tmp_path, manifest)
    for n in range(8):
        store.load(SITE, [event(event_id=f"e{n}", hours=1)])
    old = manifest.files()
    for entry in old:
        os.utime(tmp_path / entry.path, (0, 0))
    wait_for(tmp_path, [event(event_id="e8", hours=1)])
    assert store.compact().files_merged == 9
    assert all((tmp_path / entry.path).exists() for entry in old)
    assert store.compactor.delete_orphans(grace_seconds=0) == 9


def test_tidy__past_days__become_one_file_each(tmp_path: Path) -> None:
    manifest = MemoryManifest()
    store = store_with(tmp_path, manifest)
    for n in range(6):
        store.load(SITE, [event(event_id=f"e{n}", hours=24 * (n % 2))])
    assert store.tidy(before_day=20_501).files_merged == 3
    assert [(entry.day, entry.rows) for entry in manifest.files()] == [(20_500, 3), *[(20_501, 1)] * 3]
    assert store.count_events(site=SITE) == 6


def file_of(rows: int, day: int = 1, site: str = SITE) -> FileEntry:
    return FileEntry(site, day, f"{site}/{day}/{rows}", rows, rows, 0, 0)


def test_files_to_merge__only_many_of_about_one_size() -> None:
    small, large = [file_of(n) for n in range(8, 15)], [file_of(5000), file_of(6000)]
    assert files_to_merge(small + large) == []
    assert files_to_merge([*small, file_of(60), *large]) == [[*small, file_of(60)]]
    assert files_to_merge([*small, file_of(9, day=2), file_of(9, site="other")]) == []


def test_files_to_merge__a_busy_day__rewrites_each_event_a_few_times() -> None:
    sizes, written = [], 0
    for _ in range(2000):
        sizes.append(100)
        for group in files_to_merge([file_of(size) for size in sizes]):
            for entry in group:
                sizes.remove(entry.rows)
            sizes.append(sum(entry.rows for entry in group))
            written += sizes[-1]
    assert sum(sizes) == 200_000
    assert len(sizes) < 40
    assert written <= 4 * 200_000  # log8(2000) < 4


def test_days_to_tidy__today_is_left_alone() -> None:
    files = [file_of(1, day=1), file_of(2, day=1), file_of(3, day=2), file_of(4, day=3), file_of(5, day=3)]
    assert days_to_tidy(files, before_day=3) == [files[:2]]


def test_visitor_hash__sql_and_python__are_the_same_stable_number() -> None:
    words = ["", "a", "visitor-1", "日本語", "x" * 256, "'"]
    rows = duckdb.connect().execute(f"SELECT {visitor_hash_sql('w')} FROM (SELECT unnest(?) w)", [words]).fetchall()
    assert [row[0] for row in rows] == [visitor_hash(word) for word in words]
    # md5("a") is 0cc175b9c0f1b6a831c399e269772661; its second half read little-endian:
    assert visitor_hash("a") == 0x61267769E299C331


def test_readers__while_segments_are_taken_over_and_merged__always_count_exactly(tmp_path: Path) -> None:
    """One thread acknowledges and compacts as fast as it can; what readers count lies between before and after."""
    store = store_with(tmp_path, MemoryManifest(), grace_seconds=0.0)
    acknowledged = [0]
    failures: list[str] = []
    is_over = threading.Event()

    def write() -> None:
        writer = SegmentWriter(tmp_path)
        for number in range(60):
            writer.append(
                encode_lines(SITE, [event(event_id=f"{number}-{n}", hours=1 + 24 * (n % 2)) for n in range(5)])
            )
            acknowledged[0] += 5
            if number % 2:
                writer.seal()
                store.compact()
                store.compactor.delete_orphans()
        is_over.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not is_over.is_set():
        at_least = acknowledged[0]
        counted = store.count_events(site=SITE)
        at_most = acknowledged[0] + 5
        if not at_least <= counted <= at_most:
            failures.append(f"{counted} is not between {at_least} and {at_most}")
    thread.join()
    assert failures == []
    assert store.count_events(site=SITE) == 300


def test_erase__segment_of_a_living_writer__is_waited_for(tmp_path: Path) -> None:
    store = store_with(tmp_path, MemoryManifest())
    writer = SegmentWriter(tmp_path, max_age_seconds=0.3)
    writer.append(encode_lines(SITE, [event(visitor="a"), event(visitor="b"), alias("b", "c")]))
    assert store.erase_visitor(site=SITE, visitor="a") == 1
    assert store.count_events(site=SITE) == 2
    assert b"".join(path.read_bytes() for path in waiting_segments(Folders(tmp_path)).values()) == b""


def test_erase__leaves_no_trace_on_disk(tmp_path: Path) -> None:
    store = store_with(tmp_path, MemoryManifest())
    for n in range(3):
        store.load(SITE, [event(visitor="someone-to-forget", hours=n), event(visitor="other", hours=n)])
    store.compact()
    assert store.erase_visitor(site=SITE, visitor="someone-to-forget") == 3
    paths = [str(path) for path in tmp_path.glob("**/*.parquet")]
    left = duckdb.connect().execute("SELECT DISTINCT visitor_id FROM read_parquet(?)", [paths]).fetchall()
    assert left == [("other",)]


def test_session__engine__stays_within_its_memory_and_its_folder(tmp_path: Path) -> None:
    with duck.session(tmp_path / "scratch") as db:
        assert duck.scalar(db, "SELECT current_setting('temp_directory')").startswith(str(tmp_path))
        assert duck.scalar(db, "SELECT current_setting('memory_limit')").endswith("MiB")
