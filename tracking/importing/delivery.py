"""Events on their way into the intake, in batches; what it refuses is traced back to its line in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tracking.core.events import Event
from tracking.core.intake import Judgement
from tracking.importing.outgoing import Outgoing
from tracking.importing.rejections import Rejection, Rejections

Intake = Callable[[Sequence[Event]], Judgement]


@dataclass(slots=True)
class Delivered:
    """What became of the events so far."""

    accepted: int = 0
    duplicates: int = 0


def deliver(
    events: Iterable[Outgoing], intake: Intake, *, batch: int, rejections: Rejections, delivered: Delivered
) -> None:
    """Hand events to the intake. `delivered` and `rejections` are kept up to date batch by batch."""
    waiting: list[Outgoing] = []
    for outgoing in events:
        waiting.append(outgoing)
        if len(waiting) >= batch:
            _send(waiting, intake, rejections, delivered)
            waiting = []
    if waiting:
        _send(waiting, intake, rejections, delivered)


def _send(waiting: list[Outgoing], intake: Intake, rejections: Rejections, delivered: Delivered) -> None:
    judgement = intake([outgoing.event for outgoing in waiting])
    delivered.accepted += len(judgement.accepted)
    delivered.duplicates += judgement.duplicates
    for refused in judgement.rejected:
        rejections.add(Rejection(waiting[refused.index].line, refused.code, f"{refused.message} {refused.advice}"))
