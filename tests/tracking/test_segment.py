"""The Segment HTTP API: the forms in which its clients send, and what becomes of each message."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from config.client_api import answer, find
from experiments.selectors import live
from tests.experiments.live_site import LiveSite, make_site, request
from tracking import services
from tracking.clients.native import handle_event_count, handle_exposure_count
from tracking.clients.segment import SegmentError, Sender, _events, _moment, handle_messages, handle_settings
from tracking.core.timestamps import SECOND_US, parse_time
from tracking.recent import RecentIds

pytestmark = pytest.mark.django_db

NOW = 1_790_000_000 * SECOND_US
TRACK = {"userId": "u1", "event": "Order Completed", "messageId": "m1"}


@pytest.fixture
def shop(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveSite]:
    monkeypatch.setattr(services, "_recent", RecentIds())  # each test begins with an empty store
    live.forget()
    yield make_site(retention_days=30)
    live.forget()


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def send(shop: LiveSite, body: Any, *, path: str = "/v1/batch", **more: Any) -> None:
    headers = basic(shop.client_key) | more.pop("headers", {})
    reply = handle_messages(request(body, path=path, headers=headers, **more), now_us=NOW)
    assert (reply.status, json.loads(reply.body)) == (200, {"success": True})


def count(shop: LiveSite, **query: str) -> int:
    asked = request(b"", shop.server_key, method="GET", path="/api/v1/events/count", query=query)
    return int(json.loads(handle_event_count(asked, now_us=NOW).body)["count"])


def exposures(shop: LiveSite, **query: str) -> int:
    asked = request(b"", shop.server_key, method="GET", path="/api/v1/exposures/count", query=query)
    return int(json.loads(handle_exposure_count(asked, now_us=NOW).body)["count"])


@pytest.mark.parametrize("path", ["/v1/track", "/v1/t", "/v1/track/"])
def test_one_message__long_and_short_address__is_an_event(shop: LiveSite, path: str) -> None:
    send(shop, TRACK, path=path)
    assert count(shop, event="Order Completed", visitor="u1") == 1
    assert find(path) is not None


def test_batch__valid_and_invalid_items__keeps_the_valid_ones(shop: LiveSite) -> None:
    items = [TRACK | {"type": "track"}, "x", None, {"type": "track"}, {"type": "track", "userId": "u1"}]
    send(shop, {"batch": [*items, TRACK | {"type": "track", "messageId": "m2"}]})
    assert count(shop, visitor="u1") == 2


def test_batch__same_message_twice__counts_once(shop: LiveSite) -> None:
    send(shop, {"batch": [TRACK | {"type": "track"}] * 2})
    send(shop, {"batch": [TRACK | {"type": "track"}]})
    assert count(shop, event="Order Completed") == 1


@pytest.mark.parametrize("fields", [("experiment_id", "variation_id"), ("experimentId", "variationId")])
def test_experiment_viewed__either_spelling__is_an_exposure(shop: LiveSite, fields: tuple[str, str]) -> None:
    properties = dict(zip(fields, ("button", "green"), strict=True))
    send(shop, TRACK | {"event": "Experiment Viewed", "properties": properties}, path="/v1/track")
    assert exposures(shop, experiment="button", visitor="u1", variant="green") == 1


def test_login__anonymous_then_known__is_one_visitor_with_all_events(shop: LiveSite) -> None:
    send(shop, {"anonymousId": "a1", "event": "View", "messageId": "1"}, path="/v1/track")
    send(shop, {"userId": "u1", "anonymousId": "a1", "messageId": "2"}, path="/v1/identify")
    send(shop, {"userId": "u1", "event": "Buy", "messageId": "3"}, path="/v1/track")
    assert count(shop, event="View", visitor="u1") == count(shop, event="Buy", visitor="a1") == 1


def test_alias__previous_id__joins_both(shop: LiveSite) -> None:
    send(shop, {"anonymousId": "a1", "event": "View", "messageId": "1"}, path="/v1/track")
    send(shop, {"userId": "u1", "previousId": "a1", "messageId": "2"}, path="/v1/alias")
    assert count(shop, event="View", visitor="u1") == 1


def test_value__revenue_of_an_order__is_the_events_value() -> None:
    item = TRACK | {"type": "track", "properties": {"revenue": 12.5, "currency": "EUR"}}
    (event,) = _events(item, Sender(None, NOW))
    assert event["value"] == 12.5 and event["properties"]["currency"] == "EUR"


@pytest.mark.parametrize(
    ("sent_ahead_s", "happened_ahead_s", "late_s"),
    [(3 * 86_400, 3 * 86_400 - 10, 10), (0, -3_600, 3_600), (-7_200, -7_260, 60), (0, 500, 0)],
)
def test_time__clock_of_the_device_wrong__is_as_long_ago_as_it_was_before_the_sending(
    sent_ahead_s: int, happened_ahead_s: int, late_s: int
) -> None:
    item = {"timestamp": (NOW + happened_ahead_s * SECOND_US) / 1e6}
    found = _moment(item, Sender(NOW + sent_ahead_s * SECOND_US, NOW))
    assert parse_time(found) == pytest.approx(NOW - late_s * SECOND_US, abs=2 * SECOND_US)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_body__any_content_type_and_gzip__is_read_as_json(shop: LiveSite, kind: str) -> None:
    packed = gzip.compress(json.dumps({"batch": [TRACK | {"type": "track"}]}).encode())
    send(shop, packed, headers={"content-type": kind, "content-encoding": "gzip"})
    assert count(shop, visitor="u1") == 1


def test_key__in_the_body_or_the_query__is_found(shop: LiveSite) -> None:
    body = TRACK | {"writeKey": shop.client_key}
    assert handle_messages(request(body, path="/v1/t"), now_us=NOW).status == 200
    query = {"writeKey": shop.client_key}
    assert handle_messages(request(TRACK, path="/v1/t", query=query), now_us=NOW).status == 200


@pytest.mark.parametrize(
    ("body", "key", "status", "code"),
    [
        (b"{nothing", None, 400, "malformed_json"),
        (b"[]", None, 400, "not_an_object"),
        ({"batch": 3}, None, 400, "batch_malformed"),
        ({"batch": [{}] * 2_501}, None, 413, "too_many_events"),
        (TRACK, "wrong", 401, "key_unknown"),
    ],
)
def test_refusals__whatever_is_wrong__have_the_form_that_clients_do_not_retry(
    shop: LiveSite, body: Any, key: str | None, status: int, code: str
) -> None:
    with pytest.raises(SegmentError) as refused:
        handle_messages(request(body, path="/v1/batch", headers=basic(key or shop.client_key)), now_us=NOW)
    assert refused.value.status == status
    document = refused.value.to_document()
    assert document["success"] is False and document["code"] == code and document["message"]


def test_settings__of_a_key__send_analytics_js_to_this_address(shop: LiveSite) -> None:
    path = f"/v1/projects/{shop.client_key}/settings"
    reply = handle_settings(request(b"", method="GET", path=path, headers={"host": "ab.example"}), now_us=NOW)
    found = json.loads(reply.body)["integrations"]["Segment.io"]
    assert found["apiHost"] == "ab.example/v1" and found["apiKey"] == shop.client_key
    methods = find(path)
    assert methods is not None and "GET" in methods
    wrong = answer(methods, method="GET", address="/v1/projects/no/settings", headers={}, query="", body=b"")
    assert wrong.status == 401


def test_address_of_a_network__in_the_context__is_never_stored() -> None:
    context = {"ip": "203.0.113.7", "page": {"path": "/cart"}, "campaign": {"source": "mail"}}
    (event,) = _events(TRACK | {"type": "track", "context": context}, Sender(None, NOW))
    assert event["context"] == {"page": "/cart", "utm_source": "mail"}
    assert "203.0.113.7" not in json.dumps(event)
