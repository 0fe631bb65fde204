"""What was known of a visitor before the first exposure and may explain why some do more than others, whatever they see."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from experiments.core.metrics import Aggregate, Column

LOOKBACK_DAYS = 28
LOOKBACK_HOURS = LOOKBACK_DAYS * 24.0


class CovariateKind(StrEnum):
    """ACTIVITY: how often an event happened in the 28 days before. RETURNING: whether there was any event in that time.
    TRAIT: a text of the events' context, such as the device. WEEKDAY: that of the first exposure, on the site's clock."""

    ACTIVITY = "activity"
    RETURNING = "returning"
    TRAIT = "trait"
    WEEKDAY = "weekday"


_NEEDS_NAME = {CovariateKind.ACTIVITY, CovariateKind.TRAIT}


@dataclass(frozen=True, slots=True)
class Covariate:
    """One thing known beforehand; `name` is the event of an activity or the key of a trait, empty otherwise."""

    kind: CovariateKind
    name: str = ""

    def __post_init__(self) -> None:
        if (self.kind in _NEEDS_NAME) != bool(self.name):
            needs = "needs the name of an event or a trait" if self.kind in _NEEDS_NAME else "has no name"
            raise ValueError(f"A covariate of kind '{self.kind.value}' {needs}, not {self.name!r}.")

    @property
    def text(self) -> str:
        """The covariate as people write it: `returning`, `activity view_item`, `trait device`."""
        return f"{self.kind.value} {self.name}".strip()

    @property
    def column(self) -> Column | None:
        """The number that the event store must compute, for an activity."""
        if self.kind is not CovariateKind.ACTIVITY:
            return None
        return Column(f"before.{self.name}", self.name, Aggregate.COUNT, start_hours=-LOOKBACK_HOURS, end_hours=0.0)


def covariate_from_text(text: str) -> Covariate:
    """Read a covariate as people write it.

    Raises: ValueError with a sentence that says what is allowed.
    """
    kind, _, name = text.strip().partition(" ")
    if kind not in list(CovariateKind):
        raise ValueError(
            f"'{text}' is no covariate: write 'returning', 'weekday', 'activity EVENT' (such as 'activity view_item') or "
            "'trait KEY' (such as 'trait device')."
        )
    return Covariate(CovariateKind(kind), name.strip())


def covariates_from_texts(texts: list[str]) -> tuple[Covariate, ...]:
    """Read covariates, each once. Raises: ValueError as `covariate_from_text` does."""
    return tuple(dict.fromkeys(covariate_from_text(text) for text in texts))
