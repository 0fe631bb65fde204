"""Audience conditions: a MongoDB-like document turned once into a function that says whether a visitor is meant.

The language is GrowthBook's, with JavaScript's rules of comparison, because browsers evaluate the same document. Every
compiled condition is total: whatever a visitor sends, it answers true or false and never raises.

Checked against: the official case file, and the Python SDK on random conditions.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.core.comparing import (
    deep_equal,
    kind_of,
    loosely_equals,
    order,
    same_value,
    text_of,
    version_key,
)

Condition = Callable[[Mapping[str, Any]], bool]
ValueTest = Callable[[Any], bool]
SavedGroups = Mapping[str, Sequence[Any]]

_INDEX = re.compile("0|[1-9][0-9]{0,9}")


def compile_condition(document: Any, saved_groups: SavedGroups | None = None) -> Condition:
    """Turn a condition document into a function of the visitor's attributes.

    What cannot be understood (an unknown operator, a broken pattern, a wrong type) matches nobody, as in the SDKs;
    `condition_problems` names it beforehand.
    """
    if not isinstance(document, Mapping):
        return _nobody
    tests = [_compile_entry(key, value, saved_groups or {}) for key, value in document.items()]
    return _all_of(tests) if tests else _everybody


def condition_problems(document: Any, path: str = "") -> tuple[str, ...]:
    """Return a sentence for each part of a condition that can never match or is spelt wrongly."""
    if not isinstance(document, Mapping):
        return (f"{path or 'The condition'} must be an object, not {kind_of(document)}.",)
    problems: list[str] = []
    for key, value in document.items():
        place = f"{path}.{key}" if path else str(key)
        if key in ("$or", "$nor", "$and"):
            if not isinstance(value, list):
                problems.append(f"{place} needs a list of conditions.")
                continue
            for number, part in enumerate(value):
                problems.extend(condition_problems(part, f"{place}[{number}]"))
        elif key == "$not":
            problems.extend(condition_problems(value, place))
        else:
            problems.extend(_value_problems(value, place))
    return tuple(problems)


def _everybody(attributes: Mapping[str, Any]) -> bool:
    return True


def _nobody(attributes: Mapping[str, Any]) -> bool:
    return False


def _never(value: Any) -> bool:
    return False


# A generator inside all() or any() costs more than the tests themselves, so both are written out.
def _all_of(tests: Sequence[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) and second(value)

    def every(value: Any) -> bool:
        for test in tests:  # noqa: SIM110
            if not test(value):
                return False
        return True

    return every


def _any_of(tests: Sequence[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) or second(value)

    def some(value: Any) -> bool:
        for test in tests:  # noqa: SIM110
            if test(value):
                return True
        return False

    return some


def _compile_entry(key: str, value: Any, groups: SavedGroups) -> Condition:
    if key in ("$or", "$nor", "$and"):
        if not isinstance(value, list):
            return _nobody
        parts = [compile_condition(part, groups) for part in value]
        if not parts:
            return _nobody if key == "$nor" else _everybody
        if key == "$and":
            return _all_of(parts)
        any_part = _any_of(parts)
        return any_part if key == "$or" else (lambda attributes: not any_part(attributes))
    if key == "$not":
        inner = compile_condition(value, groups)
        return lambda attributes: not inner(attributes)
    test = compile_value_test(value, groups)
    if "." not in key:
        return lambda attributes: test(attributes.get(key))
    segments = tuple(key.split("."))
    return lambda attributes: test(_at_path(attributes, segments))


def _at_path(attributes: Mapping[str, Any], segments: tuple[str, ...]) -> Any:
    current: Any = attributes
    for segment in segments:
        if isinstance(current, Mapping):
            current = current.get(segment)
        elif isinstance(current, list) and segment == "length":
            current = len(current)
        elif isinstance(current, list) and _INDEX.fullmatch(segment):
            current = current[int(segment)] if int(segment) < len(current) else None
        else:
            return None
    return current


def _is_operator_object(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(str(key).startswith("$") for key in value)


def compile_value_test(expected: Any, groups: SavedGroups) -> ValueTest:
    """Turn what a condition says about one attribute into a function of that attribute's value (None: missing)."""
    if not _is_operator_object(expected):
        return _compile_literal(expected)
    tests = [OPERATORS[name](operand, groups) if name in OPERATORS else _never for name, operand in expected.items()]
    return _all_of(tests)


def _compile_literal(expected: Any) -> ValueTest:
    if isinstance(expected, str):
        return lambda value: value == expected if isinstance(value, str) else text_of(value) == expected
    if isinstance(expected, bool | int | float):
        return lambda value: loosely_equals(value, expected)
    if expected is None:
        return lambda value: value is None
    return lambda value: deep_equal(value, expected)


def _compile_equal(expected: Any, groups: SavedGroups) -> ValueTest:
    if isinstance(expected, str):
        return lambda value: bool(value == expected)  # a text equals nothing but a text; no need to compare the kinds
    return lambda value: same_value(value, expected)


def _compile_unequal(expected: Any, groups: SavedGroups) -> ValueTest:
    if isinstance(expected, str):
        return lambda value: bool(value != expected)
    return lambda value: not same_value(value, expected)


def _compile_order(compare: Callable[[Any, Any], bool]) -> Callable[[Any, SavedGroups], ValueTest]:
    def build(expected: Any, groups: SavedGroups) -> ValueTest:
        is_number = isinstance(expected, int | float) and not isinstance(expected, bool)

        def test(value: Any) -> bool:
            # Two numbers, by far the commonest case, need none of JavaScript's conversions.
            if is_number and (type(value) is int or type(value) is float):
                return compare(value, expected)
            sign = order(value, expected)
            return sign is not None and compare(sign, 0)

        return test

    return build


def _compile_version(accept: Callable[[str, str], bool]) -> Callable[[Any, SavedGroups], ValueTest]:
    def build(expected: Any, groups: SavedGroups) -> ValueTest:
        wanted = version_key(expected)
        return lambda value: accept(version_key(value), wanted)

    return build


def _compile_membership(*, negated: bool, ignore_case: bool) -> Callable[[Any, SavedGroups], ValueTest]:
    def build(expected: Any, groups: SavedGroups) -> ValueTest:
        if not isinstance(expected, list | tuple):
            return _never
        test = _member_test(expected, ignore_case=ignore_case)
        return (lambda value: not test(value)) if negated else test

    return build


def _compile_group(*, negated: bool) -> Callable[[Any, SavedGroups], ValueTest]:
    def build(expected: Any, groups: SavedGroups) -> ValueTest:
        if not isinstance(expected, str):
            return _never
        test = _member_test(groups.get(expected, ()), ignore_case=False)
        return (lambda value: not test(value)) if negated else test

    return build


def _member_test(members: Sequence[Any], *, ignore_case: bool) -> ValueTest:
    """Return a test for `value in members` that tells 1 from "1" and from true; a list matches by any element."""
    texts = frozenset((m.lower() if ignore_case else m) for m in members if isinstance(m, str))
    numbers = frozenset(m for m in members if isinstance(m, int | float) and not isinstance(m, bool))
    others = frozenset(m for m in members if m is None or isinstance(m, bool))

    def has(value: Any) -> bool:
        if isinstance(value, str):
            return (value.lower() if ignore_case else value) in texts
        if value is None or isinstance(value, bool):
            return value in others
        return isinstance(value, int | float) and value in numbers

    return lambda value: any(has(element) for element in value) if isinstance(value, list) else has(value)


def _compile_pattern(*, flags: int, negated: bool) -> Callable[[Any, SavedGroups], ValueTest]:
    def build(expected: Any, groups: SavedGroups) -> ValueTest:
        try:
            search = re.compile(expected, flags).search
        except (re.error, TypeError, RecursionError, OverflowError):
            return _never
        if negated:
            return lambda value: search(value if isinstance(value, str) else text_of(value)) is None
        return lambda value: search(value if isinstance(value, str) else text_of(value)) is not None

    return build


def _same_ignoring_case(expected: str) -> ValueTest:
    folded = expected.lower()
    return lambda value: text_of(value).lower() == folded


def _compile_all(*, ignore_case: bool) -> Callable[[Any, SavedGroups], ValueTest]:
    def build(expected: Any, groups: SavedGroups) -> ValueTest:
        if not isinstance(expected, list | tuple):
            return _never
        wanted = [
            _same_ignoring_case(part) if ignore_case and isinstance(part, str) else compile_value_test(part, groups)
            for part in expected
        ]
        return lambda value: isinstance(value, list) and all(any(map(test, value)) for test in wanted)

    return build


def _compile_element(expected: Any, groups: SavedGroups) -> ValueTest:
    if _is_operator_object(expected):
        test = compile_value_test(expected, groups)
        return lambda value: isinstance(value, list) and any(test(element) for element in value if element is not None)
    condition = compile_condition(expected, groups)
    return lambda value: (
        isinstance(value, list) and any(condition(element) for element in value if isinstance(element, Mapping))
    )


def _compile_size(expected: Any, groups: SavedGroups) -> ValueTest:
    test = compile_value_test(expected, groups)
    return lambda value: isinstance(value, list) and test(len(value))


def _compile_exists(expected: Any, groups: SavedGroups) -> ValueTest:
    return (lambda value: value is not None) if expected else (lambda value: value is None)


def _compile_not(expected: Any, groups: SavedGroups) -> ValueTest:
    test = compile_value_test(expected, groups)
    return lambda value: not test(value)


OPERATORS: dict[str, Callable[[Any, SavedGroups], ValueTest]] = {
    "$eq": _compile_equal,
    "$ne": _compile_unequal,
    "$lt": _compile_order(operator.lt),
    "$lte": _compile_order(operator.le),
    "$gt": _compile_order(operator.gt),
    "$gte": _compile_order(operator.ge),
    "$veq": _compile_version(lambda actual, wanted: actual == wanted),
    "$vne": _compile_version(lambda actual, wanted: actual != wanted),
    "$vlt": _compile_version(lambda actual, wanted: actual < wanted),
    "$vlte": _compile_version(lambda actual, wanted: actual <= wanted),
    "$vgt": _compile_version(lambda actual, wanted: actual > wanted),
    "$vgte": _compile_version(lambda actual, wanted: actual >= wanted),
    "$in": _compile_membership(negated=False, ignore_case=False),
    "$nin": _compile_membership(negated=True, ignore_case=False),
    "$ini": _compile_membership(negated=False, ignore_case=True),
    "$nini": _compile_membership(negated=True, ignore_case=True),
    "$inGroup": _compile_group(negated=False),
    "$notInGroup": _compile_group(negated=True),
    "$regex": _compile_pattern(flags=0, negated=False),
    "$regexi": _compile_pattern(flags=re.IGNORECASE, negated=False),
    "$notRegex": _compile_pattern(flags=0, negated=True),
    "$notRegexi": _compile_pattern(flags=re.IGNORECASE, negated=True),
    "$all": _compile_all(ignore_case=False),
    "$alli": _compile_all(ignore_case=True),
    "$elemMatch": _compile_element,
    "$size": _compile_size,
    "$exists": _compile_exists,
    "$type": lambda expected, groups: lambda value: kind_of(value) == expected,
    "$not": _compile_not,
}

_LIST_OPERATORS = frozenset({"$in", "$nin", "$ini", "$nini", "$all", "$alli"})
_PATTERN_OPERATORS = frozenset({"$regex", "$regexi", "$notRegex", "$notRegexi"})


def _value_problems(expected: Any, place: str) -> list[str]:
    if not _is_operator_object(expected):
        return []
    problems: list[str] = []
    for name, operand in expected.items():
        if name not in OPERATORS:
            problems.append(f"{place}: '{name}' is not an operator; known are {', '.join(OPERATORS)}.")
        elif name in _LIST_OPERATORS and not isinstance(operand, list):
            problems.append(f"{place}: {name} needs a list, not {kind_of(operand)}.")
        elif name in _PATTERN_OPERATORS:
            try:
                re.compile(operand)
            except (re.error, TypeError, RecursionError, OverflowError) as error:
                problems.append(f"{place}: {name} holds no valid pattern ({error}).")
        elif name == "$not":
            problems.extend(_value_problems(operand, place))
    return problems
