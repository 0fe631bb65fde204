"""The import commands end to end: what they make, what they refuse, and that doing it again changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management.base import CommandError

from experiments.models import Experiment, ExperimentMetric, Metric, Site
from experiments.services import create_site, ensure_metric
from tests.data.importing import report, said
from tracking.selectors import event_store

pytestmark = pytest.mark.django_db(transaction=True)

LOG = (
    "who,when,what,amount,arm,platform\n"
    "v1,2024-03-01 10:00:00,view,,new,ios\n"
    "v1,2024-03-01 10:05:00,purchase,20,new,ios\n"
    "v2,2024-03-01 11:00:00,view,,old,web\n"
    "v3,2024-03-02 11:00:00,view,,old,web\n"
    "v3,2024-03-02 11:01:00,purchase,ten,old,web\n"
    "v4,yesterday,view,,new,web\n"
)
COLUMNS = ("--visitor", "who", "--time", "when", "--event", "what", "--value", "amount")
EXPERIMENT = ("--experiment", "arms", "--variant", "arm", "--control", "old")

PEOPLE = "id,arm,visited,bought,spent,orders\n1,A,1,1,30,2\n2,A,1,0,0,0\n3,B,1,1,10,1\n4,B,0,0,,0\n"
TABLE = ("--experiment", "people", "--variant", "arm", "--control", "A", "--visitor", "id")


@pytest.fixture
def log(tmp_path: Path) -> str:
    (tmp_path / "log.csv").write_text(LOG)
    return str(tmp_path / "log.csv")


@pytest.fixture
def people(tmp_path: Path) -> str:
    (tmp_path / "people.csv").write_text(PEOPLE)
    return str(tmp_path / "people.csv")


def events(site: str = "s") -> dict[str, int]:
    return {row.name: row.events for row in event_store().event_names(site=site)}


def roles(key: str) -> dict[str, tuple[str, float | None]]:
    rows = ExperimentMetric.objects.filter(experiment__key=key).select_related("metric")
    return {row.metric.key: (row.role, row.margin) for row in rows}


def values(key: str, metric: str) -> dict[str, float]:
    found = next(m for m in report(key)["metrics"] if m["key"] == metric)
    return {v["variant"]: v["value"] for v in found["values"]}


def test_import_events__fresh_database__one_command_and_the_report_are_enough(log: str) -> None:
    text = said("import_events", log, "--site", "s", *COLUMNS, *EXPERIMENT)

    document = report("arms")
    assert {v["key"]: v["visitors"] for v in document["variants"]} == {"old": 2, "new": 1}
    assert values("arms", "view") == {"old": 1.0, "new": 1.0}
    assert values("arms", "purchase") == {"old": 0.0, "new": 1.0}
    assert events() == {"$exposure": 3, "view": 3, "purchase": 1}
    assert "bad_value: 1" in text and "line 6" in text
    assert "bad_time: 1" in text and "line 7" in text
    experiment = Experiment.objects.get(key="arms")
    assert experiment.is_imported and experiment.status == "stopped"


def test_import_events__purchase_in_the_log__is_the_macro_and_says_so(log: str) -> None:
    text = said("import_events", log, "--site", "s", *COLUMNS)

    assert dict(Metric.objects.values_list("key", "conversion")) == {"view": "secondary", "purchase": "macro"}
    assert "Taken as the macro conversion by its name: purchase" in text


def test_import_events__exposure_event__is_no_metric(log: str) -> None:
    said("import_events", log, "--site", "s", *COLUMNS, *EXPERIMENT, "--expose-on", "view")

    assert set(Metric.objects.values_list("key", flat=True)) == {"purchase"}
    assert roles("arms") == {"purchase": ("primary", None)}
    assert events()["$exposure"] == 3


def test_import_events__milestones_declared__get_proxy_and_guardrail(log: str) -> None:
    said("import_events", log, "--site", "s", *COLUMNS, *EXPERIMENT, "--conversion", "view=milestone", "purchase=macro")

    assert roles("arms") == {"view": ("proxy", None), "purchase": ("guardrail", 0.1)}
    assert Metric.objects.get(key="view").funnel_order == 1


def test_import_events__role_given__wins(log: str) -> None:
    said(
        "import_events", log, "--site", "s", *COLUMNS, *EXPERIMENT, "--role", "view=primary", "purchase=guardrail:0.05"
    )

    assert roles("arms") == {"view": ("primary", None), "purchase": ("guardrail", 0.05)}


def test_import_events__same_file_twice__changes_nothing(log: str) -> None:
    arguments = ("import_events", log, "--site", "s", *COLUMNS, *EXPERIMENT)
    said(*arguments)
    before, document = events(), report("arms")

    text = said(*arguments)

    assert "0 events are new, 7 were there already" in text
    assert events() == before
    after = report("arms")
    for part in ("plan_hash", "verdict", "health", "variants", "metrics"):
        assert after[part] == document[part]
    assert (Site.objects.count(), Experiment.objects.count(), Metric.objects.count()) == (1, 1, 2)


def test_import_events__longer_log_later__adds_only_what_is_new(log: str) -> None:
    said("import_events", log, "--site", "s", *COLUMNS, *EXPERIMENT)
    with Path(log).open("a") as file:
        file.write("v9,2024-03-05 12:00:00,refund,5,old,web\n")

    text = said("import_events", log, "--site", "s", *COLUMNS, *EXPERIMENT)

    assert "2 events are new" in text  # the refund and v9's exposure
    assert roles("arms")["refund"] == ("exploratory", None)
    ended = Experiment.objects.get(key="arms").ended_at
    assert ended is not None and ended.isoformat() == "2024-03-05T12:00:00+00:00"


@pytest.mark.parametrize("command", ["import_events", "import_visitors"])
def test_dry_run__anything__leaves_no_trace(command: str, log: str, people: str, data_dir: Path) -> None:
    arguments = {
        "import_events": (log, *COLUMNS, *EXPERIMENT),
        "import_visitors": (people, *TABLE, "--metric", "bought:conversion:macro"),
    }[command]

    text = said(command, *arguments, "--site", "s", "--dry-run")

    assert "Dry run" in text and "Would do: Site 's' made" in text
    assert not Site.objects.exists() and not Experiment.objects.exists()
    assert not list(data_dir.rglob("*.ndjson")) and not list(data_dir.rglob("*.parquet"))


def test_import_events__existing_metric__is_used_as_it_is(log: str) -> None:
    site = create_site(key="s")
    ensure_metric(site=site, key="purchase", name="Ours", conversion="macro", window_hours=24)

    said("import_events", log, "--site", "s", "--visitor", "who", "--time", "when", "--event", "what")

    assert Metric.objects.get(key="purchase").name == "Ours"
    assert Metric.objects.count() == 2


def test_import_events__site_with_short_retention__old_rows_are_refused_with_advice(log: str) -> None:
    create_site(key="s", retention_days=30)

    text = said("import_events", log, "--site", "s", *COLUMNS)

    assert "event_too_old: 4" in text and "raise the retention" in text
    assert events() == {}


def test_import_visitors__kinds__give_values_worked_by_hand(people: str) -> None:
    said(
        *("import_visitors", people, "--site", "s", *TABLE, "--metric", "visited:conversion:milestone"),
        *("bought:conversion:macro", "spent:value_sum:macro", "orders:event_count:secondary"),
        *("--metric", "spent/orders:ratio:secondary"),
    )

    assert values("people", "visited") == {"A": 1.0, "B": 0.5}
    assert values("people", "bought") == {"A": 0.5, "B": 0.5}
    assert values("people", "spent") == {"A": 15.0, "B": 5.0}
    assert values("people", "orders") == {"A": 1.0, "B": 0.5}
    assert values("people", "spent-per-orders") == {"A": 15.0, "B": 10.0}  # 30 over 2 orders; 10 over 1
    assert roles("people")["visited"] == ("proxy", None)
    assert roles("people")["bought"] == ("guardrail", 0.1)


def test_import_visitors__without_visitor_or_time__same_file_twice_changes_nothing(people: str) -> None:
    arguments = ("import_visitors", people, "--site", "s", *TABLE[:6], "--metric", "bought:conversion:macro")
    said(*arguments)
    before = events()

    text = said(*arguments)

    assert before == {"$exposure": 4, "bought": 2}
    assert events() == before
    assert "0 events are new, 6 were there already" in text


def test_import_visitors__weights__are_what_the_split_is_checked_against(people: str) -> None:
    said(
        *("import_visitors", people, "--site", "s", *TABLE, "--metric", "bought:conversion:macro"),
        *("--weights", "A=0.9,B=0.1"),
    )
    assert [v["weight"] for v in report("people")["variants"]] == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--metric", "bougt:conversion:macro"), "Did you mean 'bought'"),
        (("--metric", "bought:percent:macro"), "no kind 'percent'"),
        (("--metric", "bought:conversion:macro", "--control", "C"), "not in the file"),
        (("--metric", "bought:conversion:macro", "--weights", "A=1"), "weight"),
        (("--metric", "bought:conversion:macro", "--weights", "A=1,X=2"), "'X'"),
        (("--metric", "bought:conversion:macro", "--role", "spent=primary"), "'spent'"),
        (("--metric", "bought:conversion:macro", "--time-zone", "Lisbon"), "no time zone 'Lisbon'"),
        (("--metric", "bought:conversion:macro", "--site", "no spaces"), "digits"),
        (("--metric", "bought:conversion:macro", "--agrees", "nowhere"), "nowhere"),
        (("--metric", "bought:conversion:macro", "bought:event_count:macro"), "twice"),
    ],
)
def test_import_visitors__mistakes__are_named_and_change_nothing(
    people: str, arguments: tuple[str, ...], says: str
) -> None:
    with pytest.raises(CommandError, match=says):
        said("import_visitors", people, "--site", "s", *TABLE, *arguments)
    assert not Site.objects.exists()


def test_import_visitors__metric_of_another_kind__is_refused(people: str) -> None:
    ensure_metric(site=create_site(key="s"), key="bought", kind="value_sum")

    with pytest.raises(CommandError, match="kind 'value_sum'"):
        said("import_visitors", people, "--site", "s", *TABLE, "--metric", "bought:conversion:macro")


def test_import_visitors__one_variant_only__is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("id,arm,bought\n1,A,1\n")

    with pytest.raises(CommandError, match="one variant only"):
        said("import_visitors", str(tmp_path / "one.csv"), "--site", "s", *TABLE, "--metric", "bought:conversion:macro")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--experiment", "e"), "belong together"),
        (("--control", "old"), "needs --experiment"),
        ((*EXPERIMENT, "--expose-on", "views"), "Did you mean 'view'"),
        (("--conversion", "view=goal"), "goal"),
        (("--context", "device"), "NAME=VALUE"),
        (("--context", "device=platfrom"), "Did you mean 'platform'"),
    ],
)
def test_import_events__mistakes__are_named(log: str, arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        said("import_events", log, "--site", "s", *COLUMNS, *arguments)


def test_import_visitors__weights_changed_on_the_way__periods_are_compared_apart(tmp_path: Path) -> None:
    # A tenth of the visitors get B on the first day, half of them on the second; B is better on both days and worse in total.
    rows = ["who,group,when,bought"]
    for day, cells in (("01", (("A", 180, 90), ("B", 20, 12))), ("02", (("A", 200, 20), ("B", 200, 30)))):
        for group, visitors, bought in cells:
            rows += [f"{day}{group}{n},{group},2024-03-{day}T12:00:00,{int(n < bought)}" for n in range(visitors)]
    file = tmp_path / "ramp.csv"
    file.write_text("\n".join(rows))
    arguments = (
        *("import_visitors", str(file), "--site", "s", "--experiment", "ramp", "--variant", "group", "--control", "A"),
        *("--visitor", "who", "--time", "when", "--metric", "bought:conversion:macro", "--weights", "A=0.9,B=0.1"),
        *("--weights-from", "2024-03-02", "A=1,B=1"),
    )
    said(*arguments)

    document = report("ramp")
    (comparison,) = document["metrics"][0]["comparisons"]
    # 12*180/200 + 30*200/400 over 90*20/200 + 20*200/400: Mantel and Haenszel, worked by hand.
    assert comparison["lift"] == pytest.approx((10.8 + 15) / (9 + 10) - 1)
    assert [p["weights"] for p in document["periods"]] == [{"A": 0.9, "B": 0.1}, {"A": 0.5, "B": 0.5}]
    assert "weights_changed" in {f["code"] for f in document["health"]}

    said(*(a for a in arguments if a not in ("--weights-from", "2024-03-02", "A=1,B=1", "--weights", "A=0.9,B=0.1")))
    assert report("ramp")["plan_hash"] == document["plan_hash"]


@pytest.mark.parametrize(
    ("time", "shares", "word"),
    [("soon", "A=1,B=1", "'soon' is no time"), ("2020-01-01", "A=1,B=1", "follow"), ("2030-01-01", "A=1,X=1", "'X'")],
)
def test_import_visitors__faulty_change_of_weights__is_refused(people: str, time: str, shares: str, word: str) -> None:
    with pytest.raises(CommandError, match=word):
        said(
            *("import_visitors", people, "--site", "s", *TABLE, "--metric", "bought:conversion:macro"),
            *("--weights-from", time, shares),
        )
