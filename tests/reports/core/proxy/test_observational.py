"""Ranking micro conversions from history: known truths are recovered, and doubt is raised where it is due."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import Table2x2

from experiments.core.metrics import Conversion
from reports.core.methods.base import NotComputable
from reports.core.proxy.observational.association import Cells, associate
from reports.core.proxy.observational.doubly_robust import Adjusted, adjusted_association
from reports.core.proxy.observational.journeys import Journeys, Micro
from reports.core.proxy.observational.quality import proxy_quality, sign_agreement, visitors_ratio
from reports.core.proxy.observational.ranking import Candidate, Doubt, rank_micros

LATENT = np.diag([0.01, 0.02, 0.02])


def after(rng: np.random.Generator, did: np.ndarray, start: np.ndarray | float, mean_hours: float) -> np.ndarray:
    """Return hours at which those who `did` did it, after `start`; NaN for the others."""
    return np.where(did, start + rng.exponential(mean_hours, len(did)), np.nan)


def a_shop(
    visitors: int = 60_000, *, newsletter_effect: float = 0.0, seed: int = 5, **changes: Any
) -> tuple[Journeys, np.ndarray]:
    """A funnel view -> cart -> purchase in which the depth reached drives both the newsletter and the purchase."""
    rng = np.random.default_rng(seed)
    views = rng.random(visitors) < 0.5
    view_hours = after(rng, views, 0.0, 0.02)
    carts = views & (rng.random(visitors) < 0.3)
    cart_hours = after(rng, carts, view_hours, 0.05)
    depth = views.astype(int) + carts
    subscribes = rng.random(visitors) < np.array([0.02, 0.06, 0.3])[depth]
    news_hours = after(rng, subscribes, np.nan_to_num(np.where(carts, cart_hours, view_hours)), 0.01)
    chance = np.array([0.002, 0.01, 0.3])[depth] + newsletter_effect * subscribes
    buys = rng.random(visitors) < chance
    macro_hours = after(rng, buys, 0.5 + 1e-6, 40.0)
    micros = (
        Micro("view", "View", Conversion.MILESTONE, view_hours, funnel_order=1),
        Micro("cart", "Cart", Conversion.MILESTONE, cart_hours, funnel_order=2),
        Micro("newsletter", "Newsletter", Conversion.SECONDARY, changes.get("news_hours", news_hours)),
    )
    return Journeys(micros, macro_hours, rng.normal(size=(visitors, 2))), depth


def ranked(journeys: Journeys, **changes: Any) -> dict[str, Candidate]:
    options = {"visitors_per_variant": 5_000, "rng": np.random.default_rng(1), "draws": 20} | changes
    return {c.key: c for c in rank_micros(journeys, LATENT, **options)}


def test_associate__a_table_of_four__equals_statsmodels_and_the_books() -> None:
    cells = Cells(both=40, micro_only=160, macro_only=30, neither=770)

    found = associate(cells)

    table = Table2x2(np.array([[40, 160], [30, 770]]))
    assert found.risk_ratio == pytest.approx(table.riskratio)
    assert found.risk_difference == pytest.approx(40 / 200 - 30 / 800)
    assert found.reach.value == pytest.approx(0.2)
    assert found.risk_ratio_interval is not None and found.risk_ratio_interval.excludes(1)
    # The E-value of the limit: RR + sqrt(RR (RR - 1)), VanderWeele & Ding (2017).
    low = found.risk_ratio_interval.low
    assert found.e_value == pytest.approx(low + math.sqrt(low * (low - 1)))


def test_associate__independent__information_is_nothing_on_average() -> None:
    rng = np.random.default_rng(2)
    corrected = []
    for _ in range(400):
        did, macro = rng.random(300) < 0.3, rng.random(300) < 0.2
        counts = np.bincount(2 * did + macro, minlength=4)
        corrected.append(associate(Cells(*(int(counts[n]) for n in (3, 2, 1, 0)))).mutual_information)
    # Uncorrected it would be 1 / 600 on average; the correction (held at 0) leaves less than half a standard chi-square of it.
    assert np.mean(corrected) < 0.5 / 300


def test_associate__nobody_did_the_micro__says_so_instead_of_a_number() -> None:
    found = associate(Cells(both=0, micro_only=0, macro_only=5, neither=95))

    assert found.risk_ratio is None and found.risk_difference is None and found.e_value is None
    assert found.with_micro.is_thin


def test_adjusted__a_known_effect__is_recovered_within_its_interval() -> None:
    rng = np.random.default_rng(3)
    wish = rng.normal(size=40_000)
    did = rng.random(40_000) < 1 / (1 + np.exp(1.5 - wish))
    chance = 1 / (1 + np.exp(2.5 - wish)) + 0.05 * did
    bought = rng.random(40_000) < chance

    found = adjusted_association(did.astype(float), bought.astype(float), wish[:, None], rng)

    assert isinstance(found, Adjusted)
    assert found.interval.low < 0.05 < found.interval.high
    assert found.interval.high - found.interval.low < 0.03
    raw = bought[did].mean() - bought[~did].mean()
    assert raw > found.interval.high
    truth = 1 - (1 / (1 + np.exp(2.5 - wish))).mean() / chance.mean()
    assert found.ceiling_interval.low < truth < found.ceiling_interval.high


def test_adjusted__200_worlds_without_effect__interval_holds_zero_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    missed = 0
    for _ in range(200):
        wish = rng.normal(size=1_500)
        did = rng.random(1_500) < 1 / (1 + np.exp(1 - wish))
        bought = rng.random(1_500) < 1 / (1 + np.exp(1.5 - wish))
        found = adjusted_association(did.astype(float), bought.astype(float), wish[:, None], rng)
        assert isinstance(found, Adjusted)
        missed += found.interval.excludes(0)
    assert missed <= stats.binom.ppf(0.9995, 200, 0.05)


def test_adjusted__few_macro_conversions__gives_the_reason() -> None:
    did = np.array([1.0] * 50 + [0.0] * 50)
    bought = np.array([1.0] * 3 + [0.0] * 97)

    found = adjusted_association(did, bought, np.zeros((100, 1)), np.random.default_rng(0))

    assert isinstance(found, NotComputable)


def test_rank__newsletter_without_effect__association_vanishes_with_depth_and_is_said_to() -> None:
    journeys, _ = a_shop()

    newsletter = ranked(journeys)["newsletter"]

    assert newsletter.association.risk_ratio is not None and newsletter.association.risk_ratio > 3
    assert isinstance(newsletter.adjusted, Adjusted)
    assert newsletter.adjusted.interval.low <= 0 <= newsletter.adjusted.interval.high
    assert Doubt.DEPTH_EXPLAINS_IT in newsletter.doubts
    assert newsletter.quality == 0


def test_rank__newsletter_with_effect__keeps_it_after_adjusting() -> None:
    journeys, _ = a_shop(newsletter_effect=0.1)

    newsletter = ranked(journeys)["newsletter"]

    assert isinstance(newsletter.adjusted, Adjusted)
    assert newsletter.adjusted.interval.low < 0.1 < newsletter.adjusted.interval.high


def test_rank__milestones_before_secondary_actions__and_places_add_up() -> None:
    journeys, _ = a_shop()

    found = rank_micros(journeys, LATENT, visitors_per_variant=5_000, rng=np.random.default_rng(1), draws=50)

    assert [c.conversion for c in found][-1] is Conversion.SECONDARY
    assert sum(c.first for c in found) == pytest.approx(1)
    assert all(c.top_three == 1 for c in found)
    assert found[0].ceiling == 1


def test_rank__bought_before_subscribing__is_not_credited_to_the_newsletter() -> None:
    journeys, _ = a_shop()
    rng = np.random.default_rng(8)
    late = np.where(np.isnan(journeys.macro_hours), np.nan, journeys.macro_hours + rng.exponential(1.0, 60_000))
    moved, _ = a_shop(news_hours=late)

    newsletter = ranked(moved)["newsletter"]

    assert newsletter.association.with_micro.converted == 0
    assert Doubt.OFTEN_AFTER_MACRO in newsletter.doubts
    assert Doubt.REVERSE_GATE in newsletter.doubts


def test_rank__every_visitor_within_a_second__is_an_automatic_event_of_a_bot() -> None:
    moved, _ = a_shop(news_hours=np.full(60_000, 0.5 / 3600))

    newsletter = ranked(moved)["newsletter"]

    assert {Doubt.AUTOMATIC_EVENT, Doubt.BOT_LIKE} <= set(newsletter.doubts)
    assert isinstance(newsletter.adjusted, NotComputable)
    assert newsletter.ceiling is None


def test_rank__no_macro_at_all__is_refused() -> None:
    journeys, _ = a_shop(visitors=100)
    empty = Journeys(journeys.micros, np.full(100, np.nan), journeys.covariates)

    with pytest.raises(ValueError, match="Nobody has reached"):
        ranked(empty)


def test_quality__simulated_ideas__equals_the_correlation_that_is_seen() -> None:
    rng = np.random.default_rng(6)
    latent = np.array([[0.02, -0.005, 0.0], [-0.005, 0.02, 0.0], [0.0, 0.0, 0.01]])
    steps = rng.multivariate_normal(np.zeros(3), latent, size=200_000)
    noise = rng.normal(scale=math.sqrt(2 * 0.8 / (0.2 * 2_000)), size=200_000)
    seen = steps[:, :2].sum(axis=1) + noise

    found = proxy_quality(latent, depth=2, reach=0.2, visitors_per_variant=2_000)

    assert found == pytest.approx(np.corrcoef(steps.sum(axis=1), seen)[0, 1], abs=0.01)
    agree = np.mean(steps.sum(axis=1)[seen > 0] > 0)
    assert sign_agreement(found) == pytest.approx(agree, abs=0.01)


def test_visitors_ratio__the_worked_case() -> None:
    # Cart at 8.1 %, purchases at 2 %, nothing lost: (0.919 / 0.081) / (0.98 / 0.02) = 0.2315, 4.3 times fewer.
    assert visitors_ratio(reach=0.081, macro_share=0.02, pass_through=1) == pytest.approx(0.2315, abs=1e-4)
