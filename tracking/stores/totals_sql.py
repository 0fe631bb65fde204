"""The questions of an analysis as SQL: who was exposed to what first, and what each of them did after (or before)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.core.metrics import Aggregate, Column, Comparator, PropertyTest
from tracking.core.events import EXPOSURE
from tracking.core.identity import Identities
from tracking.core.timestamps import HOUR_US, hours_to_us
from tracking.core.totals import TotalsRequest, VisitorTotals
from tracking.stores.duck import text
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


def exposures_sql(snapshot: Snapshot, request: TotalsRequest, identities: Identities) -> str:
    """Return the SELECT of the request's exposures: key, visitor_id, variant, time, and `rank` when it is a planned one."""
    if len(request.variants) > PACK - 1:
        raise ValueError(f"A plan has at most {PACK - 1} variants, not {len(request.variants)}.")
    last = request.as_of if request.until is None else min(request.as_of, request.until - 1)
    events = snapshot.keyed_events(identities, from_time=request.since, to_time=last)
    since = "" if request.since is None else f"AND time >= {request.since}"
    ranks = " ".join(f"WHEN {text(key)} THEN {rank}" for rank, key in enumerate(sorted(request.variants)))
    rank = f"CASE variant {ranks} END" if ranks else "NULL::INTEGER"
    return (
        f"(SELECT key, visitor_id, variant, time, {rank} AS rank FROM {events} "
        f"WHERE name = {text(EXPOSURE)} AND experiment = {text(request.experiment)} AND time <= {last} {since})"
    )


def create_exposed(snapshot: Snapshot, request: TotalsRequest, identities: Identities) -> None:
    """Fill the table `exposed`, one row per visitor; `packed` is empty for those who saw no planned variant."""
    snapshot.db.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE exposed AS
        SELECT *, packed // {PACK} AS first FROM (
            SELECT key, min(time * {PACK} + rank) AS packed, max(time) FILTER (rank IS NOT NULL) AS last,
                coalesce(min(rank) <> max(rank), false) AS in_several, bool_or(rank IS NULL) AS is_conflicting
            FROM {exposures_sql(snapshot, request, identities)} GROUP BY key
        )
        """
    )


def visitor_totals(snapshot: Snapshot, request: TotalsRequest) -> VisitorTotals:
    identities = snapshot.identities(as_of=request.as_of)
    create_exposed(snapshot, request, identities)
    query, parameters = _totals_sql(snapshot, request, identities)
    rows: dict[str, NDArray[Any]] = snapshot.db.execute(query, parameters).fetchnumpy()
    order = {key: index for index, key in enumerate(request.variants)}
    by_rank = np.array([order[key] for key in sorted(request.variants)], dtype=np.int8)
    return VisitorTotals(
        variants=request.variants,
        variant=by_rank[np.asarray(rows["rank"], dtype=np.int64)] if request.variants else np.empty(0, np.int8),
        first_exposure=np.asarray(rows["first"], dtype=np.int64),
        columns={
            column.name: np.asarray(rows[f"c{number}"], dtype=np.float64)
            for number, column in enumerate(request.columns)
        },
    )


def _totals_sql(snapshot: Snapshot, request: TotalsRequest, identities: Identities) -> tuple[str, list[Any]]:
    head = f"SELECT x.packed % {PACK} AS rank, x.first AS first"
    if not request.columns:
        return f"{head} FROM exposed x WHERE x.packed IS NOT NULL", []
    columns = request.columns
    parameters: list[Any] = []
    inner = [_aggregate(column, f"c{number}", parameters) for number, column in enumerate(columns)]
    outer = [f"coalesce(t.c{number}, {_empty(column)})::DOUBLE AS c{number}" for number, column in enumerate(columns)]
    earliest = min(hours_to_us(column.start_hours) for column in columns)
    first = snapshot.db.execute("SELECT min(first) FROM exposed").fetchone()
    from_time = first[0] + earliest if first and first[0] is not None else None
    events = snapshot.keyed_events(identities, from_time=from_time, to_time=request.as_of)
    names = ", ".join(sorted({text(column.event) for column in columns}))
    since = "" if from_time is None else f"AND e.time >= {from_time}"
    query = f"""
        {head}, {", ".join(outer)}
        FROM exposed x LEFT JOIN (
            SELECT key, {", ".join(inner)}
            FROM (
                SELECT e.key, e.name, e.value, e.properties, e.time - x.first AS after
                FROM {events} e JOIN exposed x ON e.key = x.key
                WHERE x.packed IS NOT NULL AND e.name IN ({names}) AND e.time <= {request.as_of} {since}
                    AND e.time - x.first >= {earliest}
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
