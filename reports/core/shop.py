"""What is true of a simulated shop: its visitors, its funnel, its experiments and what their variants do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Trait:
    """One kind of device or source: its share of the visitors, and what it does to their chance of every step."""

    name: str
    share: float
    step_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel.

    Units: `rate` is the chance of taking it within a visit, given the step before; `lag_minutes` is the median of the
    log-normal time since the step before, `lag_spread` the standard deviation of its logarithm.
    """

    event: str
    rate: float
    lag_minutes: float = 2.0
    lag_spread: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"Step '{self.event}' has a rate of {self.rate}; a rate lies between 0 and 1.")


@dataclass(frozen=True, slots=True)
class SideAction:
    """Something beside the path. `rates` is its chance within a visit by depth: entry for 0, 1, ... steps taken."""

    event: str
    rates: tuple[float, ...]
    lag_minutes: float = 3.0


@dataclass(frozen=True, slots=True)
class SimulatedVariant:
    """A version and what it does.

    `factors` multiply the chance of an event given the step before (1.0 where not named), so a variant that gains at
    `add_to_cart` and loses at `purchase` is bait-and-switch. `lost_exposures` is the share of its visitors whose exposure
    is never recorded, the mark of a broken split.
    """

    key: str
    weight: float = 0.5
    factors: Mapping[str, float] = field(default_factory=dict)
    value_factor: float = 1.0
    lost_exposures: float = 0.0


@dataclass(frozen=True, slots=True)
class SimulatedExperiment:
    """An experiment that runs from `start_day` up to `end_day` (None: to the last day), counted from the shop's first."""

    key: str
    variants: tuple[SimulatedVariant, ...]
    start_day: float = 0.0
    end_day: float | None = None

    def __post_init__(self) -> None:
        total = sum(v.weight for v in self.variants)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"The weights of '{self.key}' add up to 1, not {total}.")


@dataclass(frozen=True, slots=True)
class Shop:
    """What is true of a shop and its visitors.

    Units: `start` is a midnight in microseconds since 1970 UTC. `weekday_factors` run from Monday and are relative to
    `visitors_per_day`, the mean number of new visitors. After each visit a visitor comes back with chance `return_rate`,
    after an exponential gap of `return_gap_days` on average. An order's value is log-normal with median `value_median`.
    """

    start: int
    days: int
    visitors_per_day: float
    funnel: tuple[Step, ...]
    side_actions: tuple[SideAction, ...] = ()
    experiments: tuple[SimulatedExperiment, ...] = ()
    devices: tuple[Trait, ...] = (Trait("mobile", 1.0),)
    sources: tuple[Trait, ...] = (Trait("direct", 1.0),)
    weekday_factors: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    return_rate: float = 0.0
    return_gap_days: float = 3.0
    value_median: float = 50.0
    value_spread: float = 0.7

    def __post_init__(self) -> None:
        if not self.funnel:
            raise ValueError("A shop needs at least one funnel step.")
        if len(self.weekday_factors) != 7:
            raise ValueError(f"A week has 7 weekday factors, not {len(self.weekday_factors)}.")
        if not 0 <= self.return_rate < 1:
            raise ValueError(f"The return rate is below 1, not {self.return_rate}: visitors would return for ever.")
        for action in self.side_actions:
            if len(action.rates) != len(self.funnel) + 1:
                raise ValueError(f"'{action.event}' needs {len(self.funnel) + 1} rates, one for each depth.")

    @property
    def event_names(self) -> tuple[str, ...]:
        """Names of the funnel steps in order, then of the side actions; `Actions.event` indexes this."""
        return tuple(s.event for s in self.funnel) + tuple(a.event for a in self.side_actions)
