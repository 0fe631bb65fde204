"""A site's own past as SQL: when each visitor was first seen in a period, and what each of them did from then on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracking.core.events import ALIAS
from tracking.core.history import HistoryRequest, VisitorHistory
from tracking.core.identity import Identities
from tracking.stores.duck import scalar, text
from tracking.stores.snapshot import Snapshot
from tracking.stores.totals_sql import columns_query, identity_column


def visitor_history(snapshot: Snapshot, request: HistoryRequest) -> VisitorHistory:
    identities = snapshot.identities(as_of=request.as_of)
    by_id = _has_collision(snapshot, request)
    identity = identity_column(by_id=by_id)
    first = _seen(snapshot, request, identities, by_id=by_id)
    snapshot.db.execute(
        f"CREATE OR REPLACE TEMP TABLE exposed AS SELECT key, seen.time AS first, first AS packed, seen.own AS own FROM "
        f"(SELECT key, min({{'time': time, 'id': visitor_id, 'own': {identity}}}) AS seen FROM {first} GROUP BY key)"
    )

    def events(from_time: int, to_time: int) -> str:
        return snapshot.keyed_events(identities, by_id=by_id, from_time=from_time, to_time=to_time)

    query, parameters = columns_query(
        snapshot.db, request.columns, as_of=request.as_of, identity=identity, events=events
    )
    rows: dict[str, NDArray[Any]] = snapshot.db.execute(query, parameters).fetchnumpy()
    return VisitorHistory(
        first_seen=np.asarray(rows["packed"], dtype=np.int64),
        columns={
            column.name: np.asarray(rows[f"c{number}"], dtype=np.float64)
            for number, column in enumerate(request.columns)
        },
    )


def _bounds(request: HistoryRequest) -> tuple[int, int]:
    return request.since, min(request.until - 1, request.as_of)


def _visits(request: HistoryRequest) -> str:
    since, last = _bounds(request)
    name = f"name <> {text(ALIAS)}" if request.entry is None else f"name = {text(request.entry)}"
    return f"{name} AND time BETWEEN {since} AND {last}"


def _seen(snapshot: Snapshot, request: HistoryRequest, identities: Identities, *, by_id: bool) -> str:
    since, last = _bounds(request)
    events = snapshot.keyed_events(identities, by_id=by_id, from_time=since, to_time=last)
    return f"(SELECT key, time, visitor, visitor_id FROM {events} WHERE {_visits(request)})"


def _has_collision(snapshot: Snapshot, request: HistoryRequest) -> bool:
    since, last = _bounds(request)
    events = snapshot.events(from_time=since, to_time=last)
    shared = f"SELECT visitor FROM {events} WHERE {_visits(request)} GROUP BY visitor HAVING min(visitor_id) <> max(visitor_id)"
    return bool(scalar(snapshot.db, f"SELECT count(*) FROM ({shared})"))
