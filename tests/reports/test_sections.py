"""Sections as pure functions: a document in, a frozen view model out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string

from experiments.core.lifecycle import Status
from experiments.core.metrics import Conversion, Direction, MetricDefinition, Role
from experiments.core.plan import AllocationPeriod, AnalysisPlan, PlannedMetric, PlannedVariant
from reports.core.decision import VerdictState
from reports.core.health import Severity
from reports.core.methods import METHODS
from reports.core.methods.noninferiority import GuardrailOutcome
from reports.sections.base import ExperimentFacts, ReportInput, RunFacts
from reports.sections.exposures import build as build_exposures
from reports.sections.exposures import without_gaps
from reports.sections.headline import build as build_headline
from reports.sections.health import SEVERITIES, evidence_rows
from reports.sections.health import build as build_health
from reports.sections.method import build as build_method
from reports.sections.metrics import Metrics, window
from reports.sections.metrics import build as build_metrics
from reports.sections.outcomes import GUARDRAIL, outcome_of
from reports.sections.over_time import OVER_TIME
from reports.sections.over_time import build as build_over_time
from reports.sections.verdicts import look_of
from reports.sections.working import source_of
from tests.reports import documents
from tests.reports.test_numbers import plain

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
NOW = START + timedelta(days=14)


def planned(
    key: str,
    role: Role,
    conversion: Conversion = Conversion.MACRO,
    *,
    kind: str = "conversion",
    margin: float | None = None,
    **fields: Any,
) -> PlannedMetric:
    return PlannedMetric(MetricDefinition(key, key.title(), conversion, kind, key, **fields), role, margin)


PLAN = AnalysisPlan(
    site="shop",
    experiment="free-shipping",
    time_zone="UTC",
    variants=(PlannedVariant("control", 0.5, True), PlannedVariant("banner", 0.5, False)),
    metrics=(
        planned("add_to_cart", Role.PROXY, Conversion.MILESTONE),
        planned("purchase", Role.GUARDRAIL, margin=0.1, window_hours=72.0),
        planned("revenue", Role.EXPLORATORY, kind="value_sum", cap=500.0),
    ),
    horizon_days=28,
    planned_visitors=5600,
    started_at=START,
)
FACTS = ExperimentFacts("free-shipping", "Free shipping", "shop", "Shop", Status.RUNNING, started_at=START)
RUN = RunFacts(7, True, NOW, NOW, PLAN.hash(), "0.1.0+abc", 3)


def report(document: dict[str, Any] | None = None, **changes: Any) -> ReportInput:
    base = ReportInput(
        experiment=FACTS,
        plan=PLAN,
        document=documents.document() if document is None else document,
        run=RUN,
        failure=None,
        history=(RUN,),
        now=NOW + timedelta(minutes=5),
    )
    return replace(base, **changes)


def metrics(document: dict[str, Any], **changes: Any) -> Metrics:
    view = build_metrics(report(document, **changes))
    assert view is not None
    return view


# --- Headline ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(VerdictState))
def test_look__every_state_of_the_analysis__has_a_title_of_its_own(state: VerdictState) -> None:
    look = look_of(state.value)
    assert look.state == state.value
    assert look.title != state.value.replace("_", " ").capitalize() or look.mark != "dash"


def test_look__state_of_a_newer_analysis__shows_by_its_name() -> None:
    assert look_of("ship_behind_a_holdout").title == "Ship behind a holdout"


def test_headline__half_way__says_days_visitors_and_their_share_of_the_plan() -> None:
    view = build_headline(report())
    days, visitors = view.progress
    # From 2 to 16 March 14 whole days have passed; 2,800 of 5,600 visitors are half.
    assert (days.value, visitors.value, visitors.percent) == ("14", "2,800", 50.0)
    assert "5,600" in visitors.of


def test_headline__more_than_planned__fills_the_bar_and_no_more() -> None:
    view = build_headline(report(plan=replace(PLAN, planned_visitors=100)))
    assert view.progress[1].percent == 100.0


def test_headline__next_look_known__is_when_it_could_change_in_the_sites_zone() -> None:
    document = documents.document()
    document["verdict"]["next_change"] = "2026-03-17T06:00:00+00:00"
    view = build_headline(report(document, experiment=replace(FACTS, time_zone="America/New_York")))
    # 06:00 UTC on 17 March is 02:00 in New York, which keeps summer time since 8 March.
    assert view.next_change == "Not before 17 Mar 2026, 02:00."


def test_headline__planned_data_in__asks_for_a_decision() -> None:
    assert "decide" in build_headline(report(documents.document(is_final=True))).next_change


def test_headline__reasons_as_objects_or_sentences__read_alike() -> None:
    document = documents.document()
    document["verdict"]["reasons"] = [{"code": "success_better", "text": "Rose by -1 %."}, "Plain."]
    assert build_headline(report(document)).reasons == ("Rose by −1\u202f%.", "Plain.")


# --- Health --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", list(Severity))
def test_health__every_severity_of_the_analysis__has_a_look(severity: Severity) -> None:
    assert severity.value in SEVERITIES


def test_health__mixed_findings__come_worst_first_and_the_summary_counts_them() -> None:
    found = [
        documents.finding("a", "ok", "Fine", ""),
        documents.finding("b", "blocking", "Broken", ""),
        documents.finding("c", "warning", "Odd", ""),
    ]
    view = build_health(report(documents.document(health=found)))
    assert view is not None
    assert [c.code for c in view.checks] == ["b", "c", "a"]
    assert plain(view.summary).startswith("1 problem must be mended")


def test_evidence__nested_numbers__become_readable_pairs() -> None:
    evidence = {
        "p_value": 1.3e-9,
        "observed": {"control": 1403, "banner": 1103},
        "by_day": [{"day": "Mon", "n": 2}],
        "x": None,
    }
    assert evidence_rows(evidence) == (
        ("p value", "< 0.001"),
        ("observed, control", "1,403"),
        ("observed, banner", "1,103"),
        ("Mon, n", "2"),
    )


# --- Metrics -------------------------------------------------------------------------------------------------------------


def test_metrics__three_roles__give_three_tables_in_the_order_of_decision() -> None:
    assert [t.role for t in metrics(documents.document()).tables] == ["proxy", "guardrail", "exploratory"]


def test_metrics__role_that_the_page_does_not_know__is_shown_as_exploratory_not_lost() -> None:
    document = documents.document()
    document["metrics"][0]["role"] = "novel"
    tables = metrics(document).tables
    assert sum(len(t.blocks) for t in tables) == 3
    assert {b.key for b in tables[-1].blocks} == {"add_to_cart", "revenue"}


def test_metrics__control__has_values_and_no_comparison_with_itself() -> None:
    control, banner = metrics(documents.document()).tables[0].blocks[0].lines
    assert control.is_control and control.plot is None and control.p_value == ""
    assert not banner.is_control and banner.plot is not None


def test_metrics__interval__is_drawn_where_its_numbers_say() -> None:
    table = metrics(documents.document()).tables[0]
    plot = table.blocks[0].lines[1].plot
    assert plot is not None
    # Linear: the estimate lies as far between the drawn ends as its number between the numbers, here in the middle.
    assert plot.at == pytest.approx((plot.low + plot.high) / 2, abs=0.01)
    assert plot.zero < plot.low


def test_metrics__guardrail__has_its_margin_on_the_worse_side() -> None:
    table = metrics(documents.document()).tables[1]
    plot = table.blocks[0].lines[1].plot
    assert plot is not None and plot.margin is not None
    assert plot.margin == table.scale.at(-0.1) < plot.zero


def test_metrics__lower_is_better__margin_and_reading_are_mirrored() -> None:
    lower = tuple(
        replace(m, metric=replace(m.metric, direction=Direction.DECREASE)) if m.metric.key != "revenue" else m
        for m in PLAN.metrics
    )
    view = metrics(documents.document(), plan=replace(PLAN, metrics=lower))
    outcome = view.tables[0].blocks[0].lines[1].outcome
    assert outcome is not None and outcome.tone == "worse"
    plot = view.tables[1].blocks[0].lines[1].plot
    assert plot is not None and plot.margin is not None
    assert plot.margin > plot.zero


def test_metrics__not_computable__is_its_sentence_and_never_a_number() -> None:
    view = metrics(documents.five_variants())
    lines = view.tables[1].blocks[0].lines[1:]
    assert all(line.sentence.startswith("Too few conversions") for line in lines)
    assert all(line.lift == line.p_value == "" and line.plot is None for line in lines)


def test_metrics__health_check_blocks__offers_no_reading_and_says_so() -> None:
    broken = documents.document(health=[documents.finding("sample_ratio", "blocking", "The split is broken", "")])
    view = metrics(broken)
    assert view.warning
    outcome = view.tables[0].blocks[0].lines[1].outcome
    assert outcome is not None and (outcome.word, outcome.tone) == ("Not to be trusted", "open")


def test_metrics__test_that_crossed_its_bound__shows_the_lift_corrected_for_stopping() -> None:
    document = documents.document()
    comparison = document["metrics"][0]["comparisons"][0]
    comparison |= {
        "claim": "better",
        "adjusted_p_value": 0.0001,
        "looks": [{"day": 7, "information": 0.25, "z": 4.5, "bound": 4.333, "futility": -1.026}],
        "stopped": {
            "day": 7,
            "p_value": 0.0004,
            "effect": 0.03,
            "ci_low": 0.01,
            "ci_high": 0.05,
            "lift": 0.1,
            "lift_ci_low": 0.04,
            "lift_ci_high": 0.16,
        },
    }
    view = metrics(document)
    block = view.tables[0].blocks[0]
    assert (plain(block.lines[1].lift), plain(block.lines[1].lift_interval)) == ("+10.0 %", "+4.0 % to +16.0 %")
    assert block.lines[1].p_value == "< 0.001"
    # The values beside it are of all data, so the reader must learn that the lift is not.
    assert block.lines[1].outcome is not None and block.lines[1].outcome.word == "Better (lift of day 7)"
    working = block.working.comparisons[0]
    labels = [r.label for r in working.rows]
    assert "Relative lift when decided, corrected for stopping there" in labels
    assert "Relative lift of all data, not corrected" in labels
    assert [(x.day, x.bound, plain(x.futility)) for x in working.looks] == [("7", "4.333", "-1.026")]
    assert "looking every day does no harm" in view.meaning


def test_metrics__sequential_and_not_decided__shows_the_p_value_that_belongs_to_its_interval() -> None:
    document = documents.document()
    comparison = document["metrics"][0]["comparisons"][0]
    comparison |= {"claim": "open", "p_value": 0.21, "adjusted_p_value": 0.42, "is_unlikely_to_win": True}
    comparison["looks"] = [{"day": 7, "information": 0.25, "z": 2.1, "bound": 4.333, "futility": None}]
    line = metrics(document).tables[0].blocks[0].lines[1]
    assert line.p_value == "0.210"
    assert line.outcome is not None and line.outcome.word == "Unlikely to win"


def test_metrics__guardrail_harmed_at_an_earlier_look__shows_all_data_and_names_the_day() -> None:
    document = documents.document()
    comparison = next(m for m in document["metrics"] if m["key"] == "purchase")["comparisons"][0]
    comparison["looks"] = [{"day": 9, "information": 0.3, "z": -4.0, "bound": 3.7, "futility": None}]
    seen = {"day": 9, "effect": -0.02, "ci_low": -0.03, "ci_high": -0.001, "p_value": 0.04, "alpha": 0.1}
    seen |= {"lift": -0.4, "lift_ci_low": -0.6, "lift_ci_high": -0.02}
    comparison |= {"lift": -0.3, "lift_ci_low": -0.5, "lift_ci_high": 0.01, "p_value": 0.06}
    comparison["guardrail"] = {"outcome": "harm", "worsening": seen}
    block = next(b for t in metrics(document).tables for b in t.blocks if b.key == "purchase")
    line = block.lines[1]
    assert (plain(line.lift), plain(line.lift_interval), line.p_value) == ("-30.0 %", "-50.0 % to +1.0 %", "0.060")
    assert line.outcome is not None and line.outcome.word == "Harm (day 9)"
    labels = [row.label for row in block.working.comparisons[0].rows]
    assert "Relative lift on day 9, when the harm bound was crossed" in labels


def test_metrics__nothing_can_be_compared_for_one_reason__says_it_once_and_draws_no_axis() -> None:
    document = documents.document()
    early = {"code": "too_early", "detail": "Effects are shown from day 7 on; this is day 3."}
    for metric in document["metrics"]:
        metric["comparisons"] = [{"variant": "banner", "not_computable": early}]
    view = metrics(document)
    assert view.meaning == early["detail"]
    assert all(not line.sentence for table in view.tables for block in table.blocks for line in block.lines)
    assert not any(table.has_lifts for table in view.tables)


def test_metrics__nobody_through_the_window_yet__says_so_instead_of_none_of_none() -> None:
    document = documents.document()
    document["metrics"][0]["values"][0] |= {"visitors": 0, "exposed": 1403, "converted": 0, "value": None}
    line = metrics(document).tables[0].blocks[0].lines[0]
    assert (line.counted, line.value) == ("none through their window yet", "–")


def test_metrics__no_lift_over_a_control_of_zero__shows_the_effect_and_says_why() -> None:
    document = documents.document()
    comparison = document["metrics"][0]["comparisons"][0]
    comparison |= {"lift": None, "lift_ci_low": None, "lift_ci_high": None}
    comparison["lift_not_computable"] = {"code": "baseline_is_zero", "detail": "The control has none."}
    line = metrics(document).tables[0].blocks[0].lines[1]
    assert line.sentence == "The control has none."
    assert plain(line.effect) == "+4.21 pp"
    assert line.plot is None


@pytest.mark.parametrize("outcome", list(GuardrailOutcome))
def test_outcome__every_outcome_of_a_guardrail__has_a_word(outcome: GuardrailOutcome) -> None:
    assert outcome_of({"guardrail": {"outcome": outcome.value}}, None) is GUARDRAIL[outcome.value]


def test_outcome__safe_but_a_small_drop_is_likely__is_not_painted_green() -> None:
    guardrail = {"outcome": "safe", "is_small_drop_likely": True}
    assert outcome_of({"guardrail": guardrail}, None).tone == "worse"


@pytest.mark.parametrize(
    ("low", "high", "tone"), [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.1, 0.1, "open"), (None, None, "open")]
)
def test_outcome__interval__says_better_worse_or_open(low: float | None, high: float | None, tone: str) -> None:
    assert outcome_of({"ci_low": low, "ci_high": high}, None).tone == tone


def test_working__each_method__names_its_literature() -> None:
    assert all(source_of(method.key) for method in METHODS)


def test_working__visitors_still_inside_their_window__are_counted_apart() -> None:
    document = documents.document()
    document["metrics"][0]["values"][0]["exposed"] = 1500
    rows = {r.label: r.text for r in metrics(document).tables[0].blocks[0].working.inputs[0].rows}
    assert rows["Visitors exposed"] == "1,500"
    assert rows["Not followed long enough"] == "97"
    assert rows["Visitors counted"] == "1,403"


@pytest.mark.parametrize(("hours", "text"), [(24.0, "1 day"), (72.0, "3 days"), (1.0, "1 hour"), (36.0, "36 hours")])
def test_window__whole_days__are_days(hours: float, text: str) -> None:
    assert plain(window(hours)) == text


# --- Exposures and method ------------------------------------------------------------------------------------------------


def test_exposures__day_without_visitors__is_a_zero_not_a_gap() -> None:
    days, counts = without_gaps(["2026-02-27", "2026-03-02"], [[3, 4], [5, 6]], 2)
    assert days == ("2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02")
    assert counts == ((3, 4), (0, 0), (0, 0), (5, 6))


def test_exposures__table__adds_up_to_the_chart() -> None:
    view = build_exposures(report(run=replace(RUN, as_of=NOW + timedelta(days=40))))
    assert view is not None
    assert [row.total.replace(",", "") for row in view.rows] == [str(sum(c)) for c in view.counts]
    assert view.rows[0].label == "Mon 2 Mar"


def test_exposures__day_of_the_analysis__is_in_the_table_and_not_in_the_drawing() -> None:
    # 30 March 00:30 UTC is still 29 March in New York, the last of the 28 days.
    at = datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    facts = replace(FACTS, time_zone="America/New_York")
    view = build_exposures(report(experiment=facts, run=replace(RUN, as_of=at)))
    assert view is not None
    assert (len(view.days), len(view.rows)) == (27, 28)
    assert "Today is not over" in view.summary


def test_method__plan__is_told_with_its_hash_and_the_run_on_screen() -> None:
    view = build_method(report())
    assert view is not None
    facts = {f.label: f for f in view.plan_facts}
    assert facts["Frozen plan"].code == PLAN.hash()
    assert "4 weeks" in plain(facts["Planned time"].text)
    assert [(m.name, plain(m.window), plain(m.margin)) for m in view.plan_metrics] == [
        ("Add_To_Cart", "no limit", "–"),
        ("Purchase", "3 days", "10 %"),
        ("Revenue", "no limit", "–"),
    ]
    assert [r.is_shown for r in view.runs] == [True]


def test_sections__no_answer_yet__show_nothing_invented() -> None:
    empty = replace(report(), document=None, run=None, history=())
    assert build_metrics(empty) is None
    assert build_health(empty) is None
    assert build_exposures(empty) is None
    assert build_headline(empty).look.state == "waiting"


@pytest.mark.parametrize(
    ("low", "high", "is_selected", "word"),
    [
        (0.01, 0.02, True, "Hint: better"),
        (-0.02, -0.01, True, "Hint: worse"),
        (0.01, 0.02, False, "Not clear"),
        (-0.01, 0.02, True, "Not clear"),
        (0.01, 0.02, None, "Not clear"),
    ],
)
def test_outcome__exploratory_metric__is_a_hint_at_most(
    low: float, high: float, is_selected: bool | None, word: str
) -> None:
    definition = MetricDefinition("m", "M", Conversion.MILESTONE, "conversion", "m")
    comparison: dict[str, Any] = {"ci_low": low, "ci_high": high, "claim": "open"}
    if is_selected is not None:
        comparison["discovery"] = {"is_selected": is_selected, "rate": 0.1, "selected": 1, "tests": 4}
    outcome = outcome_of(comparison, PlannedMetric(definition, Role.EXPLORATORY))
    assert (outcome.word, outcome.tone) == (word, "open")


def _timed(**entry: Any) -> dict[str, Any]:
    weeks = {
        "weeks": [
            {
                "starts_at": f"2026-03-{day:02}T00:00:00+00:00",
                "values": [
                    {"variant": "control", "visitors": 400, "value": 0.1},
                    {"variant": "banner", "visitors": 410, "value": None},
                ],
                "comparisons": [
                    {"variant": "banner", "effect": 0.02, "ci_low": -0.01, "ci_high": None, "alpha": 0.05}
                    if day == 2
                    else {"variant": "banner", "not_computable": {"code": "no_visitors", "detail": "Nobody."}}
                ],
            }
            for day in (2, 9)
        ],
        "same_effect_p": {"banner": 0.25},
    }
    delays = {
        "hours": [3.6 * n for n in range(1, 21)],
        "curves": [
            {"variant": "control", "visitors": 400, "shares": [n / 200 for n in range(1, 21)]},
            {"variant": "banner", "visitors": 410, "shares": [n / 100 for n in range(1, 21)]},
        ],
        "checks": [
            {"variant": "banner", "half_window_lift": 0.5, "full_window_lift": 0.1, "p_value": 0.0004, "crosses": False}
        ],
    }
    trend = {"variant": "banner", "visitors": 810, "lifts": [0.5, None, 0.01], "p_value": 0.02}
    metric = {"key": "purchase", "weeks": weeks, "delays": delays, "novelty": [trend]} | entry
    return documents.document(timing={"label": "exploratory", "metrics": [metric], "before": []})


def test_over_time__weeks_and_delays__are_tables_with_intervals_and_a_label() -> None:
    view = build_over_time(report(document=_timed()))
    assert view is not None
    assert "Exploratory" in view.meaning
    (block,) = view.blocks
    assert block.weeks is not None and block.delays is not None
    assert [row.label for row in block.weeks.rows] == ["Week of 2 Mar 2026", "Week of 9 Mar 2026"]
    first, second = ([plain(cell) for cell in row.cells] for row in block.weeks.rows)
    assert first == ["10.00 % of 400", "– of 410", "+2.00 pp (above -1.00 pp)"]
    assert second[-1] == "–"
    assert block.weeks.columns == ("control", "banner", "banner, effect")
    assert "p = 0.250" in block.weeks.reading
    labels = [plain(row.label) for row in block.delays.rows]
    assert labels == ["within 7.2 h", "within 18 h", "within 36 h", "within 2.25 days", "within 3 days"]
    assert [plain(cell) for cell in block.delays.rows[-1].cells] == ["10.00 %", "20.00 %"]
    assert block.days is not None
    assert [(row.label, *map(plain, row.cells)) for row in block.days.rows] == [
        ("Day 1", "+50.0 %"),
        ("Day 2", "–"),
        ("Day 3", "+1.0 %"),
    ]
    assert "810 visitors" in plain(block.days.reading) and "banner: p = 0.020" in block.days.reading
    assert "+50.0 % by half of the window and at +10.0 % by its end" in plain(block.delays.reading)


def test_over_time__new_and_returning_visitors__are_a_table_with_its_test() -> None:
    def group(name: str, effect: float) -> dict[str, Any]:
        values = [{"variant": v, "visitors": 400, "value": 0.1} for v in ("control", "banner")]
        compared = {
            "variant": "banner",
            "effect": effect,
            "ci_low": effect - 0.01,
            "ci_high": effect + 0.01,
            "alpha": 0.05,
        }
        return {"group": name, "values": values, "comparisons": [compared]}

    groups = [group("new", 0.0), group("returning", 0.05)]
    entry = {"groups": groups, "same_effect_p": {"banner": 0.003}}
    view = build_over_time(report(document=_timed(weeks=None, delays=None, novelty=[], newcomers=entry)))
    assert view is not None
    table = view.blocks[0].newcomers
    assert table is not None
    assert [row.label for row in table.rows] == ["New visitors", "Returning visitors"]
    assert plain(table.rows[1].cells[-1]) == "+5.00 pp (+4.00 pp to +6.00 pp)"
    assert "p = 0.003" in table.reading


def test_over_time__variants_with_names__go_by_them() -> None:
    document = _timed()
    document["variants"] = [dict(v, name=f"The {v['key']}") for v in document["variants"]]
    view = build_over_time(report(document=document))
    assert view is not None
    block = view.blocks[0]
    assert block.weeks is not None and block.curves is not None
    assert block.weeks.columns == ("The control", "The banner", "The banner, effect")
    assert block.curves.variants == ("The control", "The banner")


def test_over_time__nothing_known_of_time__is_not_there() -> None:
    assert build_over_time(report(document=_timed(weeks=None, delays=None, novelty=[]))) is None
    assert build_over_time(report(document=documents.document())) is None
    assert build_over_time(report(document=None)) is None


def test_over_time__on_the_page__names_each_table() -> None:
    view = build_over_time(report(document=_timed()))
    assert view is not None
    name = view.blocks[0].name
    html = render_to_string(OVER_TIME.template, {"view": view, "key": OVER_TIME.key, "title": OVER_TIME.title})
    assert f"{name}, by week of the first exposure" in html and f"{name}, how long it takes" in html
    assert html.count("<table") == 3


def test_method__weights_that_changed__are_told_with_their_times() -> None:
    periods = (AllocationPeriod(START, (0.9, 0.1)), AllocationPeriod(START + timedelta(days=1), (0.5, 0.5)))
    view = build_method(report(plan=replace(PLAN, periods=periods)))
    assert view is not None
    (fact,) = (f for f in view.plan_facts if f.label == "Weights changed")
    assert plain(fact.text).startswith("from 2 Mar 2026, 06:00: 90 % : 10 %; from 3 Mar 2026, 06:00: 50 % : 50 %")
    assert "Weights changed" not in {f.label for f in build_method(report()).plan_facts}  # type: ignore[union-attr]
