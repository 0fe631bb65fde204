"""The simulator against what its parameters say, within standard errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reports.core.shop import Shop, SideAction, SimulatedExperiment, SimulatedVariant, Step, Trait
from reports.core.simulate import MICROSECONDS_PER_DAY, NOT_IN, Traffic, simulate

MONDAY = 19_723 * MICROSECONDS_PER_DAY  # 1 January 2024

FUNNEL = (Step("view_product", 0.45), Step("add_to_cart", 0.4), Step("checkout_start", 0.6), Step("purchase", 0.5))
SHOP = Shop(
    start=MONDAY,
    days=21,
    visitors_per_day=2_000,
    funnel=FUNNEL,
    side_actions=(SideAction("newsletter", (0.02, 0.04, 0.08, 0.11, 0.15)),),
)


def share_of_visitors(traffic: Traffic, event: str, among: np.ndarray | None = None) -> tuple[float, int]:
    index = traffic.shop.event_names.index(event)
    did = np.zeros(traffic.arrivals.visitors, dtype=bool)
    did[traffic.actions.visitor[traffic.actions.event == index]] = True
    chosen = did if among is None else did[among]
    return float(chosen.mean()), len(chosen)


def assert_within(measured: float, expected: float, n: int, errors: float = 4.0) -> None:
    assert abs(measured - expected) <= errors * np.sqrt(expected * (1 - expected) / n), (measured, expected, n)


def test_simulate__same_seed__same_traffic() -> None:
    one, two = (simulate(SHOP, np.random.default_rng(7)) for _ in range(2))
    other = simulate(SHOP, np.random.default_rng(8))

    for name in ("visitor", "visit", "event", "time", "value"):
        np.testing.assert_array_equal(getattr(one.actions, name), getattr(two.actions, name))
    assert len(one.actions.time) != len(other.actions.time) or (one.actions.time != other.actions.time).any()


def test_simulate__single_visits__step_shares_are_products_of_the_rates() -> None:
    traffic = simulate(SHOP, np.random.default_rng(1))

    expected = 1.0
    for step in FUNNEL:
        expected *= step.rate
        share, n = share_of_visitors(traffic, step.event)
        # Lags push about 1 in 1,000 of the actions over the end of the last day.
        assert abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / n) + 0.001 * expected


def test_simulate__side_action__follows_the_depth_of_the_visit() -> None:
    traffic = simulate(SHOP, np.random.default_rng(2))

    reach = np.cumprod([1.0] + [s.rate for s in FUNNEL])
    exactly = np.append(reach[:-1] - reach[1:], reach[-1])
    expected = float(exactly @ np.asarray(SHOP.side_actions[0].rates))
    share, n = share_of_visitors(traffic, "newsletter")
    assert_within(share, expected, n)


def test_simulate__weekday_factors__days_get_their_share() -> None:
    factors = (1.2, 1.1, 1.0, 1.0, 0.9, 0.7, 1.1)
    traffic = simulate(replace(SHOP, weekday_factors=factors, days=28), np.random.default_rng(3))

    day = (traffic.arrivals.visit_time - MONDAY) // MICROSECONDS_PER_DAY
    counts = np.bincount(day % 7, minlength=7)
    expected = 4 * 2_000 * np.asarray(factors)
    assert (np.abs(counts - expected) <= 4 * np.sqrt(expected)).all()  # a Poisson count has its mean as variance


def test_simulate__visits_and_actions__are_in_order_and_inside_the_days() -> None:
    traffic = simulate(replace(SHOP, return_rate=0.4), np.random.default_rng(4))

    end = MONDAY + SHOP.days * MICROSECONDS_PER_DAY
    for time in (traffic.arrivals.visit_time, traffic.actions.time):
        assert (np.diff(time) >= 0).all()
        assert time.min() >= MONDAY and time.max() < end
    assert (traffic.actions.time >= traffic.arrivals.visit_time[traffic.actions.visit]).all()


def test_simulate__every_step__comes_after_the_step_before() -> None:
    actions = simulate(SHOP, np.random.default_rng(5)).actions
    time_of = {
        (int(visit), int(event)): int(time)
        for visit, event, time in zip(actions.visit, actions.event, actions.time, strict=True)
        if event < len(FUNNEL)
    }

    for (visit, event), time in time_of.items():
        if event:
            assert time_of[visit, event - 1] <= time


def test_simulate__return_rate__mean_visits_is_geometric() -> None:
    # Gaps are short against 60 days, so nearly no return falls outside; only the first 30 days' visitors are counted.
    shop = replace(SHOP, days=60, visitors_per_day=500, return_rate=0.3, return_gap_days=1.0)
    traffic = simulate(shop, np.random.default_rng(6))

    visits = np.bincount(traffic.arrivals.visit_visitor, minlength=traffic.arrivals.visitors)
    early = visits[: traffic.arrivals.visitors // 2]
    mean, variance = 1 / 0.7, 0.3 / 0.7**2
    assert abs(early.mean() - mean) <= 4 * np.sqrt(variance / len(early))


def test_simulate__devices__traits_scale_every_step() -> None:
    shop = replace(SHOP, devices=(Trait("mobile", 0.6, 0.9), Trait("desktop", 0.4, 1.2)))
    traffic = simulate(shop, np.random.default_rng(9))

    is_mobile = traffic.arrivals.device == 0
    assert_within(float(is_mobile.mean()), 0.6, len(is_mobile))
    for among, factor in ((is_mobile, 0.9), (~is_mobile, 1.2)):
        share, n = share_of_visitors(traffic, "add_to_cart", among)
        assert_within(share, 0.45 * factor * 0.4 * factor, n)


def test_simulate__order_values__are_log_normal() -> None:
    traffic = simulate(SHOP, np.random.default_rng(10))

    orders = traffic.actions.event == 3
    logs = np.log(traffic.actions.value[orders])
    assert np.isnan(traffic.actions.value[~orders]).all()
    assert abs(logs.mean() - np.log(50)) <= 4 * 0.7 / np.sqrt(len(logs))
    assert abs(logs.std() - 0.7) <= 4 * 0.7 / np.sqrt(2 * len(logs))


def with_effects(lost: float = 0.0, **factors: float) -> Shop:
    variants = (SimulatedVariant("control"), SimulatedVariant("treatment", factors=factors, lost_exposures=lost))
    return replace(SHOP, experiments=(SimulatedExperiment("e", variants, start_day=7),))


def test_simulate__bait_and_switch__gains_the_micro_and_loses_the_macro() -> None:
    traffic = simulate(with_effects(add_to_cart=1.3, purchase=0.6), np.random.default_rng(11))

    variant = traffic.variants["e"]
    for index, cart, purchase in ((0, 1.0, 1.0), (1, 1.3, 0.6)):
        among = variant == index
        share, n = share_of_visitors(traffic, "add_to_cart", among)
        assert_within(share, 0.45 * 0.4 * cart, n)
        share, n = share_of_visitors(traffic, "purchase", among)
        expected = 0.45 * 0.4 * cart * 0.6 * 0.5 * purchase
        assert abs(share - expected) <= 4 * np.sqrt(expected / n) + 0.001 * expected


def test_simulate__visitor_before_the_start__is_not_in_the_experiment() -> None:
    traffic = simulate(with_effects(add_to_cart=1.3), np.random.default_rng(12))

    start = MONDAY + 7 * MICROSECONDS_PER_DAY
    early = traffic.arrivals.visit_visitor[traffic.arrivals.visit_time < start]
    assert (traffic.variants["e"][early] == NOT_IN).all()
    share, n = share_of_visitors(traffic, "add_to_cart", early)
    assert_within(share, 0.45 * 0.4, n)
    assert traffic.meetings["e"].time.min() >= start


def test_simulate__lost_exposures__thin_out_one_variant_only() -> None:
    traffic = simulate(with_effects(lost=0.2), np.random.default_rng(13))

    variant = traffic.variants["e"][traffic.meetings["e"].visitor]
    recorded = traffic.recorded["e"]
    assert recorded[variant == 0].all()
    treated = recorded[variant == 1]
    assert_within(float(treated.mean()), 0.8, len(treated))


def test_simulate__two_experiments__effects_multiply() -> None:
    def experiment(key: str) -> SimulatedExperiment:
        return SimulatedExperiment(key, (SimulatedVariant("a"), SimulatedVariant("b", factors={"view_product": 1.25})))

    traffic = simulate(replace(SHOP, experiments=(experiment("e"), experiment("f"))), np.random.default_rng(14))

    both = (traffic.variants["e"] == 1) & (traffic.variants["f"] == 1)
    share, n = share_of_visitors(traffic, "view_product", both)
    assert_within(share, 0.45 * 1.25**2, n)


@pytest.mark.parametrize(
    "change",
    [
        {"return_rate": 1.0},
        {"weekday_factors": (1.0,)},
        {"funnel": ()},
        {"side_actions": (SideAction("newsletter", (0.1,)),)},
    ],
)
def test_shop__impossible_values__are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(SHOP, **change)  # type: ignore[arg-type]


def test_step_and_weights__impossible_values__are_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.2"):
        Step("view", 1.2)
    with pytest.raises(ValueError, match="add up"):
        SimulatedExperiment("e", (SimulatedVariant("a", 0.5), SimulatedVariant("b", 0.4)))
