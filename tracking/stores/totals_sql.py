"""The questions of an analysis as SQL: who was exposed to what first, and what each of them did after (or before)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import MOST_DAYS, Aggregate, Column, Comparator, PropertyTest
from tracking.core.events import ALIAS, EXPOSURE, ROBOT
from tracking.core.identity import Identities
from tracking.core.timestamps import DAY_US, HOUR_US, MINUTE_US, hours_to_us
from tracking.core.totals import ROBOT_EVENTS_A_MINUTE, TotalsRequest, TraitValues, VisitorTotals
from tracking.stores.duck import scalar, text
from tracking.stores.snapshot import Snapshot

# Time and variant packed into one integer: its minimum is the first exposure, ties by the smallest variant key.
PACK = 128
_NUMBERS = "('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE', 'DECIMAL')"
_ORDER = {
    Comparator.GREATER: ">",
    Comparator.AT_LEAST: ">=",
    Comparator.LESS: "<",
    Comparator.AT_MOST: "<=",
}


@dataclass(frozen=True, slots=True)
class Exposed:
    """The table `exposed` of a request, one row per visitor.

    `packed` is empty for those who saw no planned variant. `own` is the one identity that met the variant first. `by_id`
    tells that identities are visitor ids, because two exposed visitors share a hash.
    """

    snapshot: Snapshot
    request: TotalsRequest
    identities: Identities
    by_id: bool
    robots: Mapping[str, int] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """The column of an event that `own` is compared with."""
        return identity_column(by_id=self.by_id)

    def events(self, *, from_time: int | None, to_time: int | None) -> str:
        return self.snapshot.keyed_events(self.identities, by_id=self.by_id, from_time=from_time, to_time=to_time)

    def exposures(self) -> str:
        """Return the SELECT of all exposures that count: key, visitor, visitor_id, variant, time; `rank` if planned."""
        request = self.request
        last = request.as_of if request.until is None else min(request.as_of, request.until - 1)
        since = "" if request.since is None else f"AND time >= {request.since}"
        ranks = " ".join(f"WHEN {text(key)} THEN {rank}" for rank, key in enumerate(sorted(request.variants)))
        rank = f"CASE variant {ranks} END" if ranks else "NULL::INTEGER"
        return (
            f"(SELECT key, visitor, visitor_id, variant, time, {rank} AS rank "
            f"FROM {self.events(from_time=request.since, to_time=last)} "
            f"WHERE name = {text(EXPOSURE)} AND experiment = {text(request.experiment)} AND time <= {last} {since})"
        )

    def variants_of(self, packed: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the place in the request's variants of each packed first exposure."""
        order = {key: index for index, key in enumerate(self.request.variants)}
        by_rank = np.array([order[key] for key in sorted(self.request.variants)], dtype=np.int8)
        return by_rank[packed % PACK] if len(by_rank) else np.empty(0, np.int8)


def identity_column(*, by_id: bool) -> str:
    return "visitor_id" if by_id else "visitor"


def find_exposed(snapshot: Snapshot, request: TotalsRequest) -> Exposed:
    """Fill the table `exposed`.

    Raises: ValueError for a plan with more variants than can be packed.
    """
    if len(request.variants) > PACK - 1:
        raise ValueError(f"A plan has at most {PACK - 1} variants, not {len(request.variants)}.")
    identities = snapshot.identities(as_of=request.as_of)
    exposed = Exposed(snapshot, request, identities, by_id=False)
    if _has_collision(exposed):
        exposed = Exposed(snapshot, request, identities, by_id=True)
    snapshot.db.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE exposed AS
        SELECT * EXCLUDE (met), met.packed AS packed, met.own AS own, met.packed // {PACK} AS first FROM (
            SELECT key, max(time) FILTER (rank IS NOT NULL) AS last,
                min({{'packed': time * {PACK} + rank, 'id': visitor_id, 'own': {exposed.identity}}})
                    FILTER (rank IS NOT NULL) AS met,
                coalesce(min(rank) <> max(rank), false) AS in_several, bool_or(rank IS NULL) AS is_conflicting
            FROM {exposed.exposures()} GROUP BY key
        )
        """
    )
    return replace(exposed, robots=_take_robots_out(exposed))


def _take_robots_out(exposed: Exposed) -> dict[str, int]:
    """Find the exposed visitors that are taken for robots, take them out unless they are wanted, and return how many by variant."""
    db, request = exposed.snapshot.db, exposed.request
    db.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE robots AS SELECT DISTINCT key FROM (
            SELECT key, count(*) AS events, bool_or(starts_with(source, {text(ROBOT)})) AS says_so
            FROM {exposed.events(from_time=None, to_time=request.as_of)}
            WHERE time <= {request.as_of} AND key IN (SELECT key FROM exposed)
            GROUP BY key, time // {MINUTE_US}
        ) WHERE says_so OR events > {ROBOT_EVENTS_A_MINUTE}
        """
    )
    packed = db.execute("SELECT packed FROM exposed WHERE packed IS NOT NULL AND key IN (SELECT key FROM robots)")
    variants = exposed.variants_of(np.asarray(packed.fetchnumpy()["packed"], dtype=np.int64))
    counts = np.bincount(variants.astype(np.int64), minlength=len(request.variants))
    if not request.with_robots:
        db.execute("DELETE FROM exposed WHERE key IN (SELECT key FROM robots)")
    return {key: int(count) for key, count in zip(request.variants, counts, strict=True) if count}


def _has_collision(exposed: Exposed) -> bool:
    """Tell whether two exposed visitors have one hash: with a million of them, once in 37 million analyses."""
    shared = f"SELECT visitor FROM {exposed.exposures()} GROUP BY visitor HAVING min(visitor_id) <> max(visitor_id)"
    return bool(scalar(exposed.snapshot.db, f"SELECT count(*) FROM ({shared})"))


def visitor_totals(snapshot: Snapshot, request: TotalsRequest) -> VisitorTotals:
    exposed = find_exposed(snapshot, request)
    query, parameters = columns_query(
        snapshot.db,
        request.columns,
        as_of=request.as_of,
        identity=exposed.identity,
        events=lambda from_time, to_time: exposed.events(from_time=from_time, to_time=to_time),
    )
    if request.traits or request.lookback_hours:
        query = f"SELECT m.*, b.* EXCLUDE (key) FROM ({query}) m LEFT JOIN {_before(exposed)} b ON b.key = m.key"
    rows: dict[str, NDArray[Any]] = snapshot.db.execute(query, parameters).fetchnumpy()
    return VisitorTotals(
        variants=request.variants,
        variant=exposed.variants_of(np.asarray(rows["packed"], dtype=np.int64)),
        first_exposure=np.asarray(rows["packed"], dtype=np.int64) // PACK,
        columns={
            column.name: np.asarray(rows[f"c{number}"], dtype=np.float64)
            for number, column in enumerate(request.columns)
        },
        traits={key: _coded(rows[f"trait{number}"]) for number, key in enumerate(request.traits)},
        seen_before=np.ma.filled(rows["seen_before"], False).astype(np.bool_) if request.lookback_hours else None,
    )


def _before(exposed: Exposed) -> str:
    """Return the SELECT of what was known of each visitor at the first exposure: `seen_before`, and the traits by number."""
    request = exposed.request
    reach = hours_to_us(request.lookback_hours)
    first, last = exposed.snapshot.db.execute("SELECT min(first), max(first) FROM exposed").fetchone() or (None, None)
    begin, end = (0, 0) if first is None else (max(first - reach, 0), last)
    texts = [f"json_extract(context, {text(_pointer(key))})" for key in request.traits]
    found = [
        f"arg_max(trait{n}, (time, trait{n})) FILTER (trait{n} <> '') AS trait{n}" for n in range(len(request.traits))
    ]
    traits = [
        f"CASE WHEN json_type({value}) = 'VARCHAR' THEN json_extract_string({value}, '$') ELSE '' END AS trait{n}"
        for n, value in enumerate(texts)
    ]
    return f"""(
        SELECT key, {", ".join([*found, "bool_or(time < first) AS seen_before"])}
        FROM (
            SELECT {", ".join(["e.key", "e.time", "x.first", *traits])}
            FROM {exposed.events(from_time=begin, to_time=end)} e JOIN exposed x ON e.key = x.key
            WHERE e.name <> {text(ALIAS)} AND e.time BETWEEN x.first - {reach} AND x.first
                AND (e.time = x.first OR e.{exposed.identity} = x.own)
        ) GROUP BY key
    )"""


def _coded(values: NDArray[Any]) -> TraitValues:
    # Plain texts in a dict: an array of texts would cut off a NUL at their end.
    texts = np.ma.filled(values, "").tolist()
    labels = tuple(sorted(set(texts) - {""}))
    place = {label: code for code, label in enumerate(labels)}
    return TraitValues(labels, np.fromiter((place.get(one, -1) for one in texts), dtype=np.int32, count=len(texts)))


def columns_query(
    db: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    *,
    as_of: int,
    identity: str,
    events: Callable[[int, int], str],
) -> tuple[str, list[Any]]:
    """Return the question for the columns `c0`, `c1`... of each row of the table `exposed`, and its parameters.

    `events` gives the keyed events between two times, both included; `exposed` has key, first and packed, and `own`, to be
    compared with the event's column `identity`.
    """
    if not columns:
        return "SELECT key, packed FROM exposed WHERE packed IS NOT NULL", []
    parameters: list[Any] = []
    inner = [_aggregate(column, f"c{number}", parameters) for number, column in enumerate(columns)]
    outer = [f"coalesce(t.c{number}, {_empty(column)})::DOUBLE AS c{number}" for number, column in enumerate(columns)]
    earliest = min(hours_to_us(column.start_hours) for column in columns)
    first = scalar(db, "SELECT min(first) FROM exposed")
    from_time = 0 if first is None else max(first + earliest, 0)
    names = ", ".join(sorted({text(column.event) for column in columns}))
    # What an identity did before is the visitor's only if it was the one exposed: a link may be a result of the treatment.
    is_theirs = f"AND (e.time >= x.first OR e.{identity} = x.own)" if earliest < 0 else ""
    query = f"""
        SELECT x.key, x.packed, {", ".join(outer)}
        FROM exposed x LEFT JOIN (
            SELECT key, {", ".join(inner)}
            FROM (
                SELECT e.key, e.name, e.value, e.properties, e.time - x.first AS after
                FROM {events(from_time, as_of)} e JOIN exposed x ON e.key = x.key
                WHERE e.name IN ({names}) AND e.time BETWEEN {from_time} AND {as_of} AND e.time - x.first >= {earliest}
                    {is_theirs}
            ) GROUP BY key
        ) t ON t.key = x.key
        WHERE x.packed IS NOT NULL
    """
    return query, parameters


def _empty(column: Column) -> str:
    return "'nan'::DOUBLE" if column.aggregate is Aggregate.FIRST_HOURS else "0"


def _aggregate(column: Column, name: str, parameters: list[Any]) -> str:
    # Parameters are bound by place, so the amount's must be collected before the condition's.
    if column.aggregate is Aggregate.SUM:
        amount = "value" if column.value_property is None else _number(column.value_property, parameters)
        return f"fsum({amount}) FILTER ({_condition(column, parameters)}) AS {name}"
    if column.aggregate is Aggregate.COUNT:
        return f"count(*) FILTER ({_condition(column, parameters)}) AS {name}"
    if column.aggregate is Aggregate.DAYS:
        # The place is kept in range for all rows, also those that the condition leaves out.
        day = f"(after - {hours_to_us(column.start_hours)}) // {DAY_US}"
        place = f"least(greatest({day}, 0), {MOST_DAYS})"
        return (
            f"bit_or(1::BIGINT << {place}) FILTER ({_condition(column, parameters)} AND {day} < {MOST_DAYS}) AS {name}"
        )
    return f"min(after) FILTER ({_condition(column, parameters)}) / {float(HOUR_US)} AS {name}"


def _condition(column: Column, parameters: list[Any]) -> str:
    tests = [f"name = {text(column.event)}", f"after >= {hours_to_us(column.start_hours)}"]
    if column.end_hours is not None:
        tests.append(f"after < {hours_to_us(column.end_hours)}")
    return " AND ".join([*tests, *(_test(test, parameters) for test in column.where)])


def _test(test: PropertyTest, parameters: list[Any]) -> str:
    """Return the condition in SQL; it is true or false, never NULL, so that its negation is what it says."""
    if test.comparator in _ORDER:
        if isinstance(test.value, bool | str):
            return "false"
        number = _number(test.name, parameters)
        parameters.append(float(test.value))
        return f"coalesce({number} {_ORDER[test.comparator]} ?, false)"
    if isinstance(test.value, bool):
        parameters.extend([_pointer(test.name), "true" if test.value else "false"])
        equal = "coalesce(json_extract(properties, ?)::VARCHAR = ?, false)"
    elif isinstance(test.value, str):
        parameters.extend([_pointer(test.name), _pointer(test.name), test.value])
        equal = "coalesce(json_type(properties, ?) = 'VARCHAR' AND json_extract_string(properties, ?) = ?, false)"
    else:
        number = _number(test.name, parameters)
        parameters.append(float(test.value))
        equal = f"coalesce({number} = ?, false)"
    return f"NOT {equal}" if test.comparator is Comparator.NOT_EQUALS else equal


def _number(name: str, parameters: list[Any]) -> str:
    parameters.extend([_pointer(name), _pointer(name)])
    return f"CASE WHEN json_type(properties, ?) IN {_NUMBERS} THEN json_extract(properties, ?)::DOUBLE END"


def _pointer(name: str) -> str:
    """Return a property's name as a JSON pointer, which can name every property."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
