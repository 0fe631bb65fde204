"""The shared axis of a table's intervals: where a lift lands between the left and the right edge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.sections.numbers import MINUS, NARROW

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
WIDEST = (
    3.0  # a single interval this many times wider than the usual one is cut, with an arrow, so the others stay readable
)
SMALLEST = 0.001  # an axis never shows less than 0.1 % to either side: nobody decides by less
ROOM = 0.25  # of the widest reach
MARGIN = 4.0  # per cent of the width kept free at both edges


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on the axis. Units: `at` in per cent of the width."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis from `low` to `high`, zero always inside. Units: lifts (0.1 is +10 %)."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def __post_init__(self) -> None:
        if not self.low < 0 < self.high:
            raise ValueError(f"A scale holds zero inside, not {self.low} to {self.high}.")

    def at(self, value: float) -> float:
        """Return the place of a lift in per cent of the width, held inside the edges."""
        inside = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(MARGIN + inside * (100 - 2 * MARGIN), 3)

    def cuts_low(self, value: float | None) -> bool:
        """Say whether an interval's lower end lies outside the axis; None is an end that does not exist."""
        return value is None or value < self.low

    def cuts_high(self, value: float | None) -> bool:
        """Say whether an interval's upper end lies outside the axis; None is an end that does not exist."""
        return value is None or value > self.high


def scale_for(
    intervals: Iterable[tuple[float | None, float | None, float | None]], *, also: Sequence[float] = ()
) -> Scale:
    """Return one axis for (low, estimate, high) triples that shows every estimate and all usual intervals whole.

    `also` names further places that must be inside, such as margins.
    """
    triples = list(intervals)
    estimates = [abs(e) for _, e, _ in triples if e is not None and math.isfinite(e)]
    reaches = sorted(
        max(abs(end) for end in (low, high) if end is not None and math.isfinite(end))
        for low, _, high in triples
        if any(end is not None and math.isfinite(end) for end in (low, high))
    )
    if not reaches and not estimates:
        reach = max([0.1, *(1.25 * abs(place) for place in also)])
        return _scale(-reach, reach)
    usual = reaches[len(reaches) // 2] if reaches else max(estimates)
    limit = max(usual * WIDEST, *(estimates or [0.0]))
    ends = [end for low, _, high in triples for end in (low, high) if end is not None and math.isfinite(end)]
    values = [min(max(v, -limit), limit) for v in [*ends, *(e for _, e, _ in triples if e is not None)]]
    span = max(SMALLEST, *map(abs, values))
    # Room for the arrow beyond an estimate whose interval has no end on that side.
    values += [e + ROOM * span for _, e, end in triples if e is not None and (end is None or end > limit)]
    values += [e - ROOM * span for end, e, _ in triples if e is not None and (end is None or end < -limit)]
    low = min([*values, *also, -0.15 * span])
    high = max([*values, *also, 0.15 * span])
    return _scale(low, high)


def _scale(low: float, high: float) -> Scale:
    step = _step((high - low) / 4)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    scale = Scale(low, high, ())
    ticks = tuple(Tick(scale.at(n * step), _label(n * step)) for n in range(first, last + 1))
    return Scale(low, high, ticks)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * s for s in STEPS if power * s >= rough * 0.999)


def _label(value: float) -> str:
    percent = round(value * 100, 6)
    if percent == 0:
        return "0"
    return f"{MINUS if percent < 0 else '+'}{abs(percent):g}{NARROW}%"
