"""`POST /api/v1/assignments`: answers, previews, exposures, and what it refuses."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.clients import native
from experiments.clients.native import handle_assignments, read_question
from experiments.core.lifecycle import Status
from experiments.core.protocol import ApiError
from experiments.selectors import live
from experiments.selectors.previews import make_preview_token
from tests.experiments.live_site import LiveSite, make_site, publish, request, rule
from tracking.core.refusals import MAX_VISITOR_ID

NOW_US = 1_795_348_800_000_000


@pytest.fixture
def shop(db: None) -> Iterator[LiveSite]:
    live.forget()
    made = make_site()
    publish(
        made.site,
        3,
        rule("button"),
        rule("price", audience={"country": "PT"}),
        rule("draft", status=Status.DRAFT),
        rule("old", status=Status.STOPPED),
    )
    yield made
    live.forget()


class Recorder:
    """Stands for the durable log, to see what would be written."""

    def __init__(self, error: Exception | None = None) -> None:
        self.exposures: list[tuple[str, str, str]] = []
        self.error = error

    def __call__(self, *, site: str, exposures: list[tuple[str, str, str]], now_us: int) -> None:
        assert (site, now_us) == ("shop", NOW_US)
        if self.error:
            raise self.error
        self.exposures += exposures


def ask(shop: LiveSite, body: Any, recorder: Recorder | None = None, **more: Any) -> dict[str, Any]:
    reply = handle_assignments(
        request(body, more.pop("key", shop.client_key), **more), now_us=NOW_US, record_exposures=recorder
    )
    assert (reply.status, reply.content_type) == (200, "application/json")
    return json.loads(reply.body)  # type: ignore[no-any-return]


def refused(shop: LiveSite, body: Any, recorder: Recorder | None = None, **more: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        ask(shop, body, recorder, **more)
    assert caught.value.message
    assert caught.value.advice
    return caught.value


def test_assignments__visitor_only__every_started_experiment_is_answered_in_the_documented_shape(
    shop: LiveSite,
) -> None:
    answer = ask(shop, {"visitor_id": "visitor-1"})
    assert (answer["visitor_id"], answer["ruleset_version"]) == ("visitor-1", 3)
    assert set(answer["assignments"]) == {"button", "price", "old"}
    button = answer["assignments"]["button"]
    assert set(button) == {"variant", "index", "payload", "reason", "in_experiment"}
    assert (button["reason"], button["in_experiment"]) == ("assigned", True)
    assert button["payload"] == {"control": {"colour": "blue"}, "treatment": {"colour": "green"}}[button["variant"]]
    assert answer["assignments"]["price"] == {
        "variant": "control",
        "index": 0,
        "payload": {"colour": "blue"},
        "reason": "not_in_audience",
        "in_experiment": False,
    }
    assert answer["assignments"]["old"]["reason"] == "not_running"


def test_assignments__attributes_and_keys_given__only_these_experiments_and_the_audience_is_met(shop: LiveSite) -> None:
    answer = ask(
        shop, {"visitor_id": "v", "attributes": {"country": "PT"}, "experiments": ["price", "nothing", "draft"]}
    )
    reasons = {key: found["reason"] for key, found in answer["assignments"].items()}
    assert reasons == {"price": "assigned", "nothing": "unknown_experiment", "draft": "not_running"}
    assert answer["assignments"]["nothing"]["variant"] is None


def test_assignments__nothing_published__no_experiment_is_known(shop: LiveSite) -> None:
    other = make_site("blog")
    answer = ask(other, {"visitor_id": "v", "experiments": ["button"]})
    assert answer["ruleset_version"] == 0
    assert answer["assignments"]["button"]["reason"] == "unknown_experiment"
    assert ask(other, {"visitor_id": "v"})["assignments"] == {}


def test_assignments__gzip_body__is_read(shop: LiveSite) -> None:
    body = gzip.compress(json.dumps({"visitor_id": "v"}).encode())
    assert ask(shop, body, headers={"content-encoding": "gzip"})["visitor_id"] == "v"


def test_assignments__crawler__gets_control_and_is_not_in(shop: LiveSite) -> None:
    agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    by_page = ask(shop, {"visitor_id": "v"}, headers={"user-agent": agent})["assignments"]["button"]
    by_server = ask(shop, {"visitor_id": "v", "attributes": {"user_agent": agent}}, key=shop.server_key)
    for found in (by_page, by_server["assignments"]["button"]):
        assert (found["variant"], found["reason"], found["in_experiment"]) == ("control", "bot", False)
    telephone = ask(shop, {"visitor_id": "v"}, headers={"user-agent": "Mozilla/5.0 (Linux; Android 9; CUBOT X18)"})
    assert telephone["assignments"]["button"]["reason"] == "assigned"


# --- Exposures ----------------------------------------------------------------------------------------------------------


def test_assignments__expose__records_those_who_are_in_and_only_them(shop: LiveSite) -> None:
    recorder = Recorder()
    answer = ask(shop, {"visitor_id": "v", "expose": True}, recorder)
    assert recorder.exposures == [("v", "button", answer["assignments"]["button"]["variant"])]


def test_assignments__expose_not_asked__records_nothing(shop: LiveSite) -> None:
    recorder = Recorder()
    ask(shop, {"visitor_id": "v"}, recorder)
    ask(shop, {"visitor_id": "v", "expose": False}, recorder)
    assert recorder.exposures == []


def test_assignments__tester_on_the_list__sees_his_variant_and_is_never_exposed(shop: LiveSite) -> None:
    recorder = Recorder()
    answer = ask(shop, {"visitor_id": "tester", "expose": True}, recorder)
    reasons = {key: (found["variant"], found["reason"]) for key, found in answer["assignments"].items()}
    assert reasons == dict.fromkeys(("button", "price", "draft", "old"), ("treatment", "forced"))
    assert recorder.exposures == []


@pytest.mark.parametrize("recorder", [Recorder(OSError("disk full")), None])
def test_assignments__exposure_cannot_be_recorded__is_a_503_and_no_variant_is_given(
    shop: LiveSite, recorder: Recorder | None
) -> None:
    error = refused(shop, {"visitor_id": "v", "expose": True}, recorder)
    assert (error.status, error.code) == (503, "exposures_not_recorded")


# --- Previews -----------------------------------------------------------------------------------------------------------


def test_assignments__preview__shows_that_variant_even_of_a_draft_and_is_never_exposed(shop: LiveSite) -> None:
    recorder = Recorder()
    token = make_preview_token("shop", "draft", "treatment")
    answer = ask(shop, {"visitor_id": "v", "preview": token, "expose": True}, recorder)
    assert answer["assignments"]["draft"]["variant"] == "treatment"
    assert answer["assignments"]["draft"]["reason"] == "forced"
    assert [key for _, key, _ in recorder.exposures] == ["button"]


def test_assignments__preview_of_another_site_or_forged__is_refused(shop: LiveSite) -> None:
    foreign = make_preview_token("blog", "draft", "treatment")
    forged = make_preview_token("shop", "draft", "control")[:-1] + "x"
    for token in (foreign, forged, "nonsense"):
        assert refused(shop, {"visitor_id": "v", "preview": token}).code == "preview_invalid"


def test_assignments__preview_of_a_variant_that_is_gone__says_so(shop: LiveSite) -> None:
    token = make_preview_token("shop", "button", "purple")
    assert refused(shop, {"visitor_id": "v", "preview": token}).code == "preview_unknown"


# --- Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b'{"visitor_id": "v"', "malformed_json"),
        (b"\x00\xff\xfe binary \x9f", "malformed_json"),
        (b'{"visitor_id": "\xff"}', "malformed_json"),
        (b"[" * 30_000, "malformed_json"),
        ([], "not_an_object"),
        ("v", "not_an_object"),
        ({}, "visitor_id_missing"),
        ({"visitor_id": None}, "visitor_id_missing"),
        ({"visitor_id": "  "}, "visitor_id_missing"),
        ({"visitor_id": 12}, "visitor_id_malformed"),
        ({"visitor_id": "a\0b"}, "visitor_id_malformed"),
        ({"visitor_id": "x" * (MAX_VISITOR_ID + 1)}, "visitor_id_too_long"),
        ({"visitor_id": "v", "attributes": []}, "attributes_not_an_object"),
        ({"visitor_id": "v", "experiments": "button"}, "experiments_not_a_list"),
        ({"visitor_id": "v", "experiments": [1]}, "experiments_not_a_list"),
        ({"visitor_id": "v", "experiments": ["e"] * 501}, "experiments_too_many"),
        ({"visitor_id": "v", "expose": "yes"}, "expose_not_a_boolean"),
        ({"visitor_id": "v", "preview": 3}, "preview_malformed"),
        ({"visitor_id": "v", "exposed": True}, "unknown_field"),
    ],
)
def test_assignments__bad_body__is_a_400_with_its_own_code(shop: LiveSite, body: Any, code: str) -> None:
    error = refused(shop, body)
    assert (error.status, error.code) == (400, code)
    assert len(error.message) < 300


def test_assignments__misspelt_field__the_nearest_is_named(shop: LiveSite) -> None:
    assert "Did you mean `expose`?" in refused(shop, {"visitor_id": "v", "exposed": True}).advice


@pytest.mark.parametrize(
    "hostile", ["'; DROP TABLE site; --", "<script>alert(1)</script>", "{{7*7}}", "../../etc/passwd"]
)
def test_assignments__hostile_text_in_every_field__is_plain_text_to_us(shop: LiveSite, hostile: str) -> None:
    answer = ask(shop, {"visitor_id": hostile, "attributes": {hostile: hostile}, "experiments": [hostile]})
    assert answer["visitor_id"] == hostile
    assert answer["assignments"][hostile]["reason"] == "unknown_experiment"
    assert refused(shop, {"visitor_id": "v", "preview": hostile}).status == 400


def test_assignments__body_too_large_or_a_bomb__is_a_413(shop: LiveSite) -> None:
    large = {"visitor_id": "v", "attributes": {"a": "x" * native.MAX_BODY_BYTES}}
    assert refused(shop, large).code == "body_too_large"
    bomb = gzip.compress(b" " * 30_000_000)
    assert len(bomb) < native.MAX_BODY_BYTES
    error = refused(shop, bomb, headers={"content-encoding": "gzip"})
    assert (error.status, error.code) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (b"not gzip", "gzip", 400, "gzip_malformed"),
        (gzip.compress(b'{"visitor_id":"v"}', mtime=0)[:-6], "gzip", 400, "gzip_malformed"),
        (b"{}", "br", 415, "encoding_unknown"),
    ],
)
def test_assignments__body_that_cannot_be_unpacked__is_refused(
    shop: LiveSite, body: bytes, encoding: str, status: int, code: str
) -> None:
    error = refused(shop, body, headers={"content-encoding": encoding})
    assert (error.status, error.code) == (status, code)


@given(st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_read_question__any_bytes__a_question_or_a_400_and_nothing_else(body: bytes) -> None:
    try:
        read_question(body)
    except ApiError as error:
        assert error.status == 400


def test_max_visitor_id__is_the_same_for_assignments_and_events() -> None:
    assert native.MAX_VISITOR_ID == MAX_VISITOR_ID
