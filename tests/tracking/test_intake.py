"""The judge of incoming events."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracking.logs import event
from tracking.core.events import Event
from tracking.core.intake import Judgement, judge
from tracking.core.refusals import CODES, MAX_DEPTH, MAX_PROPERTIES_BYTES
from tracking.core.timestamps import DAY_US, SECOND_US, parse_time

NOW = 1_790_000_000 * SECOND_US  # 2026-09-21T14:13:20Z
GOOD = {"name": "buy", "visitor_id": "v1"}


def judged(*events: Any, **options: Any) -> Judgement:
    return judge(events, **{"now_us": NOW, "id_prefix": "fresh-", "retention_days": 30, **options})


def as_json(document: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(document).encode())


def nested(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for _ in range(depth - 1):
        tree = {"in": tree}
    return tree


LONG = "x" * 300
REFUSED = [
    ("event_not_an_object", 7),
    ("event_not_an_object", None),
    ("event_not_an_object", ["buy"]),
    ("unknown_field", GOOD | {"user_id": "u"}),
    ("name_missing", {"visitor_id": "v1"}),
    ("name_missing", GOOD | {"name": ""}),
    ("name_missing", GOOD | {"name": "  "}),
    ("name_malformed", GOOD | {"name": 7}),
    ("name_malformed", GOOD | {"name": "a\0b"}),
    ("name_malformed", GOOD | {"name": "\ud800"}),
    ("name_too_long", GOOD | {"name": LONG}),
    ("reserved_name", GOOD | {"name": "$pageview"}),
    ("visitor_id_missing", {"name": "buy"}),
    ("visitor_id_missing", GOOD | {"visitor_id": ""}),
    ("visitor_id_malformed", GOOD | {"visitor_id": 1234}),
    ("visitor_id_malformed", GOOD | {"visitor_id": "\0"}),
    ("visitor_id_malformed", GOOD | {"visitor_id": "half \udfff"}),
    ("visitor_id_too_long", GOOD | {"visitor_id": LONG}),
    ("event_id_malformed", GOOD | {"event_id": ""}),
    ("event_id_malformed", GOOD | {"event_id": 5}),
    ("event_id_malformed", GOOD | {"event_id": "a\0"}),
    ("event_id_too_long", GOOD | {"event_id": LONG}),
    ("session_id_malformed", GOOD | {"session_id": 5}),
    ("session_id_malformed", GOOD | {"session_id": "\0"}),
    ("session_id_too_long", GOOD | {"session_id": LONG}),
    ("timestamp_malformed", GOOD | {"timestamp": "yesterday"}),
    ("timestamp_malformed", GOOD | {"timestamp": "2026-09-21T12:00:00"}),  # no offset
    ("timestamp_malformed", GOOD | {"timestamp": "2026-09-21"}),
    ("timestamp_malformed", GOOD | {"timestamp": True}),
    ("timestamp_malformed", GOOD | {"timestamp": [1]}),
    ("timestamp_malformed", GOOD | {"timestamp": NOW}),  # microseconds
    ("event_in_future", GOOD | {"timestamp": NOW / SECOND_US + 301}),
    ("event_in_future", GOOD | {"timestamp": "9999-12-31T23:59:59Z"}),
    ("event_too_old", GOOD | {"timestamp": NOW / SECOND_US - 32 * 86400}),
    ("event_too_old", GOOD | {"timestamp": "0001-01-01T00:00:00Z"}),
    ("event_too_old", GOOD | {"timestamp": -5}),
    ("value_not_a_number", GOOD | {"value": "5"}),
    ("value_not_a_number", GOOD | {"value": True}),
    ("value_not_a_number", GOOD | {"value": 10**400}),
    ("value_not_a_number", GOOD | {"value": [5]}),
    ("properties_not_an_object", GOOD | {"properties": [1]}),
    ("properties_not_an_object", GOOD | {"context": "phone"}),
    ("properties_malformed", GOOD | {"properties": {"a": ["\ud83d"]}}),
    ("properties_malformed", GOOD | {"context": {"\ud83d": 1}}),
    ("properties_too_large", GOOD | {"properties": {"a": "x" * MAX_PROPERTIES_BYTES}}),
    ("properties_too_large", GOOD | {"context": {"a": "x" * MAX_PROPERTIES_BYTES}}),
    ("properties_too_deep", GOOD | {"properties": nested(MAX_DEPTH + 1)}),
    ("properties_too_deep", GOOD | {"context": {"a": [[[[[[[[[]]]]]]]]]}}),
    ("exposure_without_experiment", GOOD | {"name": "$exposure", "properties": {"variant": "new"}}),
    ("exposure_without_experiment", GOOD | {"name": "$exposure"}),
    ("exposure_without_experiment", GOOD | {"name": "$exposure", "properties": {"experiment": 5, "variant": "new"}}),
    ("exposure_without_variant", GOOD | {"name": "$exposure", "properties": {"experiment": "e"}}),
    ("exposure_without_variant", GOOD | {"name": "$exposure", "properties": {"experiment": "e", "variant": " "}}),
    ("alias_missing", GOOD | {"name": "$alias"}),
    ("alias_missing", GOOD | {"name": "$alias", "properties": {"alias": 7}}),
    ("alias_of_itself", GOOD | {"name": "$alias", "properties": {"alias": "v1"}}),
    ("alias_user_unknown", GOOD | {"name": "$alias", "properties": {"alias": "ann", "user": "bob"}}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "document"), REFUSED, ids=[f"{n}-{code}" for n, (code, _) in enumerate(REFUSED)])
def test_judge__one_bad_event_among_good_ones__is_refused_alone_with_its_code(code: str, document: Any) -> None:
    for wrap in (as_json, lambda same: same):
        result = judged(wrap(GOOD), wrap(document), wrap(GOOD))
        assert len(result.accepted) == 2
        [rejection] = result.rejected
        assert (rejection.index, rejection.code) == (1, code)
        assert rejection.message
        assert rejection.advice
        json.dumps(rejection.to_document(), ensure_ascii=False).encode()  # shows no half character


def test_refused__every_code__has_a_case() -> None:
    assert {code for code, _ in REFUSED} | {"event_malformed"} == CODES


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_judge__numbers_that_json_lacks__are_refused(number: float) -> None:
    codes = [judged(GOOD | change).rejected[0].code for change in ({"value": number}, {"properties": {"a": [number]}})]
    assert codes == ["value_not_a_number", "properties_malformed"]
    assert judged(GOOD | {"timestamp": number}).rejected[0].code == "timestamp_malformed"


def test_judge__bytes_that_are_no_json__are_refused() -> None:
    for text in (b'{"name": "\xff"}', b'{"name": "buy",}', b"\x00\x01"):
        assert judged(msgspec.Raw(text)).rejected[0].code == "event_malformed"


def test_judge__number_out_of_range_in_json__is_refused_with_its_field() -> None:
    assert judged(msgspec.Raw(b'{"name":"a","visitor_id":"v","value":1e999}')).rejected[0].code == "value_not_a_number"
    inside = msgspec.Raw(b'{"name":"a","visitor_id":"v","properties":{"a":1e999}}')
    assert judged(inside).rejected[0].code == "properties_malformed"


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE events; --", "<script>alert(1)</script>", "日本語 😀", " padded ", "%s{}"]
)
def test_judge__any_text__is_kept_as_it_is(text: str) -> None:
    document = {"name": text, "visitor_id": text, "event_id": text, "session_id": text, "properties": {text: [text]}}
    for wrap in (as_json, lambda same: same):
        [kept] = judged(wrap(document)).accepted
        assert (kept.name, kept.visitor_id, kept.event_id, kept.session_id) == (text, text, text, text)
        assert kept.properties == {text: [text]}


def test_judge__limits__are_inclusive() -> None:
    document = {
        "name": "n" * 200, "visitor_id": "v" * 256, "event_id": "e" * 200, "session_id": "s" * 256,
        "properties": {"a": "x" * (MAX_PROPERTIES_BYTES - 8)}, "context": nested(MAX_DEPTH),
    }  # fmt: skip
    for wrap in (as_json, lambda same: same):
        assert judged(wrap(document)).rejected == ()


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("2026-09-21T14:00:00Z", 1_789_999_200),
        ("2026-09-21T16:00:00+02:00", 1_789_999_200),
        ("2026-09-21T14:00:00.250+00:00", 1_789_999_200.25),
        (1_789_999_200, 1_789_999_200),
        (1_789_999_200.5, 1_789_999_200.5),
        (1_789_999_200_250, 1_789_999_200.25),
    ],
)
def test_judge__timestamp__is_read_as_documented(sent: Any, seconds: float) -> None:
    for wrap in (as_json, lambda same: same):
        assert judged(wrap(GOOD | {"timestamp": sent})).accepted[0].time == round(seconds * SECOND_US)


def test_judge__no_timestamp__takes_the_time_of_arrival_whatever_the_senders_clock() -> None:
    assert judged(GOOD, sent_at_us=NOW - 3600 * SECOND_US).accepted[0].time == NOW


@pytest.mark.parametrize("skew_hours", [-50, -0.01, 0, 3, 24 * 365])
def test_judge__senders_clock_is_wrong__times_are_corrected_before_they_are_judged(skew_hours: float) -> None:
    skew = round(skew_hours * 3600 * SECOND_US)
    happened = NOW - 90 * SECOND_US
    result = judged(GOOD | {"timestamp": (happened + skew) / SECOND_US}, sent_at_us=NOW + skew)
    [kept] = result.accepted
    assert abs(kept.time - happened) <= 1
    assert kept.received == NOW


def test_judge__retention__counts_whole_days_and_none_takes_any_age() -> None:
    first_kept = (NOW // DAY_US - 30) * DAY_US
    assert judged(GOOD | {"timestamp": first_kept / SECOND_US}).rejected == ()
    assert judged(GOOD | {"timestamp": first_kept / SECOND_US - 1}).rejected[0].code == "event_too_old"
    assert judged(GOOD | {"timestamp": "1999-01-01T00:00:00Z"}, retention_days=None).rejected == ()


def test_judge__five_minutes_ahead__is_the_limit() -> None:
    assert judged(GOOD | {"timestamp": NOW / SECOND_US + 300}).rejected == ()


def test_judge__same_id__is_a_duplicate_on_the_same_day_only() -> None:
    today, yesterday = NOW / SECOND_US, NOW / SECOND_US - 86400
    batch = [GOOD | {"event_id": "a", "timestamp": at} for at in (today, today - 60, yesterday)]
    result = judged(*batch)
    assert (len(result.accepted), result.duplicates, result.rejected) == (2, 1, ())
    seen = {(NOW // DAY_US, "a")}
    assert judged(*batch, already_seen=seen).duplicates == 2


def test_judge__a_refused_event__is_no_duplicate_of_its_repair() -> None:
    result = judged(GOOD | {"event_id": "a", "value": "5"}, GOOD | {"event_id": "a", "value": 5})
    assert (len(result.accepted), result.duplicates, len(result.rejected)) == (1, 0, 1)


def test_judge__events_without_id__get_one_each() -> None:
    ids = [kept.event_id for kept in judged(GOOD, GOOD, GOOD).accepted]
    assert len(set(ids)) == 3
    assert all(one.startswith("fresh-") for one in ids)


def test_judge__an_event_of_our_own__is_held_to_the_same_rules() -> None:
    good = event(time=NOW)
    assert judged(good).accepted == (good,)
    for change, code in [
        ({"name": "$other"}, "reserved_name"),
        ({"visitor_id": " "}, "visitor_id_missing"),
        ({"value": math.nan}, "value_not_a_number"),
        ({"time": NOW + DAY_US}, "event_in_future"),
        ({"properties": {"a": "x" * MAX_PROPERTIES_BYTES}}, "properties_too_large"),
        ({"name": "$exposure"}, "exposure_without_experiment"),
    ]:
        assert judged(msgspec.structs.replace(good, **change)).rejected[0].code == code


def test_judge__every_field__arrives() -> None:
    document = GOOD | {"event_id": "e", "timestamp": NOW / SECOND_US - 5, "session_id": "s", "value": 2, "properties": {"a": 1}, "context": {"b": 2}}  # fmt: skip
    [kept] = judged(as_json(document), source="native").accepted
    assert kept == Event(
        event_id="e", name="buy", visitor_id="v1", time=NOW - 5 * SECOND_US, received=NOW, session_id="s", value=2.0,
        properties={"a": 1}, context={"b": 2}, source="native",
    )  # fmt: skip


texts = st.text(max_size=3) | st.sampled_from(["$exposure", "$x", "\0", "\ud800", "2026-09-21T14:00:00Z", "x" * 300])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=6,
)
documents = anything | st.fixed_dictionaries(
    {},
    optional={
        "name": texts | anything, "visitor_id": texts | anything, "event_id": texts | anything,
        "session_id": texts | anything, "timestamp": st.integers() | texts | anything, "value": anything,
        "properties": st.dictionaries(texts, anything, max_size=2) | anything, "context": anything, "x": anything,
    },
)  # fmt: skip


@given(documents)
def test_judge__quick_and_patient_reader__say_the_same(document: Any) -> None:
    """JSON goes through msgspec's typed decoder, a dict through checks by hand; neither may know better."""
    quick, patient = judged(as_json(document)), judged(document)
    assert [one.code for one in quick.rejected] == [one.code for one in patient.rejected]
    assert quick.accepted == patient.accepted


@given(st.binary(max_size=40) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_judge__binary_junk__never_raises(junk: bytes) -> None:
    result = judged(msgspec.Raw(junk))
    assert len(result.accepted) + len(result.rejected) == 1


def test_parse_time__numbers_at_the_border_of_seconds_and_milliseconds__are_documented() -> None:
    assert parse_time(99_999_999_999) == 99_999_999_999 * SECOND_US
    assert parse_time(100_000_000_000) == 100_000_000 * SECOND_US
    with pytest.raises(ValueError, match="too large"):
        parse_time(10**14)
