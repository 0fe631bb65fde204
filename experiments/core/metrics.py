"""What a metric is: the rule that turns a visitor's events into numbers, free of any storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeGuard


class Conversion(StrEnum):
    """Where a metric stands on the way to the business goal."""

    MACRO = "macro"
    MILESTONE = "milestone"
    SECONDARY = "secondary"


class Role(StrEnum):
    """What a metric is for within one experiment."""

    PRIMARY = "primary"
    PROXY = "proxy"
    GUARDRAIL = "guardrail"
    EXPLORATORY = "exploratory"


class Direction(StrEnum):
    """Which way is better."""

    INCREASE = "increase"
    DECREASE = "decrease"


MOST_DAYS = 52


class Aggregate(StrEnum):
    """How the events of one visitor become one number.

    COUNT: how many. SUM: the sum of their values (0 when there are none). FIRST_HOURS: hours from first exposure to the
    first of them (NaN when there is none). DAYS: a number whose bit d says whether there was one on day d, in days of 24 h
    from `start_hours` on; only the first `MOST_DAYS` are kept, which a number holds exactly (0 when there is none).
    """

    COUNT = "count"
    SUM = "sum"
    FIRST_HOURS = "first_hours"
    DAYS = "days"


class Comparator(StrEnum):
    EQUALS = "eq"
    NOT_EQUALS = "ne"
    GREATER = "gt"
    AT_LEAST = "gte"
    LESS = "lt"
    AT_MOST = "lte"


@dataclass(frozen=True, slots=True)
class PropertyTest:
    """One condition on an event's property, such as `category eq "shoes"`. A missing property fails every test but `ne`."""

    name: str
    comparator: Comparator
    value: str | float | bool

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("A property test needs the name of a property.")

    def holds(self, properties: Mapping[str, Any]) -> bool:
        """Say whether an event with these properties passes; numbers compare as numbers, everything else only with its like."""
        value = properties.get(self.name)
        if self.comparator in (Comparator.EQUALS, Comparator.NOT_EQUALS):
            return _is_equal(value, self.value) is (self.comparator is Comparator.EQUALS)
        if not (_is_number(value) and _is_number(self.value)):
            return False
        left, right = float(value), float(self.value)
        return {
            Comparator.GREATER: left > right,
            Comparator.AT_LEAST: left >= right,
            Comparator.LESS: left < right,
            Comparator.AT_MOST: left <= right,
        }[self.comparator]


def _is_equal(value: object, wanted: str | float | bool) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if _is_number(value) and _is_number(wanted):
        return float(value) == float(wanted)
    return isinstance(value, str) and value == wanted


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def property_tests(values: Any) -> tuple[PropertyTest, ...]:
    """Read property filters from plain JSON values such as `[{"name": "category", "comparator": "eq", "value": "shoes"}]`.

    Raises: ValueError with a sentence that names the entry at fault.
    """
    if not isinstance(values, list | tuple):
        raise ValueError('Property filters are a list, for example [{"name": "a", "comparator": "eq", "value": 1}].')
    return tuple(_property_test(number, entry) for number, entry in enumerate(values, start=1))


def _property_test(number: int, entry: Any) -> PropertyTest:
    if not isinstance(entry, dict) or set(entry) != {"name", "comparator", "value"}:
        raise ValueError(f"Filter {number} needs exactly 'name', 'comparator' and 'value', not {entry!r}.")
    if not isinstance(entry["name"], str):
        raise ValueError(f"Filter {number} has the name {entry['name']!r}; it must be the name of a property.")
    if entry["comparator"] not in list(Comparator):
        allowed = ", ".join(Comparator)
        raise ValueError(f"Filter {number} has the comparator {entry['comparator']!r}; use one of {allowed}.")
    if not isinstance(entry["value"], str | int | float | bool):
        raise ValueError(f"Filter {number} compares with {entry['value']!r}; use a text, a number, true or false.")
    comparator = Comparator(entry["comparator"])
    is_number = isinstance(entry["value"], int | float) and not isinstance(entry["value"], bool)
    if comparator not in {Comparator.EQUALS, Comparator.NOT_EQUALS} and not is_number:
        raise ValueError(f"Filter {number} uses '{comparator}' with {entry['value']!r}; only numbers have an order.")
    return PropertyTest(name=entry["name"], comparator=comparator, value=entry["value"])


@dataclass(frozen=True, slots=True)
class Column:
    """One number per exposed visitor that a store must compute.

    Units: `start_hours` and `end_hours` count from the visitor's first exposure; an event at exactly `start_hours` is in,
    one at exactly `end_hours` is out; `end_hours=None` means up to the time of the analysis. Negative hours reach back
    before the exposure (covariates).
    """

    name: str
    event: str
    aggregate: Aggregate
    where: tuple[PropertyTest, ...] = ()
    value_property: str | None = None
    start_hours: float = 0.0
    end_hours: float | None = None

    def __post_init__(self) -> None:
        if not self.event:
            raise ValueError(f"Column '{self.name}' names no event.")
        if self.end_hours is not None and self.end_hours <= self.start_hours:
            raise ValueError(
                f"Column '{self.name}' ends at {self.end_hours} h, before it starts at {self.start_hours} h."
            )


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One version of a metric, as the plan freezes it.

    Units: `window_hours` from first exposure (None: open ended); `cap` in the unit of the value; `expected_pass_through`
    is the share of a lift in this micro conversion that is expected to reach the macro conversion (0..1).
    """

    key: str
    name: str
    conversion: Conversion
    kind: str
    event: str
    where: tuple[PropertyTest, ...] = ()
    value_property: str | None = None
    denominator_event: str | None = None
    window_hours: float | None = None
    cap: float | None = None
    direction: Direction = Direction.INCREASE
    funnel_order: int | None = None
    parent: str | None = None
    expected_pass_through: float | None = None
    version: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.window_hours is not None and self.window_hours <= 0:
            raise ValueError(f"Metric '{self.key}' has a window of {self.window_hours} h; it must be longer than 0.")
        if self.cap is not None and self.cap <= 0:
            raise ValueError(f"Metric '{self.key}' has a cap of {self.cap}; it must be above 0.")
