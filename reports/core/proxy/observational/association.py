"""How a micro conversion and the macro conversion go together in a table of four cells; description, never a cause."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reports.core.methods.base import Interval, critical_value
from reports.core.methods.newcombe import newcombe_interval, wilson_interval
from reports.core.methods.score import ratio_limits
from reports.core.statistics import Proportion

# Below this many visitors with the micro conversion a share of them is drawn in grey.
LEAST_CONVERTERS = 20


@dataclass(frozen=True, slots=True)
class Cells:
    """Visitors by whether they did the micro conversion and whether the macro conversion followed."""

    both: int
    micro_only: int
    macro_only: int
    neither: int

    def __post_init__(self) -> None:
        if min(self.both, self.micro_only, self.macro_only, self.neither) < 0:
            raise ValueError(f"No cell can hold fewer than 0 visitors: {self}.")

    @property
    def visitors(self) -> int:
        return self.with_micro.visitors + self.without_micro.visitors

    @property
    def with_micro(self) -> Proportion:
        """Macro conversions among the visitors with the micro conversion."""
        return Proportion(self.both + self.micro_only, self.both)

    @property
    def without_micro(self) -> Proportion:
        return Proportion(self.macro_only + self.neither, self.macro_only)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of visitors with Wilson's interval; `is_thin` when there are too few of them to look at."""

    converted: int
    visitors: int
    value: float
    interval: Interval | None
    is_thin: bool


@dataclass(frozen=True, slots=True)
class Association:
    """How the two go together, before any adjustment.

    `risk_ratio_interval` is Koopman's, `risk_difference_interval` Newcombe's; None where a group is empty. `e_value` is the
    strength (as a risk ratio) that an unknown common cause would need with both to explain the nearer limit away; 1 when
    the interval holds "no association".
    Units: `information_value` and `mutual_information` in nats.
    """

    reach: Share
    with_micro: Share
    without_micro: Share
    risk_ratio: float | None
    risk_ratio_interval: Interval | None
    risk_difference: float | None
    risk_difference_interval: Interval | None
    information_value: float
    mutual_information: float
    e_value: float | None


def associate(cells: Cells, *, alpha: float = 0.05) -> Association:
    """Describe a table of four cells.

    Source: Fagerland, Lydersen & Laake (2015), Statistical Methods in Medical Research 24:224-254, for the intervals;
    VanderWeele & Ding (2017), Annals of Internal Medicine 167:268-274, for the E-value.
    """
    did, did_not = cells.with_micro, cells.without_micro
    ratio = difference = None
    ratio_interval = difference_interval = None
    if did.visitors and did_not.visitors:
        difference = did.value - did_not.value
        difference_interval = newcombe_interval(
            did.converted, did.visitors, did_not.converted, did_not.visitors, critical=critical_value(alpha)
        )
        low, high = ratio_limits(
            did.converted, did.visitors, did_not.converted, did_not.visitors, critical=critical_value(alpha)
        )
        ratio_interval = Interval(float(low), float(high))
        ratio = did.value / did_not.value if did_not.converted else None
    return Association(
        reach=_share(did.visitors, cells.visitors, cells.visitors, alpha),
        with_micro=_share(did.converted, did.visitors, did.visitors, alpha),
        without_micro=_share(did_not.converted, did_not.visitors, did_not.visitors, alpha),
        risk_ratio=ratio,
        risk_ratio_interval=ratio_interval,
        risk_difference=difference,
        risk_difference_interval=difference_interval,
        information_value=_information_value(cells),
        mutual_information=_mutual_information(cells),
        e_value=_e_value(ratio_interval),
    )


def _share(converted: int, visitors: int, base: int, alpha: float) -> Share:
    if not visitors:
        return Share(0, 0, math.nan, None, is_thin=True)
    interval = wilson_interval(converted, visitors, critical=critical_value(alpha))
    return Share(converted, visitors, converted / visitors, interval, is_thin=base < LEAST_CONVERTERS)


def _information_value(cells: Cells) -> float:
    """Return the weight of evidence that the micro conversion carries, half a visitor added to each cell.

    Source: Siddiqi (2006), Credit Risk Scorecards, chapter 6.
    """
    buyers = (cells.both + 0.5, cells.macro_only + 0.5)
    others = (cells.micro_only + 0.5, cells.neither + 0.5)
    total = 0.0
    for buyer, other in zip(buyers, others, strict=True):
        share_of_buyers, share_of_others = buyer / sum(buyers), other / sum(others)
        total += (share_of_buyers - share_of_others) * math.log(share_of_buyers / share_of_others)
    return total


def _mutual_information(cells: Cells) -> float:
    """Return the mutual information, corrected for the bias of counting (Miller 1955), and never below 0.

    Miller and Madow add (used cells - 1) / 2N to each entropy, so mutual information changes by
    (rows + columns - cells - 1) / 2N.
    """
    visitors = cells.visitors
    if not visitors:
        return 0.0
    table = ((cells.both, cells.micro_only), (cells.macro_only, cells.neither))
    rows = [sum(row) for row in table]
    columns = [sum(column) for column in zip(*table, strict=True)]
    plain = sum(
        count / visitors * math.log(count * visitors / (rows[i] * columns[j]))
        for i, row in enumerate(table)
        for j, count in enumerate(row)
        if count
    )
    used = [sum(1 for count in counts if count) for counts in (rows, columns, [c for row in table for c in row])]
    return max(plain + (used[0] + used[1] - used[2] - 1) / (2 * visitors), 0.0)


def _e_value(limits: Interval | None) -> float | None:
    if limits is None:
        return None
    if limits.low <= 1 <= limits.high:
        return 1.0
    nearer = limits.low if limits.low > 1 else 1 / limits.high if limits.high > 0 else math.inf
    return nearer + math.sqrt(nearer * (nearer - 1)) if math.isfinite(nearer) else math.inf
