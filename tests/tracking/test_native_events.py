"""`POST /api/v1/events` and the counts: what a client may send, and what it is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from experiments.core.protocol import ApiError, ClientRequest
from experiments.selectors import live
from tests.experiments.live_site import LiveSite, make_site, request
from tracking.clients.native import handle_event_count, handle_events, handle_exposure_count
from tracking.core.timestamps import SECOND_US

pytestmark = pytest.mark.django_db

NOW = 1_790_000_000 * SECOND_US
GOOD = {"name": "buy", "visitor_id": "v1"}


@pytest.fixture
def shop(db: None) -> Iterator[LiveSite]:
    live.forget()
    yield make_site(retention_days=30)
    live.forget()


def post(shop: LiveSite, body: Any, **more: Any) -> dict[str, Any]:
    key = more.pop("key", shop.client_key)
    reply = handle_events(request(body, key, path="/api/v1/events", **more), now_us=NOW)
    assert (reply.status, reply.content_type) == (202, "application/json")
    answer: dict[str, Any] = json.loads(reply.body)
    return answer


def refused(shop: LiveSite, body: Any, **more: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        post(shop, body, **more)
    document = caught.value.to_document()["error"]
    assert document["message"]
    assert document["advice"]
    return caught.value.status, caught.value.code


def counting(shop: LiveSite, query: dict[str, str], key: str | None = None) -> ClientRequest:
    return request(b"", key or shop.server_key, method="GET", path="/api/v1/events/count", query=query)


def count(shop: LiveSite, **query: str) -> int:
    return int(json.loads(handle_event_count(counting(shop, query), now_us=NOW).body)["count"])


def count_exposures(shop: LiveSite, **query: str) -> int:
    return int(json.loads(handle_exposure_count(counting(shop, query), now_us=NOW).body)["count"])


def test_events__mixed_batch__is_judged_one_by_one(shop: LiveSite) -> None:
    batch = [GOOD | {"event_id": "a"}, GOOD | {"event_id": "a"}, {"name": "buy"}, 7, GOOD | {"timestamp": 99}]
    answer = post(shop, {"events": batch, "sent_at": NOW // 1000})
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [
        (2, "visitor_id_missing"),
        (3, "event_not_an_object"),
        (4, "event_too_old"),
    ]
    assert all(set(one) == {"index", "code", "message", "advice"} for one in answer["rejected"])
    assert count(shop) == 1


def test_events__gzip__is_unpacked(shop: LiveSite) -> None:
    body = gzip.compress(json.dumps({"events": [GOOD]}).encode())
    assert post(shop, body, headers={"content-encoding": "gzip"})["accepted"] == 1


def test_events__zip_bomb__is_stopped_at_the_limit(shop: LiveSite) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert refused(shop, bomb, headers={"content-encoding": "gzip"}) == (413, "body_too_large")
    assert refused(shop, b"x" * 2_000_000) == (413, "body_too_large")


def test_events__too_many__are_refused_as_a_whole(shop: LiveSite) -> None:
    assert post(shop, {"events": [GOOD] * 1000})["accepted"] == 1000
    assert refused(shop, {"events": [GOOD] * 1001}) == (413, "too_many_events")
    assert count(shop) == 1000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"events": [{"name": "a" "b"}]}', "malformed_json"),
        (b"\x00\xff\xfe binary \x80", "malformed_json"),
        (b'{"events": ' + b"[" * 100_000, "malformed_json"),
        (b'[{"name": "buy"}]', "batch_malformed"),
        (b"7", "batch_malformed"),
        (b'{"name": "buy", "visitor_id": "v1"}', "unknown_field"),
        (b'{"events": {"name": "buy"}}', "batch_malformed"),
        (b"{}", "batch_malformed"),
        (b'{"events": [], "sent_at": "noon"}', "sent_at_malformed"),
        (b'{"events": [], "sent_at": [1]}', "sent_at_malformed"),
        (b'{"events": [], "<script>": 1}', "unknown_field"),
    ],
)
def test_events__body_that_is_no_batch__is_refused_with_a_code(shop: LiveSite, body: bytes, code: str) -> None:
    assert refused(shop, body) == (400, code)


@pytest.mark.parametrize("bad", ['{"name":"a","visitor_id":"\\ud800"}', '{"name":"a","visitor_id":"v","value":NaN}'])
def test_events__one_event_that_json_readers_choke_on__costs_only_itself(shop: LiveSite, bad: str) -> None:
    answer = post(shop, ('{"events":[' + json.dumps(GOOD) + "," + bad + "]}").encode())
    assert (answer["accepted"], len(answer["rejected"])) == (1, 1)


def test_events__keys__decide_who_may(shop: LiveSite) -> None:
    assert refused(shop, {"events": []}, key="ink_client_wrong") == (401, "key_unknown")
    assert post(shop, {"events": [GOOD]}, key=shop.server_key)["accepted"] == 1


def test_events__sql_and_html_in_every_field__is_only_text(shop: LiveSite) -> None:
    nasty = "'); DROP TABLE x; --<script>\"\\"
    event = {
        "name": nasty, "visitor_id": nasty, "event_id": nasty, "session_id": nasty,
        "properties": {nasty: nasty}, "context": {nasty: nasty},
    }  # fmt: skip
    assert post(shop, {"events": [event, {**event, "timestamp": nasty}]})["accepted"] == 1
    assert count(shop, event=nasty, visitor=nasty) == 1


def test_counts__server_key__is_needed(shop: LiveSite) -> None:
    for handle in (handle_event_count, handle_exposure_count):
        with pytest.raises(ApiError) as caught:
            handle(counting(shop, {"experiment": "e"}, shop.client_key), now_us=NOW)
        assert (caught.value.status, caught.value.code) == (403, "server_key_needed")


def test_counts__empty_parameters__mean_any(shop: LiveSite) -> None:
    post(shop, {"events": [GOOD, GOOD | {"name": "view"}]})
    assert (count(shop), count(shop, event="", visitor=""), count(shop, event="view")) == (2, 2, 1)


def test_counts__misspelt_parameter__is_refused_rather_than_ignored(shop: LiveSite) -> None:
    with pytest.raises(ApiError) as caught:
        count(shop, visitor_id="v1")
    assert (caught.value.status, caught.value.code) == (400, "unknown_parameter")


def test_exposure_count__exposures__by_visitor_and_variant(shop: LiveSite) -> None:
    exposures = [
        {"name": "$exposure", "visitor_id": visitor, "properties": {"experiment": "button", "variant": variant}}
        for visitor, variant in [("a", "new"), ("b", "control"), ("a", "new")]
    ]
    post(shop, {"events": exposures})
    assert count_exposures(shop, experiment="button") == 2
    assert count_exposures(shop, experiment="button", variant="new") == 1
    assert count_exposures(shop, experiment="button", visitor="b", variant="control") == 1


@pytest.mark.parametrize(("query", "status", "code"), [({}, 400, "experiment_missing"), ({"experiment": "nope"}, 404, "unknown_experiment")])  # fmt: skip
def test_exposure_count__no_or_unknown_experiment__is_said(
    shop: LiveSite, query: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(ApiError) as caught:
        count_exposures(shop, **query)
    assert (caught.value.status, caught.value.code) == (status, code)
