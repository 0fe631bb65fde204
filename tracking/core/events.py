"""The event: something a visitor did, as it was accepted."""

from __future__ import annotations

from typing import Any

import msgspec

ROBOT = "robot:"  # what the source of an event begins with when its sender called itself a robot
EXPOSURE = "$exposure"
ALIAS = "$alias"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One accepted event.

    Units: `time` (when it happened, after clock-skew correction) and `received` (when it arrived) in microseconds since
    1970 UTC. An exposure is an event named `$exposure` with `experiment` and `variant` properties; `$alias` with property
    `alias` joins the identity named there to `visitor_id`. `source` names the door it came through, such as `native`.
    """

    event_id: str
    name: str
    visitor_id: str
    time: int
    received: int
    session_id: str = ""
    value: float | None = None
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}
    source: str = ""
