"""Rows become events: which, with what ids, and what happens to rows that contradict themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.core.metrics import Conversion, MetricDefinition
from tracking.core.events import EXPOSURE, Event
from tracking.core.intake import judge
from tracking.importing import event_log, visitor_table
from tracking.importing.agreement import Agreement
from tracking.importing.delivery import Delivered, deliver
from tracking.importing.event_log import EventLog, ExperimentColumns
from tracking.importing.failure import ImportFault
from tracking.importing.first_meetings import FirstMeetings
from tracking.importing.profile import Profile, Question, profile, require_columns
from tracking.importing.rejections import Rejections
from tracking.importing.sources import Source, open_source
from tracking.importing.visitor_table import Outcome, Reading, VisitorTable

LOG = EventLog(visitor="who", time="at", event="what")


def source_of(tmp_path: Path, text: str) -> Source:
    path = tmp_path / "file.csv"
    path.write_text(text)
    return open_source(path)


def looked(source: Source, question: Question) -> Profile:
    return profile(source, question, source.chunks())


def log_events(source: Source, log: EventLog, rejections: Rejections | None = None) -> list[Event]:
    rejections = Rejections() if rejections is None else rejections
    with FirstMeetings() as meetings:
        sent = [o.event for c in source.chunks() for o in event_log.events_of(c, log, rejections, meetings)]
        if log.experiment is not None and log.experiment.expose_on is None:
            sent += [o.event for o in event_log.exposures_of(meetings, log.experiment, 0)]
    return sent


def codes(rejections: Rejections) -> dict[str, int]:
    return {group.code: group.count for group in rejections}


def exposures(events: Iterable[Event]) -> list[tuple[str, str, int]]:
    return sorted((e.visitor_id, e.properties["variant"], e.time) for e in events if e.name == EXPOSURE)


def test_event_log__plain_rows__one_event_each_with_all_columns(tmp_path: Path) -> None:
    source = source_of(tmp_path, "who,at,what,amount,visit,platform\nv1,5000000,buy,9.5,s1,ios\n")
    log = replace(LOG, value="amount", session="visit", context={"device": "platform"}, properties={"p": "platform"})

    (event,) = log_events(source, log)

    assert (event.name, event.visitor_id, event.value, event.session_id) == ("buy", "v1", 9.5, "s1")
    assert event.time == 5_000_000 * 1_000_000
    assert (event.context, event.properties) == ({"device": "ios"}, {"p": "ios"})


def test_event_log__bad_rows__are_rejected_with_line_and_reason_and_others_go_in(tmp_path: Path) -> None:
    text = "who,at,what,amount\nv1,100,a,1\n,100,a,1\nv1,soon,a,1\nv1,,a,1\nv1,100,,1\nv1,100,$x,1\nv1,100,a,much\n"
    rejections = Rejections()

    events = log_events(source_of(tmp_path, text), replace(LOG, value="amount"), rejections)

    assert len(events) == 1
    found = {group.code: group.examples[0].line for group in rejections}
    assert found == {
        "missing_visitor": 3,
        "bad_time": 4,
        "missing_time": 5,
        "missing_event": 6,
        "reserved_name": 7,
        "bad_value": 8,
    }


def test_event_log__same_row_again__has_the_same_id_and_another_row_another(tmp_path: Path) -> None:
    first = log_events(source_of(tmp_path, "who,at,what,n\nv1,100,a,1\nv1,100,a,2\n"), LOG)
    again = log_events(source_of(tmp_path, "who,at,what,n\nv1,100,a,2\nv9,100,a,1\nv1,100,a,1\n"), LOG)

    assert len({e.event_id for e in first}) == 2
    assert {e.event_id for e in first} < {e.event_id for e in again}


def test_event_log__ids_of_its_own__are_what_counts(tmp_path: Path) -> None:
    source = source_of(tmp_path, "who,at,what,id\nv1,100,a,x1\nv1,100,a,x1\nv1,100,a,x2\n")
    assert len({e.event_id for e in log_events(source, replace(LOG, event_id="id"))}) == 2


def test_event_log__no_exposure_event__first_row_with_a_variant_is_the_exposure(tmp_path: Path) -> None:
    text = "who,at,what,page\nv1,300,a,new\nv1,200,a,new\nv1,100,a,\nv2,400,a,old\nv2,500,a,new\n"
    columns = ExperimentColumns("e", "page", {"new": "new", "old": "old"})

    events = log_events(source_of(tmp_path, text), replace(LOG, experiment=columns))

    second = 1_000_000
    assert exposures(events) == [("v1", "new", 200 * second), ("v2", "new", 500 * second), ("v2", "old", 400 * second)]
    assert sum(e.name == "a" for e in events) == 5


def test_event_log__exposure_event__only_its_rows_expose(tmp_path: Path) -> None:
    text = "who,at,what,page\nv1,100,a,new\nv1,200,seen,new\nv2,300,a,old\n"
    columns = ExperimentColumns("e", "page", {"new": "n", "old": "o"}, expose_on="seen")

    events = log_events(source_of(tmp_path, text), replace(LOG, experiment=columns))

    assert exposures(events) == [("v1", "n", 200_000_000)]


def test_first_meetings__more_than_its_buffer__are_reduced_to_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking.importing.first_meetings.BUFFERED", 10)
    with FirstMeetings() as meetings:
        for time in range(95, 0, -1):
            meetings.add(f"v{time % 3}", "a", time, {"t": time})
        found = sorted(meetings.first())
    assert [(m.visitor, m.time, m.context) for m in found] == [
        ("v0", 3, {"t": 3}),
        ("v1", 1, {"t": 1}),
        ("v2", 2, {"t": 2}),
    ]


TABLE = VisitorTable(
    experiment="e",
    variant="arm",
    variant_keys={"No Mail": "No-Mail", "Mail": "Mail"},
    outcomes=(
        Outcome("visit", "visit", Reading.ONCE),
        Outcome("clicks", "clicks", Reading.TIMES),
        Outcome("spend", "spend", Reading.AMOUNT),
    ),
    default_time=1_000,
)
PEOPLE = "arm,visit,clicks,spend\nNo Mail,1,0,0\nMail,1,3,9.5\nMail,0,,\n"


def table_events(source: Source, table: VisitorTable = TABLE, rejections: Rejections | None = None) -> list[Event]:
    rejections = Rejections() if rejections is None else rejections
    return [o.event for c in source.chunks() for o in visitor_table.events_of(c, table, rejections)]


def test_visitor_table__cells_by_kind__become_one_many_or_an_amount(tmp_path: Path) -> None:
    events = table_events(source_of(tmp_path, PEOPLE))

    assert exposures(events) == [("e-row-2", "No-Mail", 1_000), ("e-row-3", "Mail", 1_000), ("e-row-4", "Mail", 1_000)]
    assert Counter((e.visitor_id, e.name) for e in events if e.name != EXPOSURE) == {
        ("e-row-2", "visit"): 1,
        ("e-row-3", "visit"): 1,
        ("e-row-3", "clicks"): 3,
        ("e-row-3", "spend"): 1,
    }
    assert [e.value for e in events if e.name == "spend"] == [9.5]
    assert len({e.event_id for e in events}) == len(events)


def test_visitor_table__read_twice__gives_the_same_ids(tmp_path: Path) -> None:
    source = source_of(tmp_path, PEOPLE)
    assert [e.event_id for e in table_events(source)] == [e.event_id for e in table_events(source)]


def test_visitor_table__one_bad_cell__leaves_the_whole_visitor_out(tmp_path: Path) -> None:
    rejections = Rejections()
    events = table_events(source_of(tmp_path, PEOPLE + "Mail,1,maybe,1\n,1,1,1\n"), TABLE, rejections)

    assert {e.visitor_id for e in events} == {"e-row-2", "e-row-3", "e-row-4"}
    assert codes(rejections) == {"bad_value": 1, "missing_variant": 1}


# By hand: 20 rows each way, one row where group and page contradict each other on either side.
CONTRADICTING = (
    "id,group,page,won\n"
    + "".join(f"c{n},control,old,0\n" for n in range(20))
    + "".join(f"t{n},treatment,new,1\n" for n in range(20))
    + "x1,control,new,1\nc1,treatment,old,1\n"
)


def test_profile__column_that_nearly_says_the_variant__is_found_with_its_contradictions(tmp_path: Path) -> None:
    found = looked(source_of(tmp_path, CONTRADICTING), Question(variant="group", agrees="auto"))
    assert found.agreement == Agreement("page", {"control": "old", "treatment": "new"}, rows=42, contradicting=2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("g,p\n" + "a,x\nb,y\n" * 30, "agrees in every row"),
        ("g,p\n" + "a,x\nb,y\n" * 10 + "a,y\n" * 3, "contradicts too often"),
        ("g,p\n" + "a,0\n" * 98 + "b,0\nb,0\na,1\n", "a rare outcome beside a lopsided split"),
        ("g,p\n" + "".join(f"a,x{n}\nb,y{n}\n" for n in range(60)), "too many values"),
    ],
)
def test_profile__columns_that_are_no_second_witness__are_left_alone(tmp_path: Path, text: str, why: str) -> None:
    assert looked(source_of(tmp_path, text), Question(variant="g", agrees="auto")).agreement is None, why


def test_profile__outcome_column__is_never_taken_for_the_variant(tmp_path: Path) -> None:
    question = Question(variant="group", agrees="auto", mapped=frozenset({"won", "page"}))
    assert looked(source_of(tmp_path, CONTRADICTING), question).agreement is None


def test_profile__chosen_column_that_cannot_be_matched__is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match="one-to-one"):
        looked(source_of(tmp_path, CONTRADICTING), Question(variant="group", agrees="id"))


def test_visitor_table__contradicting_row__is_a_conflicting_exposure_without_outcomes(tmp_path: Path) -> None:
    source = source_of(tmp_path, CONTRADICTING)
    table = VisitorTable(
        experiment="e",
        variant="group",
        variant_keys={"control": "control", "treatment": "treatment"},
        outcomes=(Outcome("won", "won", Reading.ONCE),),
        default_time=0,
        visitor="id",
        agreement=looked(source, Question(variant="group", agrees="auto")).agreement,
    )
    rejections = Rejections()

    events = table_events(source, table, rejections)

    assert Counter(e.properties["variant"] for e in events if e.name == EXPOSURE) == {
        "control": 20,
        "treatment": 20,
        "control with new": 1,
        "treatment with old": 1,
    }
    assert {e.visitor_id for e in events if e.name == "won"} == {f"t{n}" for n in range(20)}
    assert codes(rejections) == {"conflicting_exposure": 2}


def test_outcomes_of__ratio__counts_below_and_adds_above(tmp_path: Path) -> None:
    metric = MetricDefinition(
        key="aov",
        name="aov",
        conversion=Conversion.SECONDARY,
        kind="ratio",
        event="revenue",
        denominator_event="orders",
        options={"numerator": "sum"},
    )
    assert visitor_table.outcomes_of([metric], {"revenue": "r", "orders": "o"}) == (
        Outcome("r", "revenue", Reading.AMOUNT),
        Outcome("o", "orders", Reading.TIMES),
    )


def test_outcomes_of__retention__needs_the_time_of_each_event() -> None:
    metric = MetricDefinition(
        key="back",
        name="back",
        conversion=Conversion.SECONDARY,
        kind="retention",
        event="visit",
        window_hours=72.0,
        options={"from_day": 1, "to_day": 3},
    )
    with pytest.raises(ImportFault, match="'back' of kind 'retention' needs the time of each event"):
        visitor_table.outcomes_of([metric], {"visit": "v"})


def test_require_columns__misspelt__suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ImportFault, match=r"--visitor names the column 'Idd'.*Did you mean 'id'"):
        require_columns(source_of(tmp_path, CONTRADICTING), {"--visitor": "Idd", "--variant": "group", "--time": None})


def test_profile__impossible_times__do_not_stretch_the_dates(tmp_path: Path) -> None:
    source = source_of(tmp_path, "g,t\na,100\nb,200\na,-5\nb,9999999999\na,never\n")
    found = looked(source, Question(variant="g", time="t", latest=10**12))
    assert (found.rows, found.first_time, found.last_time) == (5, 100_000_000, 200_000_000)


def test_deliver__batches__refusals_are_traced_to_their_line(tmp_path: Path) -> None:
    rejections, delivered = Rejections(), Delivered()
    source = source_of(tmp_path, "who,at,what\nv1,100,a\n" + "x" * 300 + ",100,a\nv1,100,a\nv2,9999999999,a\n")
    sizes: list[int] = []

    def intake(events: object) -> object:
        sizes.append(len(events))  # type: ignore[arg-type]
        return judge(events, now_us=10**12, id_prefix="t")  # type: ignore[arg-type]

    events = (o for c in source.chunks() for o in event_log.events_of(c, LOG, rejections, None))
    deliver(events, intake, batch=3, rejections=rejections, delivered=delivered)  # type: ignore[arg-type]

    assert sizes == [3, 1]
    assert (delivered.accepted, delivered.duplicates) == (1, 1)
    assert {g.code: g.examples[0].line for g in rejections} == {"visitor_id_too_long": 3, "event_in_future": 5}
