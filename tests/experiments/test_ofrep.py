"""OpenFeature's remote evaluation protocol: one flag, all flags, and refusals in its form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from experiments.clients import ofrep
from experiments.core.assign import assign
from experiments.core.lifecycle import Status
from experiments.core.protocol import ApiError, Reply
from experiments.selectors import live
from tests.experiments.live_site import LiveSite, make_site, publish, request, rule
from tracking.core.timestamps import SECOND_US

pytestmark = pytest.mark.django_db

NOW = 1_790_000_000 * SECOND_US


@pytest.fixture
def shop(db: None) -> Iterator[LiveSite]:
    live.forget()
    made = make_site()
    publish(made.site, 1, rule("button"), rule("resting", status=Status.PAUSED))
    yield made
    live.forget()


def one(shop: LiveSite, flag: str, context: Any, recorded: list[tuple[str, str, str]] | None = None) -> dict[str, Any]:
    def record(*, site: str, exposures: list[Any], now_us: int) -> None:
        if recorded is not None:
            recorded.extend((site, visitor, experiment) for visitor, experiment, _ in exposures)

    sent = request({"context": context}, path=f"{ofrep.ADDRESS}/{flag}", headers={"x-api-key": shop.client_key})
    reply = ofrep.handle_flag(sent, now_us=NOW, record_exposures=record)
    return dict(json.loads(reply.body))


def every(shop: LiveSite, context: Any, headers: dict[str, str] | None = None) -> Reply:
    sent = request({"context": context}, shop.client_key, path=ofrep.ADDRESS, headers=headers)
    return ofrep.handle_flags(sent, now_us=NOW)


def test_flag__visitor_in_the_experiment__value_and_variant_of_the_assignment(shop: LiveSite) -> None:
    ruleset = live.ruleset(shop.site.key)
    assert ruleset is not None
    for visitor in ("a", "b", "c", "d"):
        answer = one(shop, "button", {"targetingKey": visitor})
        ours = assign(ruleset, visitor, {}, ["button"])["button"]
        assert (answer["value"], answer["variant"], answer["reason"]) == (ours.payload, ours.variant, "SPLIT")


def test_flag__evaluated__records_the_exposure(shop: LiveSite) -> None:
    recorded: list[tuple[str, str, str]] = []
    one(shop, "button", {"targetingKey": "a"}, recorded)
    assert recorded == [(shop.site.key, "a", "button")]


@pytest.mark.parametrize(
    ("flag", "visitor", "reason"), [("button", "tester", "TARGETING_MATCH"), ("resting", "a", "DISABLED")]
)
def test_flag__forced_or_paused__says_so(shop: LiveSite, flag: str, visitor: str, reason: str) -> None:
    assert one(shop, flag, {"targetingKey": visitor})["reason"] == reason


def test_flag__address_percent_encoded__is_read(shop: LiveSite) -> None:
    assert one(shop, "b%75tton/", {"targetingKey": "a"})["key"] == "button"


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({}, "TARGETING_KEY_MISSING"),
        ({"targetingKey": 5}, "TARGETING_KEY_MISSING"),
        ({"targetingKey": "x" * 257}, "INVALID_CONTEXT"),
        ([], "INVALID_CONTEXT"),
    ],
)
def test_flag__bad_context__is_refused_with_the_code_of_the_protocol(shop: LiveSite, context: Any, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        one(shop, "button", context)
    assert refused.value.status == 400
    assert refused.value.to_document()["errorCode"] == code
    assert refused.value.to_document()["key"] == "button"


def test_flag__unknown_or_key_unknown__404_and_401(shop: LiveSite) -> None:
    with pytest.raises(ApiError) as unknown:
        one(shop, "nothing", {"targetingKey": "a"})
    assert (unknown.value.status, unknown.value.to_document()["errorCode"]) == (404, "FLAG_NOT_FOUND")
    with pytest.raises(ApiError) as stranger:
        ofrep.handle_flags(request({}, path=ofrep.ADDRESS, headers={"x-api-key": "nobody"}), now_us=NOW)
    assert (stranger.value.status, stranger.value.to_document()["errorCode"]) == (401, "GENERAL")


def test_flags__same_answers__are_not_sent_again_and_other_attributes_are_another_answer(shop: LiveSite) -> None:
    publish(shop.site, 2, rule("button", audience={"country": "PT"}))
    live.forget()
    inside = every(shop, {"targetingKey": "tess", "country": "PT"})
    tag = inside.headers["ETag"]
    assert {flag["reason"] for flag in json.loads(inside.body)["flags"]} == {"SPLIT"}
    assert every(shop, {"targetingKey": "tess", "country": "PT"}, {"if-none-match": tag}).status == 304
    assert every(shop, {"targetingKey": "tess", "country": "ES"}, {"if-none-match": tag}).status == 200


def test_flags__nothing_published__is_an_empty_list(db: None) -> None:
    live.forget()
    empty = make_site("empty")
    assert json.loads(every(empty, {"targetingKey": "a"}).body)["flags"] == []
