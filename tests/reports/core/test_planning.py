"""The planner side by side: sizes as statsmodels has them, a recommendation in words, the past counted by hand."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint, samplesize_proportions_2indep_onetail

from experiments.core.metrics import Conversion, Direction, MetricDefinition, Role
from experiments.core.plan import Futility
from experiments.core.refusal import Refused
from reports.core.planning.advice import Advice, recommend
from reports.core.planning.ask import read_ask
from reports.core.planning.past import (
    Baseline,
    NoBaseline,
    baseline_of,
    given_rate,
    given_traffic,
    period,
    traffic_of,
)
from reports.core.planning.site_plan import Candidate, MetricPlan, SitePlan, plan_site
from reports.core.planning.wire import to_document
from reports.core.progress import microseconds
from reports.core.sequential.design import Schedule
from reports.sections.plan_words import plan_lines
from tracking.core.history import VisitorHistory


def metric(key: str, conversion: Conversion = Conversion.MACRO, **fields: object) -> MetricDefinition:
    values = {"name": key.title(), "kind": "conversion", "event": key} | fields
    return MetricDefinition(key=key, conversion=conversion, **values)  # type: ignore[arg-type]


PURCHASE = Candidate(metric("purchase"), given_rate(0.015))
CART = Candidate(metric("cart", Conversion.MILESTONE), given_rate(0.12))


def plan(*candidates: Candidate, per_day: float = 300, **asked: str) -> SitePlan:
    ask = read_ask({name: [value] for name, value in ({"lift": "15%"} | asked).items()})
    return plan_site(ask, site="shop", traffic=given_traffic(per_day * 7), candidates=candidates or (PURCHASE, CART))


def test_plan_site__300_visitors_a_day__recommends_the_micro_with_the_macro_as_guardrail() -> None:
    # FEATURES N12: macro 1.5 %, micro 12 %, 15 % lift.
    found = plan()
    for one, rate in zip(found.metrics, (0.015, 0.12), strict=True):
        assert one.one_look is not None and one.question is not None and one.duration is not None
        textbook = samplesize_proportions_2indep_onetail(rate * 0.15, rate, 0.8, alpha=0.05, alternative="two-sided")
        assert one.one_look == pytest.approx(2 * textbook, rel=0.01)
        # A power of 0.8 for success and guardrail together is 0.9 for each, where there is another guardrail.
        power = 0.8 if one.key == "purchase" else 0.9
        each = samplesize_proportions_2indep_onetail(rate * 0.15, rate, power, alpha=0.05, alternative="two-sided")
        inflation = Schedule(56).design(alpha=0.05, power=power).inflation
        assert one.duration.total == pytest.approx(2 * each * inflation, rel=0.01)
    advice = recommend(found)
    assert advice.advice is Advice.RUN_ON_MICRO
    assert found.decide_by == "cart"
    text = " ".join([advice.sentence, *advice.reasons])
    for one in found.metrics:
        assert one.duration is not None
        assert f"{math.ceil(one.duration.total / 300)} days" in text
    assert "guardrail" in text and "margin of 10 %" in text


def test_plan_site__macro_in_time__is_decided_by_itself() -> None:
    found = plan(per_day=20_000)
    assert found.decide_by == "purchase"
    assert recommend(found).advice is Advice.RUN


def test_plan_site__hardly_any_traffic__says_what_lift_could_be_found() -> None:
    found = plan(per_day=20)
    advice = recommend(found)
    assert advice.advice is Advice.DO_NOT_RUN
    smallest = found.of("cart").lift_in(8)
    assert smallest is not None and smallest > 0.15
    assert f"lifts above {smallest * 100:.1f} %" in advice.sentence


def test_plan_site__weeks_at_hand__are_the_longest_horizon() -> None:
    assert plan().of("cart").weeks == 8
    short = plan(weeks="6")
    assert short.of("cart").weeks is None
    assert recommend(short).advice is Advice.DO_NOT_RUN
    assert "6 weeks" in recommend(short).sentence


def test_plan_site__guardrail__is_judged_at_the_horizon_of_the_metric_that_decides() -> None:
    found = plan(lift="30%")
    cart, purchase = found.of("cart"), found.of("purchase")
    assert cart.weeks is not None and cart.weeks < 8
    assert purchase.outlook is not None and purchase.outlook_weeks == cart.weeks
    assert purchase.outlook.conversions_per_variant == pytest.approx(300 * 7 * cart.weeks / 2 * 0.015)


def test_plan_site__least_margin__is_shown_safe_in_half_of_the_cases() -> None:
    outlook = plan().of("purchase").outlook
    assert outlook is not None and outlook.least_margin is not None and not outlook.is_powered
    again = plan(margin=f"{outlook.least_margin:.6f}").of("purchase").outlook
    assert again is not None and again.chance_of_safe == pytest.approx(0.5, abs=1e-3)


def test_plan_site__lower_is_better__plans_a_fall_of_the_same_size_as_a_rise_of_the_others() -> None:
    bounce = Candidate(metric("bounce", Conversion.MILESTONE, direction=Direction.DECREASE), given_rate(0.4))
    stay = Candidate(metric("stay", Conversion.MILESTONE), given_rate(0.6))
    fall, rise = plan(bounce, lift="15%").metrics[0], plan(stay, lift="10%").metrics[0]
    assert fall.duration is not None and rise.duration is not None
    assert fall.lift == -0.15
    assert fall.duration.total == rise.duration.total  # 40 % to 34 % is 60 % to 66 %
    assert [lift < 0 for _, lift in fall.at_weeks if lift is not None] == [True] * 4


def test_plan_site__unequal_split__needs_more_by_the_textbook_factor() -> None:
    even, uneven = plan(per_day=20_000).of("cart"), plan_split((0.8, 0.2))
    assert even.one_look is not None and uneven.one_look is not None
    assert uneven.one_look / even.one_look == pytest.approx((1 + 4) ** 2 / (4 * 4))


def plan_split(weights: tuple[float, ...]) -> MetricPlan:
    ask = read_ask({"lift": ["15%"]})
    found = plan_site(ask, site="shop", traffic=given_traffic(140_000), candidates=(PURCHASE, CART), weights=weights)
    return found.of("cart")


def test_plan_site__mean__is_sized_as_statsmodels_sizes_it() -> None:
    revenue = Candidate(metric("revenue", kind="value_sum"), Baseline(2.0, 1.9, 2.1, 9_000, 12.0))
    found = plan(revenue, per_day=9_000).metrics[0]
    textbook = NormalIndPower().solve_power(2.0 * 0.15 / 12.0, alpha=0.05, power=0.8)
    assert found.one_look == pytest.approx(2 * textbook, rel=0.01)
    for weeks, lift in found.at_weeks:
        design = Schedule(7 * weeks).design(alpha=0.05, power=0.8)
        per_variant = 9_000 * 7 * weeks / 2 / design.inflation
        assert lift is not None
        assert NormalIndPower().power(lift * 2.0 / 12.0, per_variant, alpha=0.05) == pytest.approx(0.8, abs=1e-3)


def test_plan_site__roles_of_an_experiment__share_alpha_and_only_success_metrics_decide() -> None:
    proxies = [Candidate(metric(k, Conversion.MILESTONE), given_rate(0.2), Role.PROXY) for k in ("a", "b")]
    macro = Candidate(metric("purchase"), given_rate(0.3), Role.GUARDRAIL, 0.2)
    found = plan(*proxies, macro, per_day=5_000)
    assert found.decide_by == "a"
    question = found.of("a").question
    assert question is not None
    assert question.alpha_per_test == pytest.approx(0.025)


def test_plan_site__weekly_looks_without_futility__need_fewer_visitors_at_most() -> None:
    daily = plan(per_day=20_000).of("cart").duration
    ask = read_ask({"lift": ["15%"], "looks": ["weekly"], "futility": ["never"]})
    assert (ask.look_every_days, ask.futility) == (7, Futility.NEVER)
    weekly = plan_site(
        ask,
        site="shop",
        traffic=given_traffic(140_000),
        candidates=(PURCHASE, CART),
        look_every_days=7,
        futility=Futility.NEVER,
    )
    found = weekly.of("cart").duration
    assert daily is not None and found is not None
    assert found.total < daily.total
    assert to_document(weekly)["question"]["look_every_days"] == 7


def test_read_ask__looks_that_do_not_exist__is_refused_with_the_names() -> None:
    with pytest.raises(Refused) as refused:
        read_ask({"looks": ["hourly"]})
    assert refused.value.code == "looks_not_allowed" and "daily, weekly" in refused.value.message


def test_plan_site__horizon_of_the_experiment__is_in_the_table_and_told_when_it_is_too_short() -> None:
    ask = read_ask({"lift": ["15%"]})
    found = plan_site(ask, site="shop", traffic=given_traffic(2100), candidates=(PURCHASE, CART), horizon_weeks=3)
    assert [weeks for weeks, _ in found.of("cart").at_weeks] == [2, 3, 4, 6, 8]
    assert "set to 3 weeks" in recommend(found).reasons[0]


def test_plan_site__proxy_beside_a_primary__has_alpha_of_its_own_family() -> None:
    proxies = [Candidate(metric(k, Conversion.MILESTONE), given_rate(0.2), Role.PROXY) for k in ("a", "b")]
    found = plan(*proxies, Candidate(metric("purchase"), given_rate(0.3), Role.PRIMARY), per_day=5_000)
    alphas = {key: q.alpha_per_test for key in ("a", "b", "purchase") if (q := found.of(key).question) is not None}
    assert alphas == pytest.approx({"a": 0.025, "b": 0.025, "purchase": 0.05})
    # A proxy would be quicker, and may claim nothing before the primary metric is decided.
    assert found.decide_by == "purchase"
    slow = plan(*proxies, Candidate(metric("purchase"), given_rate(0.001), Role.PRIMARY), per_day=300)
    assert slow.decide_by is None
    assert recommend(slow).advice is Advice.DO_NOT_RUN


def test_plan_lines__guardrail_that_few_conversions_cannot_prove__says_so_and_from_which_margin_on_they_could() -> None:
    lines = plan_lines(to_document(plan()))
    (line,) = (one for one in lines if "it cannot be powered at this margin" in one)
    assert re.search(r"shown safe in \d+.% of cases .*half of the cases from \d+.% on", line)


def test_plan_site__experiment_without_a_planned_end__is_told_what_that_costs() -> None:
    ask = read_ask({"lift": ["15%"]})
    found = plan_site(ask, site="shop", traffic=given_traffic(20_000), candidates=(PURCHASE, CART), has_no_end=True)
    assert found.decide_by is not None
    size = found.of(found.decide_by).duration
    assert size is not None
    # 1.71 times one look, where the planned design takes `inflation` times.
    expected = f"{round(size.total / size.inflation * 1.71):,} visitors"
    assert expected in recommend(found).reasons[0]


def test_plan_site__nothing_known__says_why_for_each_metric() -> None:
    unknown = Candidate(metric("purchase"), NoBaseline("never_happened", "Nobody did it.", "Wait."))
    found = plan(unknown)
    advice = recommend(found)
    assert advice.advice is Advice.CANNOT_SAY
    assert "Nobody did it." in advice.reasons[0]
    assert to_document(found)["metrics"][0]["problem"]["code"] == "never_happened"


# --- the past -----------------------------------------------------------------------------------------------------------

TODAY = date(2026, 4, 1)  # a Wednesday


def at(day: date, hour: int = 12) -> int:
    return microseconds(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


def test_traffic_of__four_weeks_and_a_bit__takes_weekday_medians_of_the_full_weeks() -> None:
    firsts = []
    for n in range(1, 31):  # the last 30 days: 4 full weeks and two days that are left out
        day = TODAY - timedelta(days=n)
        firsts += [at(day)] * (5 if day.weekday() < 5 else 2)
    firsts += [at(TODAY - timedelta(days=3))] * 500  # one day in a storm: the median does not see it
    found = traffic_of(np.array(firsts), today=TODAY, time_zone="UTC")
    assert found is not None
    assert (found.full_weeks, found.per_week) == (4, 5 * 5 + 2 * 2)
    assert found.by_weekday == (5, 5, 5, 5, 5, 2, 2)
    assert (found.first_day, found.last_day) == ("2026-03-04", "2026-03-31")


def test_traffic_of__clocks_go_forward__days_are_those_of_the_site() -> None:
    # Lisbon moves to summer time on 29 March 2026: 23:30 UTC on the 31st is already 1 April there.
    since, until = period(TODAY, "Europe/Lisbon")
    assert until == microseconds(datetime(2026, 3, 31, 23, tzinfo=UTC))
    assert since == microseconds(datetime(2026, 2, 4, 0, tzinfo=UTC))
    late = np.array([microseconds(datetime(2026, 3, 31, 23, 30, tzinfo=UTC)), at(TODAY - timedelta(days=7))])
    found = traffic_of(late, today=TODAY, time_zone="Europe/Lisbon")
    assert found is not None
    assert sum(found.by_weekday) == 1


def test_traffic_of__a_visitor_now_and_then__falls_back_on_the_mean_of_the_weeks() -> None:
    firsts = np.array([at(TODAY - timedelta(days=n)) for n in (28, 20, 9, 1)])
    found = traffic_of(firsts, today=TODAY, time_zone="UTC")
    assert found is not None
    assert (found.full_weeks, found.per_week) == (4, 1.0)


def test_traffic_of__less_than_a_week_or_nothing__is_none() -> None:
    assert traffic_of(np.array([at(TODAY - timedelta(days=6))]), today=TODAY, time_zone="UTC") is None
    assert traffic_of(np.array([], dtype=np.int64), today=TODAY, time_zone="UTC") is None


def test_baseline_of__window__counts_only_visitors_followed_to_its_end() -> None:
    bought = metric("purchase", window_hours=48.0)
    firsts = np.array([at(TODAY - timedelta(days=n)) for n in (10, 9, 8, 1)])
    history = VisitorHistory(firsts, {"purchase": np.array([1.0, 0.0, 0.0, 1.0])})
    found = baseline_of(bought, history, as_of=at(TODAY, 0))
    assert isinstance(found, Baseline)
    assert found.visitors == 3
    assert found.value == pytest.approx(1 / 3)
    low, high = proportion_confint(1, 3, method="wilson")
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def test_baseline_of__conversion_by_kaplan_meier__is_the_share_of_those_followed_to_the_end() -> None:
    firsts = np.array([at(TODAY - timedelta(days=n)) for n in (10, 9, 8, 1)])
    history = VisitorHistory(firsts, {"purchase": np.array([5.0, np.nan, np.nan, 1.0])})
    times = replace(metric("purchase", window_hours=48.0), kind="time_to_event")
    counts = VisitorHistory(firsts, {"purchase": np.array([1.0, 0.0, 0.0, 1.0])})
    found = baseline_of(times, history, as_of=at(TODAY, 0))
    assert found == baseline_of(metric("purchase", window_hours=48.0), counts, as_of=at(TODAY, 0))
    middle = replace(metric("purchase"), kind="quantile")
    refused = baseline_of(middle, counts, as_of=at(TODAY, 0))
    assert isinstance(refused, NoBaseline) and refused.code == "kind_cannot_be_planned"


@pytest.mark.parametrize(
    ("values", "code"), [([0.0] * 9, "never_happened"), ([1.0] * 9, "nobody_else_seen"), ([], "no_history")]
)
def test_baseline_of__no_rate_to_plan_with__says_why(values: list[float], code: str) -> None:
    history = VisitorHistory(np.full(len(values), at(TODAY)), {"purchase": np.array(values)})
    found = baseline_of(metric("purchase"), history, as_of=at(TODAY, 13))
    assert isinstance(found, NoBaseline)
    assert found.code == code


# --- the question -------------------------------------------------------------------------------------------------------


def test_read_ask__per_cent_in_every_spelling__is_the_same_share() -> None:
    asked = [read_ask({"lift": ["0.15"]}), read_ask({"lift": ["15 %"]}), read_ask({"lift_percent": ["15"]})]
    assert [one.lift for one in asked] == [pytest.approx(0.15)] * 3


def test_read_ask__split_in_shares__adds_up_to_one() -> None:
    assert read_ask({"split": ["60/20/20"]}).weights == pytest.approx((0.6, 0.2, 0.2))
    assert read_ask({"variants": ["4"]}).weights == pytest.approx((0.25,) * 4)
    assert read_ask({"lift": [""], "metric": ["a", "", "b", "a"]}).metrics == ("a", "b")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lift", "much"),
        ("lift", "0"),
        ("lift", "-5%"),
        ("lift", "nan"),
        ("weeks", "2.5"),
        ("weeks", "99"),
        ("variants", "1"),
        ("split", "50/0"),
        ("split", "100"),
        ("alpha", "0.9"),
        ("power", "0.1"),
        ("margin", "2"),
        ("rate", "1"),
        ("visitors_per_week", "-3"),
        ("until", "soon"),
    ],
)
def test_read_ask__impossible_value__is_refused_with_value_and_example(name: str, value: str) -> None:
    with pytest.raises(Refused) as refused:
        read_ask({name: [value]})
    assert refused.value.code == f"{name}_not_allowed"
    assert value in refused.value.message
    assert refused.value.advice.startswith("Write it as")


def test_read_ask__unknown_name_or_split_against_variants__is_refused() -> None:
    with pytest.raises(Refused, match="no parameter 'lfit'") as refused:
        read_ask({"lfit": ["0.1"]})
    assert "lift" in refused.value.advice
    with pytest.raises(Refused, match="2 shares, but 3"):
        read_ask({"split": ["50/50"], "variants": ["3"]})


def test_plan_lines__guardrail_with_all_the_data_one_could_wish__is_never_said_to_be_certain() -> None:
    document = to_document(plan())
    for one in document["metrics"]:
        if one["guardrail"] is not None:
            one["guardrail"] |= {"chance_of_safe": 0.9999, "is_powered": True}
    shown = [line for line in plan_lines(document) if "shown safe" in line]
    assert shown and all("99" in line and "100" not in line for line in shown)
