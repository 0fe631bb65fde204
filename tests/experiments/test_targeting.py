"""Audience conditions beyond the official cases: totality, laws, and what an author is told."""

from __future__ import annotations

from typing import Any

import pytest
from growthbook.core import evalCondition
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.core.targeting import OPERATORS, compile_condition, condition_problems

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "B", "1.2.3", "10", "x y", "é"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
)
names = st.sampled_from(["a", "b", "a.b", "list.0", "list.length", "c"])
tests = st.dictionaries(st.sampled_from([*OPERATORS, "$nonsense"]), values, max_size=2)
conditions = st.recursive(
    st.dictionaries(names, values | tests, max_size=2),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, max_size=2)}),
        st.fixed_dictionaries({"$or": st.lists(inner, max_size=2)}),
        st.fixed_dictionaries({"$nor": st.lists(inner, max_size=2)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=4,
)
attributes = st.dictionaries(st.sampled_from(["a", "b", "c", "list"]), values, max_size=4)


@given(conditions | values, attributes)
def test_compile_condition__anything_at_all__answers_true_or_false_and_never_raises(
    condition: Any, visitor: dict[str, Any]
) -> None:
    assert compile_condition(condition)(visitor) in (True, False)


@given(conditions, attributes)
def test_compile_condition__negated__answers_the_opposite(condition: dict[str, Any], visitor: dict[str, Any]) -> None:
    answer = compile_condition(condition)(visitor)
    assert compile_condition({"$not": condition})(visitor) is not answer
    assert compile_condition({"$nor": [condition]})(visitor) is not answer
    assert compile_condition({"$and": [condition, {}]})(visitor) is answer
    assert compile_condition({"$or": [condition, {"$not": {}}]})(visitor) is answer


# The part of the language on which the SDKs of all languages agree: numbers guarded by $exists, explicit $eq.
texts = st.sampled_from(["pro", "free", "team", ""])
agreed_tests = st.one_of(
    st.fixed_dictionaries({"plan": st.fixed_dictionaries({"$in": st.lists(texts, max_size=3)})}),
    st.fixed_dictionaries({"plan": st.fixed_dictionaries({"$nin": st.lists(texts, max_size=3)})}),
    st.fixed_dictionaries({"plan": st.fixed_dictionaries({"$eq": texts})}),
    st.fixed_dictionaries({"plan": st.fixed_dictionaries({"$ne": texts})}),
    st.fixed_dictionaries({"plan": texts}),
    st.fixed_dictionaries(
        {"age": st.fixed_dictionaries({"$exists": st.just(True), "$gte": st.integers(0, 9), "$lt": st.integers(0, 9)})}
    ),
    st.fixed_dictionaries({"tags": st.fixed_dictionaries({"$all": st.lists(texts, min_size=1, max_size=2)})}),
    st.fixed_dictionaries({"tags": st.fixed_dictionaries({"$size": st.integers(0, 3)})}),
    st.fixed_dictionaries({"version": st.fixed_dictionaries({"$exists": st.just(True), "$vgte": st.just("1.2.0")})}),
    st.fixed_dictionaries({"id": st.fixed_dictionaries({"$inGroup": st.sampled_from(["staff", "nobody"])})}),
    st.fixed_dictionaries({"member": st.fixed_dictionaries({"$eq": st.booleans()})}),
)
agreed_conditions = st.recursive(
    agreed_tests,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=5,
)
agreed_visitors = st.fixed_dictionaries(
    {"id": st.sampled_from(["u1", "u2"])},
    optional={
        "plan": texts,
        "age": st.integers(0, 9),
        "tags": st.lists(texts, max_size=3),
        "version": st.sampled_from(["1.2.0", "1.10.3", "0.9.1-beta.2"]),
        "member": st.booleans(),
    },
)


@settings(max_examples=200)
@given(agreed_conditions, agreed_visitors)
def test_compile_condition__agreed_part_of_the_language__equals_the_growthbook_sdk(
    condition: dict[str, Any], visitor: dict[str, Any]
) -> None:
    groups = {"staff": ["u1", "u7"]}
    assert compile_condition(condition, groups)(visitor) is evalCondition(visitor, condition, groups)


@pytest.mark.parametrize(
    ("condition", "visitor", "expected"),
    [
        ({"a.b": 1}, {"a": {"b": "1"}}, True),  # a bare number compares loosely, as in JavaScript
        ({"a": {"$eq": 1}}, {"a": "1"}, False),  # $eq never does
        ({"a": {"$in": [1]}}, {"a": True}, False),  # true is not 1
        ({"list.1": "x"}, {"list": ["w", "x"]}, True),
        ({"list.9": {"$exists": False}}, {"list": ["w"]}, True),
        ({"a": {"$notRegex": "^x"}}, {"a": "yx"}, True),
        ({"a": {"$elemMatch": {"b": {"$gt": 3}}}}, {"a": [{"b": 2}, {"b": 4}]}, True),
    ],
)
def test_compile_condition__corner_of_the_language__as_javascript_decides(
    condition: dict[str, Any], visitor: dict[str, Any], expected: bool
) -> None:
    assert compile_condition(condition)(visitor) is expected


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        ({"country": {"$inn": ["PT"]}}, "'$inn' is not an operator"),
        ({"country": {"$in": "PT"}}, "$in needs a list, not string"),
        ({"agent": {"$regex": "(["}}, "no valid pattern"),
        ({"$or": {"a": 1}}, "$or needs a list"),
        ({"$and": [{"a": {"$nin": 3}}]}, "$and[0].a: $nin needs a list"),
        ({"$not": {"a": {"$not": {"$alli": "x"}}}}, "$alli needs a list"),
        (["a"], "must be an object, not array"),
    ],
)
def test_condition_problems__mistake__is_named_with_its_place(condition: Any, part: str) -> None:
    problems = condition_problems(condition)
    assert len(problems) == 1
    assert part in problems[0]


@given(agreed_conditions)
def test_condition_problems__sound_condition__none(condition: dict[str, Any]) -> None:
    assert condition_problems(condition) == ()
