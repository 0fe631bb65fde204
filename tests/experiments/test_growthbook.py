"""GrowthBook's SDKs against Inkling: the payload that they load, and the events that their tracking plugin sends."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from growthbook import GrowthBook

from config.client_api import answer, find
from experiments.clients.growthbook import handle_features
from experiments.core.assign import assign
from experiments.core.lifecycle import Status
from experiments.core.payload import payload_of, safe_condition
from experiments.core.protocol import ApiError, Reply
from experiments.core.ruleset import Ruleset
from experiments.selectors import live
from tests.experiments.live_site import LiveSite, make_site, publish, request, rule
from tracking import services
from tracking.clients.growthbook import handle_track
from tracking.clients.native import handle_event_count, handle_exposure_count
from tracking.core.timestamps import SECOND_US
from tracking.recent import RecentIds

pytestmark = pytest.mark.django_db

NOW = 1_790_000_000 * SECOND_US


@pytest.fixture
def shop(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveSite]:
    monkeypatch.setattr(services, "_recent", RecentIds())  # each test begins with an empty store
    live.forget()
    made = make_site()
    publish(made.site, 1, rule("button"), rule("later", status=Status.DRAFT))
    yield made
    live.forget()


def features(shop: LiveSite, headers: dict[str, str] | None = None, key: str | None = None) -> Reply:
    path = f"/api/features/{key or shop.client_key}"
    return handle_features(request(b"", method="GET", path=path, headers=headers), now_us=NOW)


def track(shop: LiveSite, body: Any) -> int:
    sent = request(body, method="POST", path="/track", query={"client_key": shop.client_key})
    reply = handle_track(sent, now_us=NOW)
    assert reply.status == 200
    return int(json.loads(reply.body)["accepted"])


def count(shop: LiveSite, handler: Any, **query: str) -> int:
    asked = request(b"", shop.server_key, method="GET", path="/api/v1/events/count", query=query)
    return int(json.loads(handler(asked, now_us=NOW).body)["count"])


# --- The payload --------------------------------------------------------------------------------------------------------


def test_features__evaluated_by_the_sdk__are_what_our_server_answers(shop: LiveSite) -> None:
    document = json.loads(features(shop).body)
    ruleset = live.ruleset(shop.site.key)
    assert ruleset is not None
    variants = set()
    for visitor in [f"v{n}" for n in range(50)] + ["tester"]:
        sdk = GrowthBook(attributes={"id": visitor}, features=document["features"])
        ours = assign(ruleset, visitor, {}, ["button"])["button"]
        assert sdk.eval_feature("button").value == ours.payload
        variants.add(ours.variant)
        sdk.destroy()
    assert variants == {"control", "treatment"}


def test_features__draft__is_not_in_it(shop: LiveSite) -> None:
    assert set(json.loads(features(shop).body)["features"]) == {"button"}


def test_features__tag_known__is_not_sent_again_until_the_next_version(shop: LiveSite) -> None:
    tag = features(shop).headers["ETag"]
    assert features(shop, {"if-none-match": f"W/{tag}"}).status == 304
    publish(shop.site, 2, rule("button", traffic=1))
    live.forget()
    changed = features(shop, {"if-none-match": tag})
    assert changed.status == 200
    assert changed.headers["ETag"] != tag


def test_features__packed_for_who_reads_it__holds_the_same(shop: LiveSite) -> None:
    packed = features(shop, {"accept-encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == features(shop).body


def test_features__unknown_key__is_refused_as_the_sdks_expect(shop: LiveSite) -> None:
    reply = features(shop, key="ink_client_nobody")
    assert (reply.status, json.loads(reply.body)["error"]) == (400, "Invalid API Key")


def test_features__through_the_api__may_be_cached(shop: LiveSite) -> None:
    address = f"//api/features/{shop.client_key}"  # a base address that ends in a slash makes two
    methods = find(address)
    assert methods is not None
    reply = answer(methods, method="GET", address=address, headers={}, query="", body=b"")
    assert (reply.status, reply.headers["Cache-Control"].split(",")[0]) == (200, "public")


def test_payload__date__follows_the_version_so_that_sdks_take_the_change() -> None:
    first, second = (json.loads(payload_of(Ruleset("shop", n)).body)["dateUpdated"] for n in (1, 2))
    assert first < second


def test_safe_condition__bare_values_and_comparisons__are_written_so_that_every_sdk_agrees() -> None:
    asked = {"age": 3, "$or": [{"vip": True}, {"$not": {"age": {"$gt": 5}}}], "plan": "pro"}
    assert safe_condition(asked) == {
        "age": {"$eq": 3},
        "$or": [{"vip": {"$eq": True}}, {"$not": {"age": {"$exists": True, "$gt": 5}}}],
        "plan": "pro",
    }


# --- Events -------------------------------------------------------------------------------------------------------------


def viewed(**changes: Any) -> dict[str, Any]:
    properties = {"experimentId": "button", "variationId": "treatment", "hashAttribute": "id", "hashValue": "u1"}
    return {"event_name": "Experiment Viewed", "properties_json": json.dumps(properties), "device_id": "d1", **changes}


def test_track__experiment_viewed__is_an_exposure_of_who_was_hashed(shop: LiveSite) -> None:
    track(shop, [viewed()])
    assert count(shop, handle_exposure_count, experiment="button", visitor="u1", variant="treatment") == 1


def test_track__event_of_ones_own_by_the_device__counts_for_the_exposed_visitor(shop: LiveSite) -> None:
    bought = {"event_name": "Purchase", "properties_json": {"value": 12}, "device_id": "d1"}
    track(shop, [viewed(), bought])
    assert count(shop, handle_event_count, event="Purchase", visitor="u1") == 1


def test_track__uses_of_features_and_rubbish__are_left_out(shop: LiveSite) -> None:
    assert (
        track(shop, {"events": [{"event_name": "Feature Evaluated", "user_id": "u"}, 5, {}, {"event_name": "x"}]}) == 0
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"{", 400, "malformed_json"), (b"3", 400, "batch_malformed"), ([{}] * 1_001, 413, "too_many_events")],
)
def test_track__not_a_list_of_events__is_refused(shop: LiveSite, body: Any, status: int, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        track(shop, body)
    assert (refused.value.status, refused.value.code) == (status, code)
