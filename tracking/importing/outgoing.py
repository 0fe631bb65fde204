"""What a row of a file becomes: events with ids that the same row always gets again."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from tracking.core.events import EXPOSURE, Event

SOURCE = "import"
ID_BYTES = 12  # 96 bits: among 10 million events a collision has a chance below 1 in 10^14


class Outgoing(NamedTuple):
    """An event and the line that it came from."""

    line: int
    event: Event


def event_id(*parts: str, row: bytes = b"") -> str:
    """Return the id that belongs to these parts, and to this row's content, for ever."""
    digest = hashlib.blake2b(row, digest_size=ID_BYTES)
    digest.update("\x1e".join(("", *parts)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def exposure(
    line: int,
    *,
    experiment: str,
    variant: str,
    visitor: str,
    time: int,
    now_us: int,
    context: dict[str, Any] | None = None,
) -> Outgoing:
    """Return the exposure of a visitor to a variant."""
    return Outgoing(
        line,
        Event(
            event_id=event_id("exposure", experiment, variant, visitor, str(time)),
            name=EXPOSURE,
            visitor_id=visitor,
            time=time,
            received=now_us,
            properties={"experiment": experiment, "variant": variant},
            context=context or {},
            source=SOURCE,
        ),
    )
