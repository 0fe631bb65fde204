"""The manifest in the database: one holder at a time, and all of a commit or nothing."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from tracking.manifest import LEASE_SECONDS, DatabaseManifest
from tracking.models import ConsumedSegment, EventFile, Lease
from tracking.stores.manifest import ClaimLost, ConsumedSegmentEntry, FileEntry, StoreBusy

pytestmark = pytest.mark.django_db


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def entry(path: str, day: int = 20_500, site: str = "shop", rows: int = 3) -> FileEntry:
    return FileEntry(site, day, path, rows, 100, 5, 9)


def test_files__what_was_committed__comes_back_as_it_was_by_site_and_day() -> None:
    manifest = DatabaseManifest()
    entries = [entry("a", 20_501), entry("b"), entry("c", site="other")]
    with manifest.claim() as claim:
        claim.commit(added=entries)
    assert manifest.files() == [entries[2], entries[1], entries[0]]
    assert manifest.files(site="shop", days=[20_501, 7]) == [entries[0]]
    assert manifest.files(days=[]) == []


def test_consumed__many_names__are_looked_up_in_portions() -> None:
    manifest = DatabaseManifest()
    with manifest.claim() as claim:
        claim.commit(consumed=[ConsumedSegmentEntry(f"s{n}", n) for n in range(0, 1200, 2)])
    assert manifest.consumed([f"s{n}" for n in range(1200)]) == {f"s{n}" for n in range(0, 1200, 2)}


def test_claim__held__is_refused_to_others_until_it_is_given_back() -> None:
    first, second = DatabaseManifest(), DatabaseManifest()
    with first.claim(), pytest.raises(StoreBusy), second.claim():
        pass
    with second.claim() as claim:
        claim.renew()


def test_claim__holder_was_killed__is_free_after_its_time_and_not_before() -> None:
    clock = Clock()
    killed = DatabaseManifest(clock=clock).claim()
    killed.__enter__()
    other = DatabaseManifest(clock=clock)
    clock.now += LEASE_SECONDS - 1
    with pytest.raises(StoreBusy), other.claim():
        pass
    clock.now += 2
    with other.claim():
        pass


def test_claim__renewed__lasts_longer() -> None:
    clock = Clock()
    with DatabaseManifest(clock=clock).claim() as claim:
        clock.now += LEASE_SECONDS - 1
        claim.renew()
        clock.now += LEASE_SECONDS - 1
        with pytest.raises(StoreBusy), DatabaseManifest(clock=clock).claim():
            pass


def test_commit__after_the_claim_was_taken_over__records_nothing() -> None:
    clock = Clock()
    with DatabaseManifest(clock=clock).claim() as slow:
        clock.now += LEASE_SECONDS + 1
        with DatabaseManifest(clock=clock).claim() as quick:
            with pytest.raises(ClaimLost):
                slow.commit(added=[entry("a")], consumed=[ConsumedSegmentEntry("s", 1)])
            with pytest.raises(ClaimLost):
                slow.renew()
            quick.commit(added=[entry("b")], consumed=[ConsumedSegmentEntry("s", 1)])
    assert [row.path for row in EventFile.objects.all()] == ["b"]


def test_commit__claim_ran_out_and_nobody_took_it__is_still_good() -> None:
    clock = Clock()
    with DatabaseManifest(clock=clock).claim() as claim:
        clock.now += LEASE_SECONDS + 100
        claim.commit(added=[entry("a")])
    assert EventFile.objects.count() == 1


def test_commit__segment_consumed_before__records_nothing_of_it() -> None:
    manifest = DatabaseManifest()
    with manifest.claim() as claim:
        claim.commit(consumed=[ConsumedSegmentEntry("s", 1)])
        with pytest.raises(IntegrityError):
            claim.commit(added=[entry("a")], consumed=[ConsumedSegmentEntry("s", 1)])
    assert EventFile.objects.count() == 0
    assert ConsumedSegment.objects.count() == 1


def test_commit__file_to_replace_is_gone__records_nothing() -> None:
    manifest = DatabaseManifest()
    with manifest.claim() as claim:
        claim.commit(added=[entry("a")])
        with pytest.raises(ClaimLost):
            claim.commit(added=[entry("merged")], removed=["a", "gone"])
        claim.commit(added=[entry("merged")], removed=["a"])
    assert [row.path for row in EventFile.objects.all()] == ["merged"]


def test_claim__given_back__leaves_one_row_that_names_nobody() -> None:
    with DatabaseManifest().claim():
        pass
    assert [(lease.work, lease.holder) for lease in Lease.objects.all()] == [("event_store", "")]
