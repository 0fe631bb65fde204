"""Taking in, taking over, erasing and expiring through the services, with the manifest in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from experiments.core.protocol import ApiError
from experiments.services.sites import create_site
from tests.tracking.logs import SITE
from tracking import selectors, services, tasks
from tracking.core.timestamps import DAY_US, SECOND_US
from tracking.models import ConsumedSegment, EventFile, Lease
from tracking.recent import RecentIds
from tracking.selectors import backlog, event_store

pytestmark = pytest.mark.django_db

NOW = 1_790_000_000 * SECOND_US


def take_in(*events: Any, **options: Any) -> Any:
    return services.ingest(**{"site": SITE, "events": events, "now_us": NOW, **options})


def test_ingest__then_compact__is_counted_before_and_after() -> None:
    result = take_in({"name": "buy", "visitor_id": "a"}, {"name": "buy", "visitor_id": "b"}, {"name": ""})
    assert (len(result.accepted), len(result.rejected)) == (2, 1)
    assert event_store().count_events(site=SITE, event="buy") == 2
    assert backlog().segments == 1
    assert services.compact_due().new_events == 2
    assert event_store().count_events(site=SITE, event="buy") == 2
    assert backlog().segments == 0
    assert EventFile.objects.get().rows == 2
    assert ConsumedSegment.objects.get().events == 2


def test_ingest__same_id_again__is_a_duplicate_at_once_and_after_a_restart_in_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repeated = {"name": "buy", "visitor_id": "a", "event_id": "again"}
    assert len(take_in(repeated).accepted) == 1
    assert take_in(repeated).duplicates == 1
    assert len(take_in(repeated, site="other").accepted) == 1
    monkeypatch.setattr(services, "_recent", RecentIds())  # a restarted process remembers nothing
    assert len(take_in(repeated).accepted) == 1
    assert event_store().count_events(site=SITE) == 1
    assert services.compact_due().new_events == 2
    assert event_store().count_events(site=SITE) == 1


def test_ingest__nothing_durable__remembers_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_recent", RecentIds())
    repeated = {"name": "buy", "visitor_id": "a", "event_id": "again"}

    class Full:
        def append(self, lines: bytes) -> None:
            raise ApiError(503, "intake_unavailable", "", "")

    with monkeypatch.context() as patch:
        patch.setattr(services, "writer_for", lambda root: Full())
        with pytest.raises(ApiError):
            take_in(repeated)
    assert len(take_in(repeated).accepted) == 1


def test_recent_ids__many_later__are_forgotten_and_memory_stays_bounded() -> None:
    recent = RecentIds()
    for start in range(0, 200_000, 5000):
        recent.add(SITE, [(NOW // DAY_US, f"e{n}") for n in range(start, start + 5000)])
    assert (NOW // DAY_US, "e199999") in recent.of(SITE)
    assert (NOW // DAY_US, "e0") not in recent.of(SITE)
    assert len(recent._newer) + len(recent._older) <= 50_000


def test_ingest__two_batches_without_ids_at_one_moment__are_all_kept() -> None:
    for _ in range(2):
        take_in(*[{"name": "buy", "visitor_id": "a"}] * 3)
    services.compact_due()
    assert event_store().count_events(site=SITE) == 6


@pytest.mark.parametrize("sent_at", ["noon", True, "2026-09-21T12:00:00", 1e300, float("nan")])
def test_ingest__senders_clock_unreadable__is_refused_as_a_whole(sent_at: Any) -> None:
    with pytest.raises(ApiError) as caught:
        take_in({"name": "buy", "visitor_id": "a"}, sent_at=sent_at)
    assert (caught.value.status, caught.value.code) == (400, "sent_at_malformed")
    assert event_store().count_events(site=SITE) == 0


@pytest.mark.parametrize("site", ["", "../x", "a/b", ".", "x" * 101, "a\0"])
def test_ingest__no_site_key__is_refused(site: str) -> None:
    with pytest.raises(ValueError, match="site key"):
        take_in({"name": "buy", "visitor_id": "a"}, site=site)


def test_record_exposures__several__are_exposures_of_those_variants() -> None:
    services.record_exposures(site=SITE, exposures=[("a", "button", "new"), ("a", "price", "control")], now_us=NOW)
    store = event_store()
    assert store.count_exposures(site=SITE, experiment="button", visitor="a", variant="new") == 1
    assert store.count_exposures(site=SITE, experiment="price") == 1


def test_record_exposures__impossible_visitor__is_said_and_not_swallowed() -> None:
    with pytest.raises(ApiError, match="longer than 256"):
        services.record_exposures(site=SITE, exposures=[("x" * 300, "button", "new")], now_us=NOW)


def test_compact_due__somebody_else_is_at_it__does_nothing_and_says_so() -> None:
    take_in({"name": "buy", "visitor_id": "a"})
    Lease.objects.create(work="event_store", holder="other", expires_at=datetime.now(UTC) + timedelta(minutes=1))
    assert services.compact_due().is_busy
    assert event_store().count_events(site=SITE) == 1
    Lease.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))  # the other one was killed
    assert services.compact_due().new_events == 1


def test_compact_task__carries_nothing_and_takes_over_what_is_there() -> None:
    take_in({"name": "buy", "visitor_id": "a"})
    tasks.compact()
    assert EventFile.objects.get().rows == 1


def test_expire__by_site__drops_old_days_and_forgets_segments() -> None:
    create_site(key=SITE, retention_days=10)
    create_site(key="archive", retention_days=36_500)
    now = datetime.fromtimestamp(NOW / SECOND_US, UTC)
    for site in (SITE, "archive"):
        for age in (9, 10, 11):
            take_in({"name": "buy", "visitor_id": "a", "timestamp": NOW / SECOND_US - age * 86400}, site=site)
    services.compact_due()
    ConsumedSegment.objects.update(consumed_at=now - timedelta(days=8))
    assert services.expire(retention_days={SITE: 10, "archive": 36_500}, now=now) == {SITE: 1}
    assert event_store().count_events(site=SITE) == 2
    assert event_store().count_events(site="archive") == 3
    assert ConsumedSegment.objects.count() == 0


def test_expire_task__no_sites__has_nothing_to_do() -> None:
    tasks.expire()


def test_erase_visitor_command__known_visitor__says_how_many_went() -> None:
    create_site(key=SITE)
    take_in({"name": "buy", "visitor_id": "a"}, {"name": "buy", "visitor_id": "b"})
    out = StringIO()
    call_command("erase_visitor", SITE, "a", stdout=out)
    assert "1 events of 'a' erased" in out.getvalue()
    assert event_store().count_events(site=SITE) == 1
    with pytest.raises(CommandError, match="no site"):
        call_command("erase_visitor", "nowhere", "a")


def test_event_store__unknown_address__stops_with_its_name(settings: Any) -> None:
    settings.INKLING_EVENT_STORE = "oracle://x"
    with pytest.raises(ImproperlyConfigured, match="oracle://x"):
        selectors.event_store()
