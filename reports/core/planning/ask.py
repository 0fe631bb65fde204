"""What somebody asks the planner, read from the words of a form, an address or a command line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from experiments.core.plan import DAILY, WEEKLY, Futility
from experiments.core.refusal import Refused

MOST_VARIANTS = 10
MOST_WEEKS = 26
DEFAULT_LIFT = 0.1
DEFAULT_ALPHA = 0.05
DEFAULT_POWER = 0.8
DEFAULT_MARGIN = 0.1
SINGLE = (
    "site",
    "experiment",
    "lift",
    "weeks",
    "variants",
    "split",
    "alpha",
    "power",
    "margin",
    "traffic",
    "entry",
    "until",
    "visitors_per_week",
    "rate",
    "looks",
    "futility",
)
LOOKS = {"daily": DAILY, "weekly": WEEKLY}
FUTILITY = {one.name.lower(): one for one in Futility}
KNOWN = (*SINGLE, "metric", "format")
PERCENT = "_percent"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to the planner.

    `site` and `experiment` are keys; empty `metrics` mean every metric that can be planned. `weights` are the shares of the
    variants, the control first. None stands for what was not said: the lift to find, the weeks at hand, the margin of
    guardrails without one of their own, the last day of history, how it is looked at, and traffic and rate that override
    the site's own.

    Units: `lift`, `margin`, `traffic` and `rate` are shares (0.1 is 10 %), `alpha` two-sided.
    """

    site: str | None = None
    experiment: str | None = None
    metrics: tuple[str, ...] = ()
    lift: float | None = None
    weeks: int | None = None
    weights: tuple[float, ...] | None = None
    alpha: float = DEFAULT_ALPHA
    power: float = DEFAULT_POWER
    margin: float = DEFAULT_MARGIN
    traffic: float | None = None
    entry: str | None = None
    until: date | None = None
    visitors_per_week: float | None = None
    rate: float | None = None
    look_every_days: int | None = None
    futility: Futility | None = None

    def lift_to_find(self) -> float:
        return DEFAULT_LIFT if self.lift is None else self.lift


def read_ask(given: Mapping[str, Sequence[str]]) -> Ask:
    """Read a question; empty values count as not said. `10%` and `0.1` are the same, and so is `lift_percent=10`.

    Raises: Refused with a code, the value at fault and what to write instead.
    """
    said: dict[str, str] = {}
    metrics: list[str] = []
    for name, values in given.items():
        plain = name.removesuffix(PERCENT)
        if plain not in KNOWN:
            near = difflib.get_close_matches(plain, KNOWN, n=1)
            advice = f"Did you mean '{near[0]}'?" if near else f"Known are {', '.join(KNOWN)}."
            raise Refused("unknown_parameter", f"There is no parameter '{name}'.", advice)
        texts = [value.strip() for value in values if value.strip()]
        if plain == "metric":
            metrics += texts
        elif texts:
            said[plain] = texts[-1] + ("%" if name.endswith(PERCENT) and not texts[-1].endswith("%") else "")
    weeks = _whole(said, "weeks", lowest=1, highest=MOST_WEEKS)
    return Ask(
        site=said.get("site"),
        experiment=said.get("experiment"),
        metrics=tuple(dict.fromkeys(metrics)),
        lift=_share(said, "lift", above=0.0, highest=10.0, example="0.1 or 10%"),
        weeks=weeks,
        weights=_weights(said),
        alpha=_share(said, "alpha", above=0.0, highest=0.2, example="0.05") or DEFAULT_ALPHA,
        power=_share(said, "power", above=0.499, highest=0.99, example="0.8") or DEFAULT_POWER,
        margin=_share(said, "margin", above=0.0, highest=0.9, example="0.1 or 10%") or DEFAULT_MARGIN,
        traffic=_share(said, "traffic", above=0.0, highest=1.0, example="1 or 50%"),
        entry=said.get("entry"),
        until=_day(said),
        visitors_per_week=_number(said, "visitors_per_week", above=0.0, highest=1e9, example="2100"),
        rate=_share(said, "rate", above=0.0, highest=0.9999, example="0.015 or 1.5%"),
        look_every_days=_one_of(said, "looks", LOOKS),
        futility=_one_of(said, "futility", FUTILITY),
    )


def _refused(name: str, text: str, wanted: str, example: str) -> Refused:
    said = name.replace("_", " ")
    return Refused(
        f"{name}_not_allowed", f"The {said} is '{text}'; it must be {wanted}.", f"Write it as {example}, for example."
    )


def _read(name: str, text: str, wanted: str, example: str) -> float:
    try:
        number = float(text.removesuffix("%").strip().replace(",", "."))
    except ValueError as error:
        raise _refused(name, text, wanted, example) from error
    if not math.isfinite(number):
        raise _refused(name, text, wanted, example)
    return number / 100 if text.endswith("%") else number


def _number(said: Mapping[str, str], name: str, *, above: float, highest: float, example: str) -> float | None:
    if name not in said:
        return None
    wanted = f"a number above {above:g} and at most {highest:g}"
    number = _read(name, said[name], wanted, example)
    if not above < number <= highest:
        raise _refused(name, said[name], wanted, example)
    return number


def _share(said: Mapping[str, str], name: str, *, above: float, highest: float, example: str) -> float | None:
    if name not in said:
        return None
    wanted = f"above {above * 100:g} % and at most {highest * 100:g} %"
    number = _read(name, said[name], wanted, example)
    if not above < number <= highest:
        raise _refused(name, said[name], wanted, example)
    return number


def _whole(said: Mapping[str, str], name: str, *, lowest: int, highest: int) -> int | None:
    if name not in said:
        return None
    wanted, example = f"a whole number from {lowest} to {highest}", str(lowest + 3)
    number = _read(name, said[name], wanted, example)
    if number != int(number) or not lowest <= number <= highest:
        raise _refused(name, said[name], wanted, example)
    return int(number)


def _weights(said: Mapping[str, str]) -> tuple[float, ...] | None:
    count = _whole(said, "variants", lowest=2, highest=MOST_VARIANTS)
    if "split" not in said:
        return None if count is None else (1 / count,) * count
    text = said["split"].removesuffix("%")
    wanted, example = (
        f"2 to {MOST_VARIANTS} numbers above 0 with '/' between them, the control first",
        "50/50 or 60/20/20",
    )
    parts = [_read("split", part.strip(), wanted, example) for part in text.split("/")]
    if not 2 <= len(parts) <= MOST_VARIANTS or min(parts) <= 0:
        raise _refused("split", said["split"], wanted, example)
    if count is not None and count != len(parts):
        raise Refused(
            "split_not_allowed",
            f"The split '{said['split']}' has {len(parts)} shares, but {count} variants were asked for.",
            "Give one share per variant, or leave one of the two out.",
        )
    return tuple(part / sum(parts) for part in parts)


def _one_of(said: Mapping[str, str], name: str, known: Mapping[str, Value]) -> Value | None:
    if name not in said:
        return None
    if said[name].lower() not in known:
        raise _refused(name, said[name], f"one of {', '.join(known)}", next(iter(known)))
    return known[said[name].lower()]


def _day(said: Mapping[str, str]) -> date | None:
    if "until" not in said:
        return None
    try:
        return date.fromisoformat(said["until"])
    except ValueError as error:
        raise _refused("until", said["until"], "a day", "2026-03-01") from error
