"""One run: the real store, the real analysis, an append-only row; and what happens when it fails."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from experiments import services as experiments
from experiments.core.refusal import Refused
from experiments.models import Metric
from experiments.selectors.plans import plan_of
from reports import selectors, services
from reports.models import AnalysisRun
from tests.reports import documents
from tests.reports.factories import NOW, START, make_draft, make_person, make_run, make_running
from tracking import services as tracking

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def send(visitor: str, name: str, at: datetime, **fields: Any) -> None:
    event = {"name": name, "visitor_id": visitor, "timestamp": at.isoformat(), **fields}
    judgement = tracking.ingest(site="shop", events=[event], now_us=_us(at))
    assert judgement.accepted, judgement


def expose(visitor: str, variant: str, at: datetime, experiment: str = "free-shipping") -> None:
    send(visitor, "$exposure", at, properties={"experiment": experiment, "variant": variant})


def values_of(run: AnalysisRun, metric: str) -> dict[str, dict[str, Any]]:
    assert run.result is not None, run.error
    found = next(m for m in run.result["metrics"] if m["key"] == metric)
    return {v["variant"]: v for v in found["values"]}


def test_run_analysis__visitors_and_events_sent__counts_them_as_by_hand() -> None:
    experiment = make_running()
    # By hand: control has 4 visitors of whom 1 adds to the cart; banner has 5 of whom 3 do.
    for n in range(4):
        expose(f"c{n}", "control", START + n * HOUR)
    for n in range(5):
        expose(f"b{n}", "banner", START + n * HOUR)
    send("c0", "add_to_cart", START + 5 * HOUR)
    for n in range(3):
        send(f"b{n}", "add_to_cart", START + 6 * HOUR)
    send("b0", "purchase", START + 7 * HOUR, value=25.0)

    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)

    assert run.status == "done", run.error
    assert run.result is not None
    assert {v["key"]: v["visitors"] for v in run.result["variants"]} == {"control": 4, "banner": 5}
    cart = values_of(run, "add_to_cart")
    assert (cart["control"]["converted"], cart["banner"]["converted"]) == (1, 3)
    assert values_of(run, "revenue")["banner"]["total"] == pytest.approx(25.0)
    assert run.plan_hash == plan_of(experiment).hash()
    assert run.ruleset_version == 1
    json.dumps(run.result, allow_nan=False)


def test_run_analysis__experiment_without_a_planned_end__is_watched_and_shown_as_such(client: Client) -> None:
    draft = make_draft(monitoring="confidence_sequence", horizon_weeks=None, planned_visitors=60)
    # Without a window it would never decide, and the check list would refuse the start.
    Metric.objects.filter(key="add_to_cart").update(window_hours=24)
    experiment = experiments.start_experiment(experiment=draft, now=START)
    for n in range(40):
        for variant, converts in (("control", n % 5 == 0), ("banner", n % 5 != 0)):
            expose(f"{variant}{n}", variant, START + n * HOUR)
            if converts:
                send(f"{variant}{n}", "add_to_cart", START + (n + 1) * HOUR)

    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)

    assert run.result is not None, run.error
    assert (run.result["monitoring"], run.result["is_final"]) == ("confidence_sequence", False)
    cart = next(m for m in run.result["metrics"] if m["key"] == "add_to_cart")["comparisons"][0]
    # 8 of 40 against 32 of 40: beyond the bound of 80 visitors, tuned for 60.
    assert cart["claim"] == "better"
    assert cart["single_look"]["monitoring"] == "confidence_sequence"
    client.force_login(make_person())
    for address in ("/reports/", "/reports/free-shipping/"):
        assert client.get(address).status_code == 200
    text = client.get("/reports/free-shipping/").content.decode()
    assert "There is no planned end" in text
    assert "none: a confidence sequence holds at every look" in text


def test_run_analysis__plan_with_covariates__adjusts_by_what_happened_before_and_keeps_the_plain_numbers() -> None:
    experiment = make_running(covariates=["returning", "activity view", "trait device"], horizon_weeks=2)
    # Half of the visitors have been here before, and they alone convert; both variants alike.
    for variant in ("control", "banner"):
        for n in range(80):
            visitor = f"{variant}{n}"
            if n % 2:
                send(visitor, "view", START - HOUR)
            send(visitor, "$exposure", START + HOUR, context={"device": "phone" if n % 3 else "desktop"},
                 properties={"experiment": "free-shipping", "variant": variant})  # fmt: skip
            if n % 4 == 1:
                send(visitor, "purchase", START + 2 * HOUR, value=10.0 + n % 7)

    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)

    assert run.result is not None, run.error
    found = {m["key"]: m["comparisons"][0] for m in run.result["metrics"]}
    assert found["purchase"]["method"] == "stratified_score"
    assert "conversions" in found["purchase"]["unadjusted"]["detail"]
    assert found["purchase"]["unadjusted"]["method"] == "score"
    assert found["revenue"]["method"] == "lin"
    assert found["revenue"]["unadjusted"]["method"] == "welch"
    assert found["revenue"]["unadjusted"]["variance_left"] < 0.95


def test_run_analysis__as_of_before_an_event__does_not_count_it() -> None:
    experiment = make_running()
    expose("a", "control", START + HOUR)
    send("a", "add_to_cart", START + 2 * HOUR)
    expose("b", "banner", START + 10 * HOUR)

    run = services.run_analysis(experiment=experiment, as_of=START + 9 * HOUR, now=NOW)

    assert run.result is not None, run.error
    assert {v["key"]: v["visitors"] for v in run.result["variants"]} == {"control": 1, "banner": 0}


def test_run_analysis__exposure_after_the_stop__is_not_counted_but_its_conversions_before_are() -> None:
    experiment = make_running()
    expose("a", "control", START + HOUR)
    stopped = experiments.stop_experiment(experiment=experiment, reason="Enough.", now=START + 5 * HOUR)
    expose("late", "control", START + 6 * HOUR)
    send("a", "add_to_cart", START + 7 * HOUR)

    run = services.run_analysis(experiment=stopped, as_of=NOW, now=NOW)

    assert run.result is not None, run.error
    assert {v["key"]: v["visitors"] for v in run.result["variants"]} == {"control": 1, "banner": 0}
    assert values_of(run, "add_to_cart")["control"]["converted"] == 1


def test_run_analysis__twice_over_the_same_events__gives_two_rows_with_one_answer() -> None:
    experiment = make_running()
    expose("a", "control", START + HOUR)
    first = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)
    second = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW + HOUR)
    assert first.pk != second.pk
    assert first.result == second.result
    assert first.code_version == second.code_version


def test_run_analysis__no_event_at_all__is_an_answer_without_invented_numbers() -> None:
    run = services.run_analysis(experiment=make_running(), as_of=NOW, now=NOW)
    assert run.status == "done", run.error
    assert run.result is not None
    for metric in run.result["metrics"]:
        for comparison in metric["comparisons"]:
            assert comparison["not_computable"]["detail"]
            assert "effect" not in comparison


def test_run_analysis__store_breaks__keeps_a_failed_run_without_a_trace_and_the_last_good_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = make_running()
    good = make_run(experiment, documents.document())

    def broken() -> None:
        raise RuntimeError("secret detail of the inside")

    monkeypatch.setattr(services, "event_store", broken)
    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)

    assert run.status == "failed"
    assert run.error is not None
    assert run.error["code"] == "analysis_failed"
    assert "secret" not in json.dumps(run.error)
    assert "secret detail of the inside" in caplog.text
    assert selectors.last_good_run(experiment) == good
    assert selectors.latest_run(experiment) == run


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (OSError("disk gone"), "event_store_unavailable"),
        (Refused("plan_incomplete", "No control.", "Add one."), "plan_incomplete"),
    ],
)
def test_run_analysis__known_trouble__has_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, problem: Exception, code: str
) -> None:
    def broken() -> None:
        raise problem

    monkeypatch.setattr(services, "event_store", broken)
    run = services.run_analysis(experiment=make_running(), as_of=NOW, now=NOW)
    assert run.error is not None
    assert run.error["code"] == code
    assert run.error["message"] and run.error["advice"]


def test_run_analysis__draft__is_refused_and_stores_nothing() -> None:
    with pytest.raises(Refused) as refused:
        services.run_analysis(experiment=make_draft(), as_of=NOW, now=NOW)
    assert refused.value.code == "not_started"
    assert not AnalysisRun.objects.exists()


def test_run_analysis__as_of_tomorrow__is_refused() -> None:
    with pytest.raises(Refused) as refused:
        services.run_analysis(experiment=make_running(), as_of=NOW + HOUR, now=NOW)
    assert refused.value.code == "as_of_in_future"


def test_analysis_run__stored__refuses_to_be_rewritten() -> None:
    run = make_run(make_running(), documents.document())
    run.code_version = "another"
    with pytest.raises(TypeError, match="append-only"):
        run.save()


def test_totals_request__live_and_imported__take_exposures_of_the_experiments_life_only_when_live() -> None:
    experiment = make_running()
    plan = plan_of(experiment)
    request = services.totals_request(experiment=experiment, plan=plan, as_of=START + HOUR)
    assert request.since == _us(START)
    assert request.as_of == _us(datetime(2026, 3, 2, 7, tzinfo=UTC))
    assert {c.event for c in request.columns} == {"add_to_cart", "purchase"}


def test_run_analysis__split_in_doubt__reads_what_visitors_came_on_and_says_where_it_is_off() -> None:
    experiment = make_running()
    events = [
        {
            "name": "$exposure",
            "visitor_id": f"{device}-{variant}-{n}",
            "timestamp": (START + HOUR).isoformat(),
            "properties": {"experiment": "free-shipping", "variant": variant},
            "context": {"device": device},
        }
        for device, variant, visitors in (
            ("phone", "control", 60),
            ("phone", "banner", 10),
            ("desktop", "control", 50),
            ("desktop", "banner", 52),
        )
        for n in range(visitors)
    ]
    tracking.ingest(site="shop", events=events, now_us=_us(START + HOUR))
    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)
    assert run.result is not None, run.error
    finding = next(f for f in run.result["health"] if f["code"] == "split_by_segment")
    assert "device 'phone'" in finding["detail"] and "desktop" not in finding["detail"]
    assert {s["trait"] for s in finding["evidence"]["segments"]} == {"device"}


def test_read_inputs__split_as_planned__spares_the_traits() -> None:
    experiment = make_running()
    for n in range(6):
        expose(f"v{n}", ("control", "banner")[n % 2], START + HOUR)
    inputs = services.read_inputs(experiment=experiment, plan=plan_of(experiment), as_of=NOW)
    assert inputs.totals.traits == {}


def test_robots__are_left_out_counted_by_variant_and_one_click_away() -> None:
    experiment = make_running()
    for n in range(30):
        expose(f"c{n}", "control", START + HOUR)
        expose(f"b{n}", "banner", START + HOUR)
    for n in range(24):
        send(f"b{n}", "add_to_cart", START + 2 * HOUR)
        body = {"name": "add_to_cart", "visitor_id": f"b{n}", "timestamp": (START + 2 * HOUR).isoformat()}
        judged = tracking.ingest(
            site="shop",
            events=[body],
            now_us=_us(START + 2 * HOUR),
            source="native",
            user_agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        )
        assert judged.accepted  # quarantined, never dropped

    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)

    assert run.result is not None and run.result_with_robots is not None
    without, everybody = (
        {v["key"]: v["visitors"] for v in d["variants"]} for d in (run.result, run.result_with_robots)
    )
    assert without == {"control": 30, "banner": 6} and everybody == {"control": 30, "banner": 30}
    assert run.result["exposures"]["robots"] == {"banner": 24}
    (finding,) = [one for one in run.result["health"] if one["code"] == "robots"]
    assert finding["severity"] == "warning" and "'banner' 24" in finding["detail"]
    assert "do not fall on the variants" in finding["detail"]
    person = make_person("erin", "experimenter", "a-long-enough-password")
    client = Client()
    client.force_login(person)
    page = client.get("/reports/free-shipping/").content.decode()
    assert "24 visitors were taken for robots and are not counted" in page
    assert "?site=shop&amp;robots=with" in page
    more = client.get("/reports/free-shipping/?robots=with").content.decode()
    assert "With robots." in more and "the verdict that counts is the one without them" in more
    assert "robots=with" in client.get("/reports/free-shipping/?robots=with").context["json_url"]
    given = client.get("/reports/free-shipping/report.json?robots=with")
    assert {v["key"]: v["visitors"] for v in given.json()["variants"]} == everybody


def test_robots__none__store_no_second_answer() -> None:
    experiment = make_running()
    expose("c", "control", START + HOUR)
    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)
    assert run.result is not None and run.result_with_robots is None
    assert selectors.report_document(run, with_robots=True) == selectors.report_document(run)
