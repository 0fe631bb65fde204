"""Learning from finished experiments: against brute force, against known truths, and against experiments that hold nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.decision.worlds import DEFAULT, STEPS, Mix, Truth, play, portfolio, with_share
from reports.core.proxy.classes import FIVE_CLASSES, Prior, VariantClass, components_of
from reports.core.proxy.covariance import total_covariance
from reports.core.proxy.funnel import FunnelCounts
from reports.core.proxy.learning.agreement import agreement_of, same_sign, sign_agreement
from reports.core.proxy.learning.evidence import Grade, alike, evidence_for, grade_of
from reports.core.proxy.learning.grid import BAITS, FILTER, HARM, PASS_THROUGHS, SPREAD, WINS, learn
from reports.core.proxy.learning.past import PastComparison, experiments_in, up_to
from reports.core.proxy.learning.placebo import dealt_again, placebo
from reports.core.proxy.learning.report_card import class_covariance, report_card
from reports.core.proxy.verdict import default_prior, evaluate, preset_named

HONEST = replace(with_share(DEFAULT, Truth.BAIT, 0.03), pass_through=0.95)
PRONE = replace(with_share(DEFAULT, Truth.BAIT, 0.30), pass_through=0.6)


def past_of(mix: Mix, experiments: int, *, seed: int = 5, per_week: int = 5_000) -> list[PastComparison]:
    rng = np.random.default_rng(seed)
    found = portfolio(mix, experiments, rng)
    weeks = play(found, per_week=per_week, weeks=12, looks_per_week=1, rng=rng)
    visitors = int(weeks.visitors[-1])

    def funnel(reached: np.ndarray) -> FunnelCounts:
        return FunnelCounts.nested(visitors, [int(n) for n in reached])

    return [
        PastComparison(f"e{n}", "b", STEPS, funnel(weeks.treatment[n, -1]), funnel(weeks.control[n, -1]))
        for n in range(experiments)
    ]


def drawn(prior: Prior, ideas: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw true step effects from the classes of a prior. Shapes: (ideas, 4), (ideas,)."""
    components = components_of(prior, 4)
    share = np.exp(components.log_weight) * np.array([prior.shares[components.classes[o]] for o in components.owner])
    which = rng.choice(len(share), size=ideas, p=share / share.sum())
    spread = np.einsum("nsd,nd->ns", components.directions[which], rng.normal(size=(ideas, 2)))
    jitter = np.sqrt(components.jitter[which])[:, None] * rng.normal(size=(ideas, 4))
    return components.mean[which] + spread + jitter, components.owner[which]


def test_learn__without_experiments__believes_what_is_specified() -> None:
    # PROXY 3.3.1: prior means pass-through .73 and bait .11.
    nothing = learn([])
    assert nothing.pass_through == pytest.approx(0.73, abs=0.005)
    assert nothing.shares[VariantClass.BAIT] == pytest.approx(0.11, abs=0.005)
    assert sum(nothing.shares.values()) == pytest.approx(1.0)


def test_learn__a_few_experiments__equals_brute_force() -> None:
    past = [replace(one, age_months=7.0 * n) for n, one in enumerate(past_of(DEFAULT, 4))]
    logs = np.zeros((len(PASS_THROUGHS), len(BAITS), len(WINS)))
    of_shares = np.array([[0.10, 0.12, 0.06], [0.10, 0.15, 0.07], [0.09, 0.13, 0.06], [0.04, 0.05, 0.03]])
    for i, through in enumerate(PASS_THROUGHS):
        components = components_of(Prior(pass_through=through, pass_through_spread=SPREAD), 4)
        for j, bait in enumerate(BAITS):
            for k, win in enumerate(WINS):
                share = {
                    VariantClass.WIN: win,
                    VariantClass.BAIT: bait,
                    VariantClass.HARM: HARM,
                    VariantClass.FILTER: FILTER,
                    VariantClass.NULL: 1 - win - bait - HARM - FILTER,
                }
                logs[i, j, k] = np.log([0.15, 0.30, 0.40, 0.15][i] * of_shares[j, k])
                for one in past:
                    effects = one.effects
                    density = sum(
                        share[components.classes[components.owner[c]]]
                        * np.exp(components.log_weight[c])
                        * stats.multivariate_normal.pdf(
                            effects.effect[0],
                            components.mean[c],
                            components.directions[c] @ components.directions[c].T
                            + components.jitter[c] * np.eye(4)
                            + np.diag(effects.variance[0]),
                        )
                        for c in range(len(components.owner))
                    )
                    logs[i, j, k] += 2 ** (-one.age_months / 12) * np.log(density)
    expected = np.exp(logs - logs.max())
    assert learn(past).weight == pytest.approx(expected / expected.sum(), abs=1e-9)


@pytest.mark.parametrize(("mix", "bait", "through"), [(HONEST, 0.03, 0.95), (PRONE, 0.30, 0.6)])
def test_learn__300_experiments_of_a_known_site__concentrates_on_it(mix: Mix, bait: float, through: float) -> None:
    learned = learn(past_of(mix, 300))
    assert learned.shares[VariantClass.BAIT] == pytest.approx(bait, abs=0.05)
    assert learned.pass_through == pytest.approx(through, abs=0.1)


def test_learn__three_experiments__moves_little_and_says_so() -> None:
    low, high = learn(past_of(PRONE, 3)).bait_interval()
    assert high - low > 0.15


def test_learn__order_and_age__do_not_and_do_matter() -> None:
    past = past_of(PRONE, 6)
    assert learn(past[::-1]).weight == pytest.approx(learn(past).weight)
    ancient = [replace(one, age_months=240.0) for one in past]
    assert learn(ancient).weight == pytest.approx(learn([]).weight, abs=1e-4)


def test_weight__imported_and_old_and_shared__count_less() -> None:
    one = past_of(DEFAULT, 1)[0]
    assert one.weight == 1.0
    assert replace(one, is_imported=True).weight == 0.25
    assert replace(one, age_months=12.0).weight == 0.5
    assert experiments_in([replace(one, shared_by=2), replace(one, shared_by=2)]) == 1.0


def test_prior__learned_mixture__is_the_weighted_sum_of_its_parts() -> None:
    # Oracle: the marginal density of WIN under a mixture of pass-throughs is the mixture of the densities.
    learned = learn(past_of(PRONE, 20))
    one = past_of(DEFAULT, 1, seed=9)[0]
    verdict = evaluate(one.treatment, one.control, learned.prior(), preset_named("balanced"))
    densities = [
        evaluate(
            one.treatment,
            one.control,
            Prior(shares=learned.shares, pass_through=value, pass_through_spread=SPREAD),
            preset_named("balanced"),
        ).log_marginal[VariantClass.WIN]
        for value, _ in learned.pass_throughs
    ]
    weights = [weight for _, weight in learned.pass_throughs]
    assert np.exp(verdict.log_marginal[VariantClass.WIN]) == pytest.approx(np.dot(weights, np.exp(densities)))


def test_same_sign__any_two_normals__equals_the_two_dimensional_integral() -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):
        root = rng.normal(size=(2, 2)) * 0.1
        covariance, mean = root @ root.T + 1e-5 * np.eye(2), rng.normal(scale=0.1, size=2)
        both = stats.multivariate_normal(mean, covariance)
        minus = stats.multivariate_normal(-mean, covariance)
        expected = minus.cdf(np.zeros(2)) + both.cdf(np.zeros(2))
        assert same_sign(mean[None], covariance[None])[0] == pytest.approx(expected, abs=2e-4)


def test_sign_agreement__ideas_drawn_from_the_classes__is_the_true_one() -> None:
    prior, rng, visitors = default_prior(), np.random.default_rng(11), 60_000
    theta, owner = drawn(prior, 400, rng)
    rates = np.array([0.45, 0.18, 0.45, 0.55])
    past = []
    for row in theta:
        arms = []
        for own in (rates * np.exp(row), rates):
            reached = [visitors]
            for rate in np.minimum(own, 1.0):
                reached.append(int(rng.binomial(reached[-1], rate)))
            arms.append(FunnelCounts.nested(visitors, reached[1:]))
        past.append(PastComparison("e", "b", STEPS, arms[0], arms[1]))
    moved = owner != components_of(prior, 4).classes.index(VariantClass.NULL)
    truth = np.mean(theta[moved, :2].sum(axis=1) * theta[moved].sum(axis=1) > 0)
    found = sign_agreement(past, "cart", prior)
    assert found is not None
    # Four standard errors of 200 ideas that move anything.
    assert found.value == pytest.approx(truth, abs=4 * np.sqrt(0.25 / moved.sum()))


def test_sign_agreement__three_experiments__has_an_interval_as_wide_as_the_ignorance() -> None:
    found = sign_agreement(past_of(DEFAULT, 3), "cart", default_prior())
    assert found is not None and found.interval.high - found.interval.low > 0.5
    assert sign_agreement(past_of(DEFAULT, 3), "newsletter", default_prior()) is None


def test_agreement__clear_bait__is_below_that_of_a_clear_win() -> None:
    one = past_of(DEFAULT, 1)[0]
    counts = type(one.treatment)
    base = counts.nested(100_000, [45_000, 8_100, 3_650, 2_000])
    win = replace(one, treatment=counts.nested(100_000, [45_000, 10_000, 4_500, 2_450]), control=base)
    bait = replace(one, treatment=counts.nested(100_000, [45_000, 10_000, 3_600, 1_900]), control=base)
    assert agreement_of(win, 2, default_prior())[0] > 0.95
    assert agreement_of(bait, 2, default_prior())[0] < 0.2


def test_report_card__published_portfolio__has_the_qualities_of_the_table() -> None:
    # PROXY 3.1: add to cart .29 / .41 / .47 / .49, checkout .34 / .54 / .70 / .75 at 1,500 to 120,000; some 0.05 of both are sampling.
    past = past_of(DEFAULT, 600, seed=3, per_week=20_000)
    prior = default_prior()
    cart, checkout = report_card(past, "cart", prior), report_card(past, "checkout", prior)
    assert cart is not None and checkout is not None
    assert cart.correlation == pytest.approx(0.49, abs=0.12)
    assert checkout.correlation is not None and checkout.correlation > cart.correlation
    qualities = [value for _, value in cart.quality]
    assert qualities == sorted(qualities)


def test_covariance__thousand_weak_experiments__naive_slope_flatters_and_the_corrected_one_does_not() -> None:
    past = past_of(DEFAULT, 1_000, seed=8, per_week=1_000)
    estimates, noise, weights = up_to(past, "cart")
    rng = np.random.default_rng(8)
    truth = portfolio(DEFAULT, 1_000, rng)
    steps = np.log(truth.treatment / truth.control)
    micro = steps[:, :2].sum(axis=1)
    true_slope = np.cov(micro, truth.macro)[0, 1] / np.var(micro, ddof=1)
    found = total_covariance(estimates, noise, class_covariance(default_prior(), 4, 2), weights=weights)
    assert found.naive_slope is not None and found.slope is not None
    assert found.slope == pytest.approx(true_slope, abs=0.12)
    assert found.naive_slope - true_slope > 0.05


def test_class_covariance__any_depth__equals_simulation() -> None:
    prior = default_prior()
    theta, _ = drawn(prior, 200_000, np.random.default_rng(1))
    pair = np.stack([theta[:, :2].sum(axis=1), theta.sum(axis=1)])
    assert class_covariance(prior, 4, 2) == pytest.approx(pair @ pair.T / len(theta), rel=0.03)


def test_dealt_again__any_experiment__keeps_the_totals_and_loses_the_effect() -> None:
    one = past_of(replace(DEFAULT, win_median=0.5), 1, seed=4)[0]
    rng = np.random.default_rng(3)
    again = [dealt_again(one, rng) for _ in range(200)]
    for t, c, t0, c0 in zip(
        again[0].treatment.steps, again[0].control.steps, one.treatment.steps, one.control.steps, strict=True
    ):
        assert t.reached + c.reached == t0.reached + c0.reached and t.at_risk == t0.at_risk
    z = np.array([a.effects.z_macro[0] for a in again])
    assert abs(z.mean()) < 4 / np.sqrt(200) and z.std() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_placebo__shuffled_experiments__teach_nothing(step: str) -> None:
    found = placebo(past_of(DEFAULT, 40), step, default_prior())
    assert found is not None and found.is_clean


def test_placebo__shared_noise_not_taken_out__would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_noise(past: Sequence[PastComparison], step: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        estimates, noise, weights = up_to(past, step)
        return estimates, noise * 0.0, weights

    monkeypatch.setattr("reports.core.proxy.learning.placebo.up_to", without_noise)
    found = placebo(past_of(DEFAULT, 40), "cart", default_prior())
    assert found is not None and not found.is_clean


@pytest.mark.parametrize(("count", "grade"), [(0, "D"), (2.9, "D"), (3, "C"), (9.9, "C"), (10, "B"), (30, "A")])
def test_grade__experiments__are_those_of_the_ladder(count: float, grade: str) -> None:
    assert grade_of(count) is Grade(grade)


def test_evidence__layouts__say_nothing_of_promotions() -> None:
    past = [replace(one, change_type="layout") for one in past_of(PRONE, 12)]
    for kind in ("layout", "navigation", ""):
        found = evidence_for(past, kind)
        assert found.grade is Grade.B and found.is_used
        assert found.prior().shares == found.learned.shares
    promotion = evidence_for(past, "promo")
    assert promotion.grade is Grade.D and promotion.comparisons == 0 and not promotion.is_used
    assert promotion.prior().shares[VariantClass.BAIT] > 0.25
    assert alike("promo") == ("promo", "price")


def test_evidence__below_grade_b__is_told_and_not_used() -> None:
    found = evidence_for(past_of(PRONE, 5), "")
    assert found.grade is Grade.C and not found.is_used
    assert [s.step for s in found.steps] == list(STEPS[:-1])
    assert dict(found.prior().shares) == dict(default_prior().shares)
    assert set(found.learned.shares) == set(FIVE_CLASSES)
