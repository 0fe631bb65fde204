"""Segments: what is acknowledged is in a file, whole, once, and found by whoever takes it over."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tracking.logs import SITE, event
from tracking import segments
from tracking.sealing import Line, read_whole_lines, salvage, seal_orphans, sealed_segments, waiting_segments
from tracking.segments import Folders, IntakeUnavailable, SegmentWriter, encode_lines

ROOT = Path(__file__).resolve().parents[2]


def lines(*ids: str) -> bytes:
    return encode_lines(SITE, [event(event_id=one) for one in ids])


def ids_in(path: Path) -> list[str]:
    decode = msgspec.json.Decoder(Line).decode
    return [decode(line).event_id for line in path.read_bytes().splitlines()]


def all_ids(root: Path) -> list[str]:
    return sorted(one for path in waiting_segments(Folders(root)).values() for one in ids_in(path))


def test_append__from_many_threads__keeps_every_line_whole_and_once(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)

    def send(thread: int) -> None:
        for number in range(50):
            writer.append(lines(f"{thread}-{number}-a", f"{thread}-{number}-b"))

    threads = [threading.Thread(target=send, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all_ids(tmp_path) == sorted(f"{t}-{n}-{part}" for t in range(16) for n in range(50) for part in "ab")


def test_append__many_waiting_threads__share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append(lines("first"))
    may_go, syncing, syncs = threading.Event(), threading.Event(), []

    def slow_sync(fd: int) -> None:
        syncs.append(fd)
        syncing.set()
        assert may_go.wait(10)

    monkeypatch.setattr(segments, "_sync", slow_sync)
    threads = [threading.Thread(target=writer.append, args=(lines(str(n)),)) for n in range(20)]
    threads[0].start()
    assert syncing.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(writer._waiting.chunks) < 19:  # all others wait for the first
        pass
    may_go.set()
    for thread in threads:
        thread.join()
    assert len(syncs) == 2
    assert len(all_ids(tmp_path)) == 21


def test_append__returns__only_after_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    writer = SegmentWriter(tmp_path)
    monkeypatch.setattr(segments, "_sync", lambda fd: order.append("synced"))
    writer.append(lines("a"))
    order.append("returned")
    assert order == ["synced", "returned"]


def test_append__segment_is_large_enough__is_sealed_by_rename(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, max_bytes=len(lines("a", "b")))
    for one in ("a", "b", "c"):
        writer.append(lines(one))
    [sealed] = sealed_segments(Folders(tmp_path))
    assert ids_in(sealed) == ["a", "b"]
    assert all_ids(tmp_path) == ["a", "b", "c"]


def test_append__segment_has_come_of_age__is_sealed_though_nothing_more_is_written(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, max_age_seconds=0.01)
    writer.append(lines("a"))
    for timer in [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]:
        timer.join(10)
    assert [ids_in(path) for path in sealed_segments(Folders(tmp_path))] == [["a"]]


def failing(calls: list[int], real: Callable[..., Any], error: int, written: int = 0) -> Callable[..., Any]:
    def write(fd: int, data: bytes) -> Any:
        calls.append(fd)
        if written and len(calls) == 1:
            return real(fd, bytes(data)[:written])  # the disk takes a part, then it is full
        raise OSError(error, os.strerror(error))

    return write


def test_append__disk_full_in_the_middle_of_a_line__acknowledges_nothing_and_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append(lines("before"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing([], os.write, errno.ENOSPC, written=25))
        with pytest.raises(IntakeUnavailable) as caught:
            writer.append(lines("lost"))
    assert (caught.value.status, caught.value.code) == (503, "intake_unavailable")
    writer.append(lines("after"))
    assert all_ids(tmp_path) == ["after", "before"]


def test_append__sync_fails__cuts_off_what_was_written_and_never_trusts_the_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append(lines("before"))
    real, faults = segments._sync, [OSError(errno.EIO, "I/O error")]

    def sync(fd: int) -> None:
        if faults:
            raise faults.pop()
        real(fd)

    monkeypatch.setattr(segments, "_sync", sync)
    with pytest.raises(IntakeUnavailable):
        writer.append(lines("lost"))
    writer.append(lines("after"))
    assert all_ids(tmp_path) == ["after", "before"]
    assert len(waiting_segments(Folders(tmp_path))) == 2
    seal_orphans(Folders(tmp_path))  # the one given up has no writer any more
    assert [ids_in(path) for path in sealed_segments(Folders(tmp_path))] == [["before"]]


def test_append__folder_cannot_be_made__says_unavailable(tmp_path: Path) -> None:
    (tmp_path / "segments").write_text("a file where the folder should be")
    with pytest.raises(IntakeUnavailable):
        SegmentWriter(tmp_path).append(lines("a"))


def test_append__segment_deleted_under_its_writer__is_not_acknowledged_and_the_next_is(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append(lines("a"))
    shutil.rmtree(tmp_path / "segments")
    with pytest.raises(IntakeUnavailable):
        writer.append(lines("b"))
    writer.append(lines("c"))
    assert all_ids(tmp_path) == ["c"]


def test_append__interrupted_leader__tells_the_others_that_nothing_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path)

    def interrupt(data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_write", interrupt)
    group = writer._waiting
    with pytest.raises(KeyboardInterrupt):
        writer.append(lines("a"))
    assert group.is_done
    assert group.error is not None


def test_seal_orphans__living_writer__is_left_alone(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append(lines("a"))
    assert seal_orphans(Folders(tmp_path)) == 0
    assert sealed_segments(Folders(tmp_path)) == []


def test_seal_orphans__writer_died_in_the_middle_of_a_line__cuts_it_off(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    folders.make()
    torn = folders.open / "00000000000000000001-1-aa.ndjson"
    torn.write_bytes(lines("a", "b") + lines("c")[:-9])
    only_torn = folders.open / "00000000000000000002-1-bb.ndjson"
    only_torn.write_bytes(b'{"site":"sh')
    unended = folders.open / "00000000000000000003-1-cc.ndjson"
    unended.write_bytes(lines("d") + lines("e").rstrip(b"\n"))  # whole to look at, never acknowledged
    assert b"".join(read_whole_lines(torn)) == lines_like(torn, 2)
    assert seal_orphans(folders) == 3
    assert [ids_in(path) for path in sealed_segments(folders)] == [["a", "b"], [], ["d"]]


def lines_like(path: Path, count: int) -> bytes:
    return b"".join(path.read_bytes().splitlines(keepends=True)[:count])


def test_seal_orphans__killed_process__leaves_its_lines_and_its_lock(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tracking.segments import SegmentWriter\n"
        "w = SegmentWriter(Path(sys.argv[1])); w.append(sys.argv[2].encode()); print('ok', flush=True); input()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), lines("a").decode()],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ok\n"
    assert seal_orphans(Folders(tmp_path)) == 0
    writer.kill()
    writer.wait()
    assert seal_orphans(Folders(tmp_path)) == 1
    assert all_ids(tmp_path) == ["a"]
    writer.stdin.close()  # type: ignore[union-attr]
    writer.stdout.close()


def test_fork__child__writes_a_segment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = segments.writer_for(tmp_path)
    writer.append(lines("parent"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            segments.writer_for(tmp_path).append(lines("child"))
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.append(lines("parent again"))
    assert sorted(ids_in(path) for path in waiting_segments(Folders(tmp_path)).values()) == [
        ["child"],
        ["parent", "parent again"],
    ]
    assert seal_orphans(Folders(tmp_path)) == 1  # the dead child's, not the living parent's


def test_seal_orphans__file_sealed_by_its_writer_meanwhile__is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append(lines("a"))
    real = fcntl.flock

    def sealed_just_before(fd: int, how: int) -> None:
        writer.seal()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", sealed_just_before)
    assert seal_orphans(Folders(tmp_path)) == 0
    assert all_ids(tmp_path) == ["a"]


def test_salvage__damaged_line__keeps_the_others_and_the_original(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    folders.make()
    path = folders.sealed / "00000000000000000001-1-aa.ndjson"
    original = lines("a") + b'{"site":"shop","event_id":\xff}\n' + b"\0\0\0\n" + lines("b")
    path.write_bytes(original)
    assert salvage(folders, path) == 2
    assert ids_in(path) == ["a", "b"]
    assert (folders.damaged / path.name).read_bytes() == original
