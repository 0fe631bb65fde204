"""Playing the shop's weeks: visitors come, get their variants from the published ruleset, and send events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from experiments.core.assign import assign
from experiments.models import Experiment
from experiments.selectors import live
from experiments.services import start_experiment, stop_experiment
from reports.core.shop import Shop, SimulatedExperiment
from reports.core.simulate import MICROSECONDS_PER_DAY, NOT_IN, Arrivals, IntArray, arrive, behave, meet, record
from tracking.core.events import EXPOSURE
from tracking.services import ingest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BATCH = 1_000  # what one request may hold
PAGE_VIEW = "page_view"
STOPPED_BECAUSE = "The planned four weeks are over."


@dataclass(frozen=True, slots=True)
class Moment:
    """An experiment starts or stops. Units: `time` in microseconds since 1970 UTC."""

    time: int
    experiment: SimulatedExperiment
    is_start: bool


def play(
    shop: Shop,
    site: str,
    experiments: dict[str, Experiment],
    *,
    now_us: int,
    rng: np.random.Generator,
    progress: Callable[[int], object],
) -> int:
    """Play everything up to `now_us` through assignment and intake; return how many events were accepted.

    The experiments start and stop at their times, each visitor is assigned by the ruleset that was published when he
    came, and batches of events arrive in the order in which they happened. `progress` is told of each batch.
    """
    arrivals = arrive(shop, rng)
    variants = _assign_all(shop, site, experiments, arrivals, now_us)
    accepted = 0
    for batch in _batches(_events(shop, arrivals, variants, now_us, rng)):
        arrived = min(batch[-1][0] + 1_000_000, now_us)
        judgement = ingest(
            site=site,
            events=[msgspec.Raw(msgspec.json.encode(event)) for _, event in batch],
            now_us=arrived,
            source="demo",
        )
        accepted += len(judgement.accepted)
        progress(len(batch))
    return accepted


def _moments(shop: Shop, now_us: int) -> list[Moment]:
    moments = []
    for experiment in shop.experiments:
        moments.append(Moment(_at(shop, experiment.start_day), experiment, is_start=True))
        if experiment.end_day is not None:
            moments.append(Moment(_at(shop, experiment.end_day), experiment, is_start=False))
    return sorted((m for m in moments if m.time <= now_us), key=lambda m: m.time)


def _at(shop: Shop, day: float) -> int:
    return shop.start + round(day * MICROSECONDS_PER_DAY)


def _assign_all(
    shop: Shop, site: str, experiments: dict[str, Experiment], arrivals: Arrivals, now_us: int
) -> dict[str, IntArray]:
    """Go through the starts and stops in time; between two of them assign whoever meets an experiment for the first time."""
    variants = {e.key: np.full(arrivals.visitors, NOT_IN, dtype=np.int64) for e in shop.experiments}
    moments = _moments(shop, now_us)
    for index, moment in enumerate(moments):
        _happen(moment, experiments[moment.experiment.key])
        until = moments[index + 1].time if index + 1 < len(moments) else now_us
        _assign_between(shop, site, arrivals, variants, moment.time, until)
    return variants


def _happen(moment: Moment, experiment: Experiment) -> None:
    when = EPOCH + timedelta(microseconds=moment.time)
    if moment.is_start:
        # A salt of its own and yet always the same: the demo deals the same visitors the same variants everywhere.
        start_experiment(experiment=experiment, now=when, salt=f"demo-{experiment.key}")
    else:
        stop_experiment(experiment=experiment, reason=STOPPED_BECAUSE, now=when)


def _assign_between(
    shop: Shop, site: str, arrivals: Arrivals, variants: dict[str, IntArray], since: int, until: int
) -> None:
    ruleset = live.ruleset(site)
    if ruleset is None:
        raise RuntimeError(f"Site '{site}' has published no ruleset, so its visitors cannot be assigned.")
    first, last = np.searchsorted(arrivals.visit_time, [since, until])
    index_of = {e.key: {v.key: i for i, v in enumerate(e.variants)} for e in shop.experiments}
    for visitor in np.unique(arrivals.visit_visitor[first:last]).tolist():
        attributes = _context(shop, arrivals, visitor)
        for key, answer in assign(ruleset, visitor_id(visitor), attributes).items():
            if answer.in_experiment and answer.variant is not None:
                variants[key][visitor] = index_of[key][answer.variant]


def visitor_id(index: int) -> str:
    return f"visitor-{index:06d}"


def _context(shop: Shop, arrivals: Arrivals, visitor: int) -> dict[str, Any]:
    return {
        "device": shop.devices[arrivals.device[visitor]].name,
        "source": shop.sources[arrivals.source[visitor]].name,
    }


def _events(
    shop: Shop, arrivals: Arrivals, variants: dict[str, IntArray], now_us: int, rng: np.random.Generator
) -> list[tuple[int, dict[str, Any]]]:
    """Return every event with its time, in order: page views, exposures and what visitors did."""
    actions = behave(shop, arrivals, variants, rng)
    contexts = [_context(shop, arrivals, visitor) for visitor in range(arrivals.visitors)]
    found: list[tuple[int, dict[str, Any]]] = []

    def add(visitor: int, time: int, name: str, session: str, **more: Any) -> None:
        # An id of its own, so that a lost answer could be sent again; here it also makes the events the same everywhere.
        event = {
            "event_id": f"{session}-{name}",
            "name": name,
            "visitor_id": visitor_id(visitor),
            "session_id": session,
        }
        found.append((time, {**event, "timestamp": time / 1_000_000, "context": contexts[visitor], **more}))

    for visit, (visitor, time) in enumerate(
        zip(arrivals.visit_visitor.tolist(), arrivals.visit_time.tolist(), strict=True)
    ):
        add(visitor, time, PAGE_VIEW, _session(visit))
    for experiment in shop.experiments:
        meetings = meet(shop, arrivals, experiment)
        kept = record(experiment, meetings, variants[experiment.key], rng)
        for visitor, time in zip(meetings.visitor[kept].tolist(), meetings.time[kept].tolist(), strict=True):
            variant = experiment.variants[variants[experiment.key][visitor]].key
            properties = {"experiment": experiment.key, "variant": variant}
            add(visitor, time, EXPOSURE, f"{visitor_id(visitor)}-{experiment.key}", properties=properties)
    names = shop.event_names
    for visitor, visit, event, time, value in zip(
        *(column.tolist() for column in (actions.visitor, actions.visit, actions.event, actions.time, actions.value)),
        strict=True,
    ):
        amount = {} if value != value else {"value": value}
        add(visitor, time, names[event], _session(visit), **amount)
    found.sort(key=lambda pair: pair[0])
    return [pair for pair in found if pair[0] <= now_us]


def _session(visit: int) -> str:
    return f"visit-{visit:06d}"


def _batches(events: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[Sequence[tuple[int, dict[str, Any]]]]:
    for start in range(0, len(events), BATCH):
        yield events[start : start + BATCH]
