"""Keys and rulesets held in memory: what is seen when, and what happens when the database is away."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError

from experiments.core.keys import KeyKind
from experiments.core.protocol import ApiError
from experiments.models import PublishedRuleset
from experiments.selectors import live
from experiments.services.sites import note_key_use, revoke_api_key
from tests.experiments.live_site import make_site, publish, request, rule

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    live.forget()
    live.take_uses()
    yield
    live.forget()


@pytest.fixture
def as_if_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process believe that its refreshing thread runs, without one."""
    monkeypatch.setattr(live._live, "_thread_pid", os.getpid())


@pytest.fixture
def database_down(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def away(*_: Any) -> None:
        raise OperationalError("the server closed the connection")

    return lambda: monkeypatch.setattr(live, "_load", away)


def refusal(call: Callable[[], Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    assert caught.value.message
    assert caught.value.advice
    return caught.value


def test_grant__known_key__tells_what_the_request_needs() -> None:
    shop = make_site(time_zone="Europe/Lisbon", retention_days=90, allowed_origins=["https://shop.example"])
    found = live.grant(shop.server_key)
    assert found is not None
    assert (found.site, found.kind, found.is_server) == ("shop", KeyKind.SERVER, True)
    assert (found.time_zone, found.retention_days) == ("Europe/Lisbon", 90)
    assert found.allowed_origins == {"https://shop.example"}
    assert live.grant(shop.client_key) is not None
    assert live.grant("ink_client_guess") is None


def test_authenticate__revoked_key__is_refused_with_its_own_code() -> None:
    shop = make_site()
    assert live.authenticate(request(key=shop.client_key)).site == "shop"
    revoke_api_key(key=shop.client_row, now=NOW)
    live.refresh()
    error = refusal(lambda: live.authenticate(request(key=shop.client_key)))
    assert (error.status, error.code) == (401, "key_revoked")
    assert live.grant(shop.client_key) is None


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({}, {}, "key_missing"),
        ({"authorization": "Bearer "}, {}, "key_missing"),
        ({"authorization": "Basic dTpw"}, {}, "authorization_malformed"),
        ({"authorization": "Bearer nonsense'; DROP TABLE keys; --"}, {}, "key_unknown"),
        ({"authorization": "Bearer \ud800\x00"}, {}, "key_unknown"),
        ({}, {"key": "nonsense"}, "key_unknown"),
    ],
)
def test_authenticate__no_usable_key__is_a_401_with_advice(
    headers: dict[str, str], query: dict[str, str], code: str
) -> None:
    error = refusal(lambda: live.authenticate(request(headers=headers, query=query)))
    assert (error.status, error.code) == (401, code)


def test_authenticate__key_in_the_query__is_taken_when_there_is_no_header() -> None:
    shop = make_site()
    assert live.authenticate(request(query={"key": shop.client_key})).site == "shop"


def test_authenticate__server_key_needed__client_key_is_a_403() -> None:
    shop = make_site()
    error = refusal(lambda: live.authenticate(request(key=shop.client_key), needs_server=True))
    assert (error.status, error.code) == (403, "server_key_needed")
    assert live.authenticate(request(key=shop.server_key), needs_server=True).is_server


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("https://shop.example", True),
        ("https://shop.example.evil.example", False),
        ("http://shop.example", False),
        ("null", False),
        ("https://inkling.example", True),  # a page of this very server, such as the API's own documentation
    ],
)
def test_authenticate__page_of_an_origin__only_listed_ones_may_call(origin: str, is_allowed: bool) -> None:
    shop = make_site(allowed_origins=["https://shop.example"])
    asked = request(key=shop.client_key, headers={"origin": origin, "host": "inkling.example"})
    if is_allowed:
        assert live.authenticate(asked).site == "shop"
    else:
        error = refusal(lambda: live.authenticate(asked))
        assert (error.status, error.code) == (403, "origin_not_allowed")


def test_authenticate__site_lists_no_origin__every_page_may_call() -> None:
    shop = make_site()
    assert live.authenticate(request(key=shop.client_key, headers={"origin": "https://any.example"})).site == "shop"


def test_authenticate__server_key_sent_by_a_page__is_refused_because_it_is_no_secret_any_more() -> None:
    shop = make_site()
    asked = request(key=shop.server_key, headers={"origin": "https://shop.example", "host": "inkling.example"})
    assert refusal(lambda: live.authenticate(asked)).code == "server_key_in_browser"


def test_ruleset__nothing_published__is_none() -> None:
    make_site()
    assert live.ruleset("shop") is None


def test_ruleset__newer_version_published__is_served_after_a_refresh_and_not_before(as_if_started: None) -> None:
    shop = make_site()
    publish(shop.site, 1, rule("one"))
    first = live.ruleset("shop")
    assert first is not None
    assert first.version == 1

    publish(shop.site, 2, rule("one"), rule("two"))
    assert live.ruleset("shop") is first
    live.refresh()
    second = live.ruleset("shop")
    assert second is not None
    assert (second.version, set(second.experiments)) == (2, {"one", "two"})
    live.refresh()
    assert live.ruleset("shop") is second  # unchanged content is not compiled again


def test_current__refreshing_thread_runs__no_query_on_the_way_of_a_request(
    as_if_started: None, django_assert_num_queries: Any
) -> None:
    shop = make_site()
    publish(shop.site, 1, rule("one"))
    live.refresh()
    with django_assert_num_queries(0):
        assert live.authenticate(request(key=shop.client_key)).site == "shop"
        assert live.ruleset("shop") is not None


def test_refresh__any_number_of_sites__takes_two_queries_when_nothing_changed(django_assert_num_queries: Any) -> None:
    for number in range(4):
        publish(make_site(f"site-{number}").site, 1, rule("one"))
    live.refresh()
    with django_assert_num_queries(2):
        live.refresh()


def test_refresh__database_goes_away__the_last_snapshot_is_served_and_new_content_comes_when_it_is_back(
    database_down: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_site()
    publish(shop.site, 1, rule("one"))
    live.refresh()
    with monkeypatch.context() as away:
        away.setattr(live, "_load", lambda before: (_ for _ in ()).throw(OperationalError("gone")))
        live.refresh()
        assert live.authenticate(request(key=shop.client_key)).site == "shop"
        found = live.ruleset("shop")
        assert found is not None
        assert found.version == 1
    publish(shop.site, 2, rule("one"))
    live.refresh()
    found = live.ruleset("shop")
    assert found is not None
    assert found.version == 2


def test_current__database_away_from_the_start__is_a_503_that_says_so(database_down: Callable[[], None]) -> None:
    database_down()
    error = refusal(lambda: live.authenticate(request(key="any")))
    assert (error.status, error.code) == (503, "not_ready")


def test_refresh__unreadable_ruleset__the_one_before_stays_and_other_sites_go_on() -> None:
    shop, blog = make_site("shop"), make_site("blog")
    publish(shop.site, 1, rule("one"))
    live.refresh()
    PublishedRuleset.objects.create(site=shop.site, version=2, document={"schema": 99}, content_hash="x")
    publish(blog.site, 1, rule("post"))
    live.refresh()
    kept, new = live.ruleset("shop"), live.ruleset("blog")
    assert kept is not None
    assert new is not None
    assert (kept.version, set(new.experiments)) == (1, {"post"})


def test_take_uses__keys_were_used__each_is_told_once_and_can_be_stored() -> None:
    shop = make_site()
    live.authenticate(request(key=shop.client_key))
    uses = live.take_uses()
    assert set(uses) == {shop.client_row.pk}
    assert live.take_uses() == {}
    note_key_use(uses=uses)
    shop.client_row.refresh_from_db()
    assert shop.client_row.last_used_at == uses[shop.client_row.pk]


def test_start__thread_runs__it_refreshes_by_itself_and_outlives_a_failing_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = threading.Semaphore(0)
    seen: list[int] = []

    def load(before: live.Snapshot) -> live.Snapshot:
        seen.append(len(seen))
        rounds.release()
        if len(seen) == 2:
            raise RuntimeError("a fault that nobody foresaw")
        return live.Snapshot(marks={"round": str(len(seen))})

    monkeypatch.setattr(live, "_load", load)
    monkeypatch.setattr(live, "REFRESH_SECONDS", 0.001)
    process = live.Live()
    try:
        assert process.current().marks == {"round": "1"}  # the first answer waits for nothing but its own load
        process.start()
        process.start()
        for _ in range(4):
            assert rounds.acquire(timeout=30)
        assert threading.active_count() >= 2
        assert sum(thread.name == "live" for thread in threading.enumerate()) == 1
    finally:
        process.stop()


def test_start__uses_were_noted__the_thread_hands_them_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_load", lambda before: live.Snapshot())
    monkeypatch.setattr(live, "REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(live, "NOTE_USE_SECONDS", 0.002)
    handed = threading.Event()
    got: dict[int, datetime] = {}

    def note(*, uses: dict[int, datetime]) -> None:
        got.update(uses)
        handed.set()

    process = live.Live()
    process.note_use(7, NOW)
    try:
        process.start(note)
        assert handed.wait(timeout=30)
    finally:
        process.stop()
    assert got == {7: NOW}
