"""The proxy engine against brute force, quadrature, published counts and its own promises."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from reports.core.proxy.cases import CaseFault, evaluate_case
from reports.core.proxy.classes import (
    FIVE_SHARES,
    FOUR_SHARES,
    Prior,
    VariantClass,
    components_of,
    step_weights,
    with_bait_odds,
)
from reports.core.proxy.engine import bait_share_that_tips, macro_posterior, weigh
from reports.core.proxy.funnel import FunnelCounts, StepEffects, nested_effects, step_effects
from reports.core.proxy.verdict import (
    PRESETS,
    Note,
    ProxyState,
    conditions,
    default_prior,
    evaluate,
    preset_named,
)
from tests.shared_data import shared_path

FOUR = Prior(shares=FOUR_SHARES)
BALANCED = PRESETS["balanced"]
CONTROL = FunnelCounts.nested(5_000, (2_250, 405, 182, 100))
BETTER = FunnelCounts.nested(5_000, (2_250, 520, 240, 138))

reached_counts = st.lists(st.integers(0, 3_000), min_size=1, max_size=5).map(lambda n: sorted(n, reverse=True))


def some_effects(comparisons: int, steps: int, seed: int) -> StepEffects:
    rng = np.random.default_rng(seed)
    return StepEffects(rng.normal(scale=0.15, size=(comparisons, steps)), rng.uniform(1e-3, 2e-2, (comparisons, steps)))


def full_covariances(prior: Prior, steps: int) -> list[tuple[VariantClass, float, np.ndarray, np.ndarray]]:
    """Every component with its covariance written out, for the brute-force checks."""
    parts = components_of(prior, steps)
    return [
        (parts.classes[parts.owner[j]], math.exp(parts.log_weight[j]), parts.mean[j],
         parts.directions[j] @ parts.directions[j].T + parts.jitter[j] * np.eye(steps))
        for j in range(len(parts.owner))
    ]  # fmt: skip


def test_vectors__every_published_case__is_reproduced_to_a_millionth() -> None:
    expected = json.loads(shared_path("data/proxy_vectors.json").read_text())["cases"]

    for case in expected:
        found = evaluate_case({k: case[k] for k in ("visitors", "reached")})
        for name in ("theta", "variance", "log_marginal_relative_to_null", "posterior", "z_macro"):
            assert found[name] == pytest.approx(case[name], abs=1e-6)
        assert found["z_noninferiority_10pct"] == pytest.approx(case["z_noninferiority_10pct"], abs=1e-6)


def test_steps__log_lifts_add_up_to_the_macro_and_variances_telescope() -> None:
    found = step_effects(BETTER, CONTROL)

    assert found.macro[0] == pytest.approx(math.log(138.5 / 5_000.5) - math.log(100.5 / 5_000.5), abs=1e-12)
    telescoped = 1 / 138.5 - 1 / 5_000.5 + 1 / 100.5 - 1 / 5_000.5
    assert found.macro_variance[0] == pytest.approx(telescoped, abs=1e-12)


def test_steps__simulated_without_effect__are_uncorrelated_with_the_variance_they_claim() -> None:
    rng = np.random.default_rng(1)
    rates, reached = (0.45, 0.18, 0.45, 0.55), []
    for _ in range(2):
        counts = np.full(20_000, 4_000)
        steps = []
        for rate in rates:
            counts = rng.binomial(counts, rate)
            steps.append(counts)
        reached.append(np.column_stack(steps).astype(float))
    visitors = np.full(20_000, 4_000.0)

    found = nested_effects(visitors, reached[0], visitors, reached[1])

    spread = np.corrcoef(found.effect.T)
    assert np.abs(spread - np.eye(4)).max() < 4 / math.sqrt(20_000)
    assert found.effect.var(axis=0) == pytest.approx(found.variance.mean(axis=0), rel=0.05)


def test_steps__swapping_the_variants__turns_every_sign() -> None:
    there, back = step_effects(BETTER, CONTROL), step_effects(CONTROL, BETTER)

    assert there.effect == pytest.approx(-back.effect)
    assert there.variance == pytest.approx(back.variance)


def test_counts__more_reach_a_step_than_the_one_before__are_refused() -> None:
    with pytest.raises(ValueError, match="Step 2 was reached by 11 visitors"):
        FunnelCounts.nested(100, (10, 11))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 7])
def test_classes__weights_of_each_class_add_up_to_one_at_any_length(steps: int) -> None:
    for target in (None, *range(1, steps + 1)):
        parts = components_of(Prior(target_step=target), steps)
        totals = np.bincount(parts.owner, weights=np.exp(parts.log_weight))
        assert totals == pytest.approx(np.ones(len(parts.classes)))
        assert step_weights(steps, target).sum() == pytest.approx(1)


def test_classes__four_steps__are_the_61_components_of_the_design_and_21_of_filter() -> None:
    parts = components_of(Prior(), 4)

    counts = {c: int(np.count_nonzero(parts.owner == n)) for n, c in enumerate(parts.classes)}
    assert counts == {"win": 27, "null": 1, "bait": 21, "harm": 12, "filter": 21}
    macro = parts.mean.sum(axis=1)
    assert (macro[parts.owner == parts.classes.index(VariantClass.WIN)] > 0).all()
    assert (macro[parts.owner == parts.classes.index(VariantClass.HARM)] < 0).all()
    assert macro[parts.owner == parts.classes.index(VariantClass.BAIT)] == pytest.approx(-0.05)
    assert macro[parts.owner == parts.classes.index(VariantClass.FILTER)] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 4, 6])
def test_weigh__equals_the_densities_computed_one_by_one(steps: int) -> None:
    effects = some_effects(5, steps, seed=steps)
    prior = Prior(target_step=1)

    found = weigh(effects, prior)

    for row in range(5):
        density = dict.fromkeys(found.classes, 0.0)
        moments = []
        noise = np.diag(effects.variance[row])
        shares = {c: prior.shares[c] / sum(prior.shares[c] for c in found.classes) for c in found.classes}
        for c, weight, mean, spread in full_covariances(prior, steps):
            likelihood = weight * stats.multivariate_normal(mean, spread + noise).pdf(effects.effect[row])
            density[c] += likelihood
            gain = spread.sum(axis=0) @ np.linalg.inv(spread + noise)
            macro = mean.sum() + gain @ (effects.effect[row] - mean)
            moments.append((shares[c] * likelihood, macro, spread.sum() - gain @ spread.sum(axis=0)))
        total = sum(shares[c] * d for c, d in density.items())
        weights, macros, variances = (np.array(column) for column in zip(*moments, strict=True))
        expected = float(weights @ macros) / total
        second = float(weights @ (variances + macros**2)) / total
        assert found.posterior[row] == pytest.approx([shares[c] * density[c] / total for c in found.classes], rel=1e-8)
        assert found.macro_mean[row] == pytest.approx(expected, rel=1e-8)
        assert found.macro_sd[row] == pytest.approx(math.sqrt(second - expected**2), rel=1e-6)
        constant = steps / 2 * math.log(2 * math.pi)
        logs = [math.log(density[c]) + constant for c in found.classes]
        assert found.log_marginal[row] == pytest.approx(logs, rel=1e-9, abs=1e-9)


def test_posterior__two_steps__equals_quadrature_over_the_plane() -> None:
    effects = StepEffects(np.array([[0.12, -0.03]]), np.array([[4e-3, 8e-3]]))
    prior = Prior(shares=FOUR_SHARES)
    found = macro_posterior(effects, prior)
    # NULL is all but a point: it is taken as one, everything else by quadrature on a fine grid.
    grid = np.linspace(-1.2, 1.2, 801)
    first, second = np.meshgrid(grid, grid, indexing="ij")
    points = np.stack([first, second], axis=-1)
    density = np.zeros_like(first)
    noise = stats.multivariate_normal(effects.effect[0], np.diag(effects.variance[0]))
    for c, weight, mean, spread in full_covariances(prior, 2):
        if c is not VariantClass.NULL:
            density += prior.shares[c] * weight * stats.multivariate_normal(mean, spread).pdf(points)
    density *= noise.pdf(points)
    area = (grid[1] - grid[0]) ** 2
    at_null = prior.shares[VariantClass.NULL] * noise.pdf([0, 0])
    total = density.sum() * area + at_null

    expected = float(((first + second) * density).sum() * area) / total
    below = (float(density[first + second < -0.02].sum()) * area) / total

    assert found.expected == pytest.approx(expected, abs=1e-4)
    assert found.below(-0.02) == pytest.approx(below, abs=2e-3)
    interval = found.interval(0.9)
    assert found.below(interval.low) == pytest.approx(0.05, abs=1e-9)
    assert found.below(interval.high) == pytest.approx(0.95, abs=1e-9)


def test_macro_posterior__moments__are_those_of_weigh() -> None:
    effects = some_effects(1, 4, seed=3)

    one, many = macro_posterior(effects, Prior()), weigh(effects, Prior())

    assert one.expected == pytest.approx(float(many.macro_mean[0]), rel=1e-12)
    density, _ = integrate.quad(lambda x: x * float(one.weight @ stats.norm.pdf(x, one.mean, one.sd)), -3, 3, limit=800,
                                points=sorted({0.0, *one.mean[np.argsort(-one.weight)[:8]]}))  # fmt: skip
    assert density == pytest.approx(one.expected, abs=1e-6)


def test_weigh__many_at_once__equals_one_by_one() -> None:
    effects = some_effects(9_000, 4, seed=5)
    whole = weigh(effects, Prior())
    for row in (0, 8_191, 8_192, 8_999):
        alone = weigh(StepEffects(effects.effect[row : row + 1], effects.variance[row : row + 1]), Prior())
        assert whole.posterior[row] == pytest.approx(alone.posterior[0], rel=1e-12)


def test_golden__free_trial_screener__never_ships_and_never_stops_for_harm() -> None:
    # Clicks, enrolments and payments of the free-trial screener experiment (public Udacity data).
    control, treatment = FunnelCounts.nested(17_293, (3_785, 2_033)), FunnelCounts.nested(17_260, (3_423, 1_945))

    effects = step_effects(treatment, control)
    assert effects.effect[0] == pytest.approx([-0.0986, 0.0563], abs=5e-5)
    assert effects.macro[0] == pytest.approx(-0.0423, abs=5e-5)
    for key in PRESETS:
        found = evaluate(treatment, control, Prior(), preset_named(key))
        assert found.state not in {ProxyState.SHIP_PROXY, ProxyState.SHIP_MACRO, ProxyState.STOP_HARM}
        assert Note.FILTER in found.notes
    four = evaluate(treatment, control, FOUR, BALANCED)
    assert four.posterior[VariantClass.HARM] > 0.9  # what the fifth class is for


def test_bait_story__more_carts_and_no_more_purchases__is_a_conflict() -> None:
    control = FunnelCounts.nested(20_000, (9_000, 1_620, 730, 400))
    bait = FunnelCounts.nested(20_000, (9_000, 1_990, 790, 388))

    found = evaluate(bait, control, Prior(), BALANCED)

    assert found.state is ProxyState.CONFLICT


def test_gain_that_lasts__ships_by_the_proxy_before_the_macro_could() -> None:
    control = FunnelCounts.nested(12_000, (5_400, 972, 437, 240))
    better = FunnelCounts.nested(12_000, (5_400, 1_180, 531, 291))

    found = evaluate(better, control, Prior(), BALANCED)

    assert found.state is ProxyState.SHIP_PROXY
    assert all(leg.holds for leg in found.legs)
    assert found.z_macro < found.macro_bound
    assert found.macro_95.high - found.macro_95.low < found.macro_alone_95.high - found.macro_alone_95.low
    assert found.tipping_bait_share > Prior().shares[VariantClass.BAIT]


def test_macro_alone__large_and_clear__ships_whatever_the_steps_say() -> None:
    control = FunnelCounts.nested(50_000, (22_500, 4_050, 1_820, 1_000))
    better = FunnelCounts.nested(50_000, (22_500, 6_500, 2_100, 1_300))

    found = evaluate(better, control, Prior(), BALANCED)

    assert found.state in {ProxyState.SHIP_MACRO, ProxyState.SHIP_PROXY}
    assert found.z_macro > found.macro_bound


def test_evaluate__invalid_early_and_capped__come_in_their_order() -> None:
    assert evaluate(BETTER, CONTROL, Prior(), BALANCED, is_valid=False).state is ProxyState.INVALID
    assert evaluate(BETTER, CONTROL, Prior(), BALANCED, is_early=True).state is ProxyState.KEEP_RUNNING
    flat = FunnelCounts.nested(5_000, (2_260, 420, 189, 104))
    assert evaluate(flat, CONTROL, Prior(), BALANCED).state is ProxyState.KEEP_RUNNING
    assert evaluate(flat, CONTROL, Prior(), BALANCED, is_at_cap=True).state is ProxyState.INCONCLUSIVE


def test_elapsed__an_open_answer__is_given_up_late_and_not_early() -> None:
    flat = FunnelCounts.nested(5_000, (2_270, 440, 200, 108))

    early, late = (evaluate(flat, CONTROL, Prior(), BALANCED, elapsed=share) for share in (0.1, 0.9))

    assert early.state is ProxyState.KEEP_RUNNING and Note.LITTLE_TIME not in early.notes
    assert late.state is ProxyState.INCONCLUSIVE and Note.LITTLE_TIME in late.notes
    assert early.risk == late.risk  # time changes what is done, never what is believed
    at_cap = evaluate(flat, CONTROL, Prior(), BALANCED, elapsed=1.0, is_at_cap=True)
    assert at_cap.state is ProxyState.INCONCLUSIVE and Note.LITTLE_TIME not in at_cap.notes


def test_elapsed__never_takes_a_ship_away_and_never_gives_one() -> None:
    effects = some_effects(3_000, 4, seed=8)
    weighed = weigh(effects, Prior())
    found = [
        conditions(effects, weighed, Prior(), BALANCED, macro_bound=2.8, elapsed=share) for share in (0.0, 0.5, 1.0)
    ]

    for later in found[1:]:
        for name in ("ship_proxy", "ship_macro", "conflict", "stop_harm", "no_gain"):
            assert np.array_equal(getattr(later, name), getattr(found[0], name)), name
    assert not found[0].little_time.any()
    given_up = [one.little_time.sum() for one in found]
    assert given_up[0] < given_up[1] < given_up[2]
    assert not (found[2].little_time & found[2].ships).any()


def test_evaluate__a_handful_of_purchases__keeps_running_however_strong_the_micro() -> None:
    few = FunnelCounts.nested(2_000, (900, 150, 40, 9))
    more = FunnelCounts.nested(2_000, (900, 300, 80, 14))

    assert evaluate(more, few, Prior(), PRESETS["fast"]).state is ProxyState.KEEP_RUNNING


def test_gain__goal_that_fell_beyond_all_classes__is_never_told_as_a_real_gain() -> None:
    control = FunnelCounts.nested(20_000, (9_000, 3_100, 2_000, 1_130))
    lured = FunnelCounts.nested(20_000, (9_050, 3_900, 2_450, 858))

    found = evaluate(lured, control, Prior(), BALANCED)

    assert found.macro < 0 and found.chance_of_loss > 0.99
    assert found.risk > 0.99 and found.state is ProxyState.CONFLICT


def test_retest__pools_both_runs_by_their_precision() -> None:
    first = step_effects(BETTER, CONTROL)

    pooled = evaluate(BETTER, CONTROL, Prior(), BALANCED, earlier=first)

    assert pooled.effects.effect == pytest.approx(first.effect)
    assert pooled.effects.variance == pytest.approx(first.variance / 2)


def test_several_treatments__raise_the_evidence_each_needs() -> None:
    one, three = (evaluate(BETTER, CONTROL, Prior(), BALANCED, treatments=n) for n in (1, 3))

    needed = {leg.name: leg.needed for leg in one.legs}
    for leg in three.legs:
        more = math.log(3) if leg.name in {"null", "bait", "harm"} else 0.0
        assert leg.needed == pytest.approx(needed[leg.name] + more)
    assert three.macro_bound == pytest.approx(-special.ndtri(0.0025 / 3))


def test_tipping_share__put_into_the_prior__gives_exactly_the_risk() -> None:
    effects = step_effects(BETTER, CONTROL)
    share = bait_share_that_tips(weigh(effects, Prior()), FIVE_SHARES, 0.30)
    assert 0 < share < 1
    others = 1 - FIVE_SHARES[VariantClass.BAIT]
    shares = {c: share if c is VariantClass.BAIT else s * (1 - share) / others for c, s in FIVE_SHARES.items()}

    risk = 1 - weigh(effects, Prior(shares=shares)).gain[0]

    assert risk == pytest.approx(0.30, abs=1e-6)


def test_bait_odds__multiplied__the_rest_keeps_its_proportions() -> None:
    found = with_bait_odds(FIVE_SHARES, 2.5)

    bait, usual = found[VariantClass.BAIT], FIVE_SHARES[VariantClass.BAIT]
    assert bait / (1 - bait) == pytest.approx(2.5 * usual / (1 - usual))
    assert sum(found.values()) == pytest.approx(1)
    assert found[VariantClass.WIN] / found[VariantClass.NULL] == pytest.approx(
        FIVE_SHARES[VariantClass.WIN] / FIVE_SHARES[VariantClass.NULL]
    )


@settings(max_examples=80, deadline=None)
@given(reached_counts, st.integers(0, 4_000), st.integers(0, 4_000), st.data())
def test_evaluate__any_counts__gives_finite_numbers_that_are_probabilities(
    control: list[int], more_c: int, more_t: int, data: st.DataObject
) -> None:
    treatment = sorted(
        data.draw(st.lists(st.integers(0, 3_000), min_size=len(control), max_size=len(control))), reverse=True
    )
    found = evaluate(
        FunnelCounts.nested(treatment[0] + more_t, treatment),
        FunnelCounts.nested(control[0] + more_c, control),
        Prior(),
        BALANCED,
    )

    assert sum(found.posterior.values()) == pytest.approx(1)
    assert 0 <= found.risk <= 1 and 0 <= found.chance_of_loss <= 1
    numbers = [found.z_macro, found.z_margin, found.macro, found.macro_95.low, found.macro_95.high]
    assert all(math.isfinite(x) for x in numbers)


def test_law__more_purchases_in_the_treatment__z_rises_and_harm_or_bait_become_less_likely() -> None:
    found = [
        evaluate(FunnelCounts.nested(5_000, (2_250, 430, 200, y)), CONTROL, Prior(), BALANCED)
        for y in range(60, 200, 5)
    ]

    z = [f.z_macro for f in found]
    doubt = [f.posterior[VariantClass.BAIT] + f.posterior[VariantClass.HARM] for f in found]
    assert z == sorted(z)
    assert doubt == sorted(doubt, reverse=True)


@pytest.mark.parametrize(
    ("drawn_from", "bound"), [(VariantClass.NULL, 20), (VariantClass.BAIT, 5), (VariantClass.HARM, 20)]
)
@pytest.mark.parametrize("per_day", [150, 2_000])
def test_ville__variants_of_one_class_looked_at_daily__rarely_ever_reach_the_evidence(
    drawn_from: VariantClass, bound: float, per_day: int
) -> None:
    rng = np.random.default_rng(7)
    replicates, days = 400, 28
    parts = components_of(FOUR, 4)
    mine = np.flatnonzero(parts.owner == parts.classes.index(drawn_from))
    weights = np.exp(parts.log_weight[mine])
    component = rng.choice(mine, size=replicates, p=weights / weights.sum())
    effect = parts.mean[component] + np.einsum(
        "rks,rs->rk", parts.directions[component], rng.normal(size=(replicates, 2))
    )
    rates = np.array([0.45, 0.18, 0.45, 0.55])
    reached = {}
    for variant, own in (("c", np.broadcast_to(rates, effect.shape)), ("t", np.minimum(rates * np.exp(effect), 0.99))):
        counts, steps = np.full((replicates, days), per_day), []
        for step in range(4):
            counts = rng.binomial(counts, own[:, step, None])
            steps.append(np.cumsum(counts, axis=1))
        reached[variant] = np.stack(steps, axis=2).reshape(-1, 4).astype(float)
    visitors = np.tile(per_day * np.arange(1.0, days + 1), replicates)

    found = weigh(nested_effects(visitors, reached["t"], visitors, reached["c"]), FOUR)

    ever = (found.log_evidence(drawn_from).reshape(replicates, days) >= math.log(bound)).any(axis=1)
    assert ever.sum() <= stats.binom.ppf(0.9995, replicates, 1 / bound)


def test_ship__neutral_ideas_looked_at_daily__almost_never() -> None:
    rng = np.random.default_rng(11)
    replicates, weeks = 1_000, 12
    rates, counts = (0.45, 0.18, 0.45, 0.55), {}
    for variant in ("c", "t"):
        at, steps = np.full((replicates, weeks), 2_500), []
        for rate in rates:
            at = rng.binomial(at, rate)
            steps.append(np.cumsum(at, axis=1))
        counts[variant] = np.stack(steps, axis=2).reshape(-1, 4).astype(float)
    visitors = np.tile(2_500.0 * np.arange(1, weeks + 1), replicates)
    effects = nested_effects(visitors, counts["t"], visitors, counts["c"])

    found = conditions(effects, weigh(effects, Prior()), Prior(), BALANCED, macro_bound=np.inf)

    assert found.ship_proxy.reshape(replicates, weeks).any(axis=1).mean() <= 0.015


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"visitors": 3}, "visitors_missing"),
        ({"reached": {"control": [1], "other": [1], "third": [1]}}, "variants_differ"),
        ({"reached": {"control": [5, 6], "treatment": [5, 4]}}, "not_nested"),
        ({"reached": {"control": [5, "x"], "treatment": [5, 4]}}, "not_counts"),
        ({"reached": {"control": [5, 3, 1], "treatment": [5, 4]}}, "steps_differ"),
        ({"preset": "reckless"}, "unknown_preset"),
        ({"preset": []}, "unknown_preset"),
        ({"target_step": 3}, "unknown_step"),
        ({"classes": 6}, "unknown_classes"),
        ({"visitor": 1}, "unknown_field"),
    ],
)
def test_case__that_cannot_be__is_refused_with_a_code(change: dict[str, Any], code: str) -> None:
    case = {
        "visitors": {"control": 10, "treatment": 10},
        "reached": {"control": [5, 2], "treatment": [5, 3]},
    } | change

    with pytest.raises(CaseFault) as fault:
        evaluate_case(case)
    assert fault.value.code == code and fault.value.advice


def test_default_prior__three_classes__is_refused() -> None:
    with pytest.raises(ValueError, match="4 or 5"):
        default_prior(classes=3)
