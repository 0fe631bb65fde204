"""Covariates through the whole analysis: the regression of the books, the gates, and honest chances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from experiments.core.covariates import COVARIATE_KINDS, Covariate, covariate_from_text, covariates_from_texts
from experiments.core.metrics import Aggregate, Role
from experiments.core.plan import AllocationPeriod, AnalysisPlan, PlannedMetric
from reports.core.adjust.known_before import known_before
from reports.core.analyse import Analysis, analyse
from reports.core.bundle import Bundle, read_bundle, write_bundle
from reports.core.inputs import Inputs
from reports.core.methods.base import Blocker, Comparison, NotComputable
from reports.core.methods.regression import arm_estimates, lin, usable_columns, with_missing_indicators
from reports.core.reproduction import reproduce
from reports.core.results import Claim, VariantComparison
from reports.core.wire import CSV_COLUMNS, to_csv_rows, to_document
from reports.core.wire_schema import REPORT_SCHEMA
from tests.reports.core.worlds import DAY_US, START, at_day, exposures, metric, microseconds, plan, totals
from tracking.core.totals import TraitValues, VisitorTotals

RETURNING, DEVICE = Covariate("returning"), Covariate("trait", "device")
ACTIVITY, WEEKDAY = Covariate("activity", "view"), Covariate("weekday")


def with_covariates(planned: AnalysisPlan, *covariates: Covariate) -> AnalysisPlan:
    return replace(planned, covariates=covariates)


def a_world(
    rng: np.random.Generator,
    *,
    visitors: int = 2_000,
    treated: float = 0.5,
    base: float = 0.1,
    days: float = 0.0,
    effect: float = 0.0,
) -> VisitorTotals:
    """Returning visitors, and those active before, convert more and spend more; device matters a little."""
    variant = (rng.random(visitors) < treated).astype(int)
    returning = rng.random(visitors) < 0.4
    device = rng.choice(3, size=visitors, p=[0.5, 0.3, 0.2])
    active = np.where(returning, rng.poisson(3, visitors), 0).astype(float)
    chance = np.clip(base * (0.4 + 0.5 * returning + 0.2 * active + 0.3 * (device == 1)) + effect * variant, 0, 1)
    bought = (rng.random(visitors) < chance).astype(float)
    spend = active * 2 + effect * variant * 10 + rng.normal(10, 3, visitors)
    when = microseconds(START) + (rng.random(visitors) * days * DAY_US).astype(np.int64)
    made = totals(
        ("control", "treatment"),
        variant,
        {"cart": bought, "spend": spend, "spend.denominator": np.ones(visitors), "before.activity view": active},
        when,
    )
    return replace(
        made, traits={"device": TraitValues(("a", "b", "c"), device.astype(np.int32))}, seen_before=returning
    )


def analysed(planned: AnalysisPlan, world: VisitorTotals, **options: Any) -> Analysis:
    counts = {v: int(np.count_nonzero(world.variant == n)) for n, v in enumerate(world.variants)}
    return analyse(planned, world, exposures(counts), as_of=options.pop("as_of", at_day(30)), **options)


def only(found: Analysis, key: str = "cart") -> VariantComparison:
    return next(m for m in found.metrics if m.key == key).comparisons[0]


def computed(found: VariantComparison) -> Comparison:
    assert isinstance(found.result, Comparison)
    return found.result


CART, SPEND = metric("cart", Role.PRIMARY), metric("spend", Role.PRIMARY, kind="value_sum")


def test_arm_estimates__difference_and_errors__are_those_of_the_interacted_regression() -> None:
    rng = np.random.default_rng(1)
    for n in (300, 1_500):
        x = np.column_stack([rng.normal(size=n), rng.integers(0, 2, n), np.full(n, 3.0)]).astype(float)
        t = (rng.random(n) < 0.3).astype(float)
        y = 2 + 0.5 * t + x[:, 0] * (1 + t) + rng.normal(size=n) * (1 + x[:, 1])
        order = np.argsort(-t, kind="stable")
        whole = lin(y, t, x)
        apart = arm_estimates(y[t == 1], y[t == 0], x[order])
        assert not isinstance(whole, NotComputable) and not isinstance(apart, NotComputable)
        assert apart.t - apart.c == pytest.approx(whole.effect, rel=1e-9)
        assert apart.standard_error == pytest.approx(whole.standard_error, rel=1e-9)
        assert apart.degrees_of_freedom == whole.degrees_of_freedom


def test_analyse__means_with_covariates__equal_statsmodels_and_keep_the_plain_one_beside() -> None:
    world = a_world(np.random.default_rng(2), effect=0.05)
    planned = with_covariates(plan(SPEND), RETURNING, ACTIVITY, DEVICE)

    found = only(analysed(planned, world), "spend")

    x = np.column_stack(
        [
            world.seen_before,
            np.where(world.seen_before, world.columns["before.activity view"], 0.0),
            ~np.asarray(world.seen_before),
            world.traits["device"].codes == 1,
            world.traits["device"].codes == 2,
        ]
    ).astype(float)
    x = (x - x.mean(axis=0))[:, [0, 1, 3, 4]]  # "never seen before" says the same as "returning"
    t = (world.variant == 1).astype(float)
    design = np.column_stack([np.ones(len(t)), t, x, t[:, None] * x])
    fit = sm.OLS(world.columns["spend"], design).fit(cov_type="HC2")
    result = computed(found)
    assert result.method == "lin"
    assert result.effect == pytest.approx(fit.params[1], rel=1e-9)
    assert result.standard_error == pytest.approx(fit.bse[1], rel=1e-9)
    assert found.unadjusted is not None and isinstance(found.unadjusted.result, Comparison)
    assert found.unadjusted.result.method == "welch"
    assert found.unadjusted.variance_left is not None and 0.2 < found.unadjusted.variance_left < 0.8
    assert found.unadjusted.detail == ""


def test_analyse__share_with_enough_conversions__is_adjusted_by_regression() -> None:
    world = a_world(np.random.default_rng(3), visitors=3_000)
    found = only(analysed(with_covariates(plan(CART), RETURNING), world))
    assert computed(found).method == "lin"
    assert found.unadjusted is not None and isinstance(found.unadjusted.result, Comparison)
    assert found.unadjusted.result.method == "score"


def test_analyse__rare_conversions__are_compared_within_strata_and_the_reason_is_said() -> None:
    world = a_world(np.random.default_rng(4), visitors=1_200, base=0.015)

    found = only(analysed(with_covariates(plan(CART), RETURNING, DEVICE), world))

    assert computed(found).method == "stratified_score"
    assert found.unadjusted is not None and "conversions" in found.unadjusted.detail
    tables = []
    for returning in (False, True):
        for device in range(3):
            mine = (world.seen_before == returning) & (world.traits["device"].codes == device)
            cells = [
                [np.sum(mine & (world.variant == v) & (world.columns["cart"] == done)) for done in (1, 0)]
                for v in (1, 0)
            ]
            tables.append(np.array(cells, dtype=float))
    expected = StratifiedTable(tables).test_null_odds(correction=False)
    assert computed(found).z ** 2 == pytest.approx(expected.statistic, rel=1e-6)


def test_analyse__nine_to_one_with_few_conversions__never_trusts_the_regression() -> None:
    world = a_world(np.random.default_rng(5), visitors=2_000, treated=0.1, base=0.02)
    planned = with_covariates(plan(CART, weights={"control": 0.9, "treatment": 0.1}), RETURNING)
    assert computed(only(analysed(planned, world))).method in {"stratified_score", "mid_p", "score"}


def test_analyse__without_covariates__says_nothing_of_any() -> None:
    found = analysed(plan(CART), a_world(np.random.default_rng(6)))
    assert only(found).unadjusted is None
    assert "unadjusted" not in to_document(found)["metrics"][0]["comparisons"][0]


def test_analyse__variants_swapped__turn_the_effect() -> None:
    world = a_world(np.random.default_rng(7), effect=0.03)
    there = computed(only(analysed(with_covariates(plan(CART), RETURNING, ACTIVITY), world)))
    swapped = replace(world, variant=(1 - world.variant).astype(np.int8))
    back = computed(only(analysed(with_covariates(plan(CART), RETURNING, ACTIVITY), swapped)))
    assert there.effect == pytest.approx(-back.effect, rel=1e-9)
    assert there.p_value == pytest.approx(back.p_value, rel=1e-9)
    assert there.interval.low == pytest.approx(-back.interval.high, rel=1e-9)


def test_analyse__a_covariate_of_pure_noise__changes_next_to_nothing() -> None:
    rng = np.random.default_rng(8)
    world = a_world(rng, effect=0.03)
    noise = replace(world, seen_before=rng.random(2_000) < 0.5)
    found = only(analysed(with_covariates(plan(SPEND), RETURNING), noise), "spend")
    assert found.unadjusted is not None and found.unadjusted.variance_left == pytest.approx(1, abs=0.02)


def test_analyse__running_with_daily_looks__every_look_is_adjusted_and_interval_agrees_with_p() -> None:
    world = a_world(np.random.default_rng(9), visitors=6_000, days=14, effect=0.02)
    watched = metric("cart", Role.PRIMARY, window_hours=24)
    planned = with_covariates(plan(watched, is_imported=False, horizon_days=28), RETURNING, ACTIVITY)

    found = only(analysed(planned, world, as_of=at_day(14)))

    assert [look.day for look in found.looks] == list(range(7, 15))
    result = computed(found)
    assert result.method == "lin"
    assert result.interval.excludes(0) == (result.p_value < 0.05)
    assert result.z == pytest.approx(found.looks[-1].z, rel=1e-9)
    assert found.unadjusted is not None and isinstance(found.unadjusted.result, Comparison)
    assert found.unadjusted.result.z != pytest.approx(result.z, rel=1e-3)
    document = to_document(analysed(planned, world, as_of=at_day(14)))["metrics"][0]["comparisons"][0]
    assert document["unadjusted"]["method"] == "score"


def test_guardrail__with_covariates__is_judged_by_the_adjusted_interval() -> None:
    world = a_world(np.random.default_rng(10), visitors=20_000)
    guard = PlannedMetric(CART.metric, Role.GUARDRAIL, margin=0.15)
    found = only(analysed(with_covariates(plan(guard), RETURNING, ACTIVITY), world))
    assert found.guardrail is not None and found.guardrail.ruled_out is not None
    plain = only(analysed(plan(guard), world)).guardrail
    assert plain is not None and found.guardrail.ruled_out != pytest.approx(plain.ruled_out)
    assert found.guardrail.power == pytest.approx(plain.power)


@pytest.mark.parametrize(("base", "treated"), [(0.1, 0.5), (0.02, 0.5), (0.03, 0.1)])
def test_chances__no_effect__is_found_no_more_often_than_alpha(base: float, treated: float) -> None:
    rng = np.random.default_rng(11)
    replicates = 120
    weights = {"control": 1 - treated, "treatment": treated}
    planned = with_covariates(plan(CART, weights=weights), RETURNING, ACTIVITY, DEVICE)
    found = sum(
        computed(only(analysed(planned, a_world(rng, visitors=1_500, treated=treated, base=base)))).p_value < 0.05
        for _ in range(replicates)
    )
    low, high = stats.binom.ppf([0.0005, 0.9995], replicates, 0.05)
    assert (low if base > 0.05 else 0) <= found <= high


def test_known_before__trait_and_weekday__become_groups_that_do_not_depend_on_the_order() -> None:
    world = a_world(np.random.default_rng(12), visitors=500, days=9)
    known = known_before((DEVICE, WEEKDAY, RETURNING), world, time_zone="Asia/Kolkata")
    order = np.random.default_rng(0).permutation(500)
    moved = VisitorTotals(
        world.variants,
        world.variant[order],
        world.first_exposure[order],
        {k: v[order] for k, v in world.columns.items()},
        {"device": TraitValues(("a", "b", "c"), world.traits["device"].codes[order])},
        world.seen_before[order],  # type: ignore[index]
    )
    again = known_before((DEVICE, WEEKDAY, RETURNING), moved, time_zone="Asia/Kolkata")
    assert known.names == again.names
    assert np.array_equal(known.values[order], again.values)
    assert len(set(known.stratum)) == 6


def test_known_before__rare_labels__go_together_and_unknown_ones_apart() -> None:
    codes = np.array([0] * 9 + [1] * 8 + [2] * 7 + [3] * 6 + [4] * 2 + [5] + [-1] * 3, dtype=np.int32)
    made = totals(("control", "treatment"), np.zeros(len(codes)), {})
    made = replace(made, traits={"source": TraitValues(tuple("abcdef"), codes)}, seen_before=np.ones(len(codes), bool))
    known = known_before((Covariate("trait", "source"),), made, time_zone="UTC")
    assert known.names == tuple(f"trait source = {x}" for x in ("b", "c", "d", "another", "unknown"))
    assert known.values.sum(axis=0).tolist() == [8, 7, 6, 3, 3]


def test_activity__of_a_visitor_never_seen_before__is_unknown_and_not_none() -> None:
    world = a_world(np.random.default_rng(13), visitors=50)
    known = known_before((ACTIVITY,), world, time_zone="UTC")
    assert np.array_equal(np.isnan(known.values[:, 0]), ~np.asarray(world.seen_before))
    assert with_missing_indicators(known.values).shape == (50, 2)


@pytest.mark.parametrize("text", ["", "activity", "returning often", "age", "trait "])
def test_covariate__that_says_nothing__is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="covariate"):
        covariate_from_text(text)


def test_covariates__written_twice__count_once_and_read_back() -> None:
    found = covariates_from_texts(["returning", " activity add to cart ", "returning", "trait device", "weekday"])
    assert [c.text for c in found] == ["returning", "activity add to cart", "trait device", "weekday"]


def test_plan__with_covariates__survives_json_and_changes_the_hash() -> None:
    planned = with_covariates(plan(CART), RETURNING, ACTIVITY)
    assert AnalysisPlan.from_document(planned.to_document()) == planned
    assert planned.hash() != plan(CART).hash()
    assert planned.traits == () and planned.lookback_hours == 672


def test_plan__covariates_and_changing_weights__are_refused() -> None:
    periods = (AllocationPeriod(START, (0.9, 0.1)), AllocationPeriod(at_day(7), (0.5, 0.5)))
    with pytest.raises(ValueError, match="weights changed"):
        replace(plan(CART), periods=periods, covariates=(RETURNING,))


def test_analyse__later_visitors_with_other_devices__leave_earlier_looks_what_they_were() -> None:
    rng = np.random.default_rng(14)
    world = a_world(rng, visitors=6_000, days=20, effect=0.02)
    came = world.first_exposure - microseconds(START)
    # Four devices that nobody had in the first week are the commonest of all by the end.
    codes = np.where(came < 9 * DAY_US, world.traits["device"].codes, 3 + rng.integers(0, 4, len(came))).astype(
        np.int32
    )
    world = replace(world, traits={"device": TraitValues(tuple("abcdefg"), codes)})
    watched = metric("cart", Role.PRIMARY, window_hours=24)
    planned = with_covariates(
        plan(watched, is_imported=False, horizon_days=28, planned_visitors=9_000), DEVICE, RETURNING
    )

    early = only(analysed(planned, world.of(came < 9 * DAY_US), as_of=at_day(9)))
    late = only(analysed(planned, world, as_of=at_day(20)))

    assert [look.day for look in early.looks] == [7, 8, 9]
    assert [look.z for look in late.looks[:3]] == pytest.approx([look.z for look in early.looks], rel=1e-9)


def test_gate__columns_that_say_nothing_new__cost_no_conversions() -> None:
    # 28 conversions carry two columns. "Never seen" repeats "returning", so two are left of three.
    for bought, method in ((28, "lin"), (24, "stratified_score")):
        variant = np.repeat([0, 1], 400)
        seen = np.tile([True, False], 400)
        done = np.concatenate([np.arange(400) < 28, np.arange(400) < bought]).astype(float)
        made = totals(("control", "treatment"), variant, {"cart": done, "before.activity view": np.arange(800.0) % 7})
        found = analysed(with_covariates(plan(CART), RETURNING, ACTIVITY), replace(made, seen_before=seen))
        assert computed(only(found)).method == method


def test_gate__nearly_everybody_converts__counts_those_who_do_not() -> None:
    world = a_world(np.random.default_rng(15), visitors=800)
    rare = np.zeros(800)
    rare[:30] = 1
    flipped = replace(world, columns={**world.columns, "cart": 1 - rare})
    assert computed(only(analysed(with_covariates(plan(CART), RETURNING), flipped))).method == "stratified_score"


@pytest.mark.parametrize(
    ("text", "days", "name"),
    [
        ("activity add to cart (7 days)", 7, "add to cart"),
        ("amount buy", 28, "buy"),
        ("activity (x) (1 day)", 1, "(x)"),
    ],
)
def test_covariate__with_days__asks_the_store_for_as_many(text: str, days: int, name: str) -> None:
    covariate = covariate_from_text(text)
    assert covariate_from_text(covariate.text) == covariate
    column = COVARIATE_KINDS[covariate.kind].column(covariate)
    assert column is not None
    assert (column.start_hours, column.end_hours, column.event) == (-24.0 * days, 0.0, name)
    assert column.aggregate is (Aggregate.SUM if text.startswith("amount") else Aggregate.COUNT)


@pytest.mark.parametrize("text", ["activity buy (0 days)", "activity buy (29 days)", "trait device (7 days)"])
def test_covariate__with_days_that_cannot_be__is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="days"):
        covariate_from_text(text)


def test_analyse__a_number_added_to_every_value__changes_neither_effect_nor_error() -> None:
    world = a_world(np.random.default_rng(16))
    moved = replace(world, columns={**world.columns, "spend": world.columns["spend"] + 1_000})
    planned = with_covariates(plan(SPEND), RETURNING, ACTIVITY)
    one, other = (computed(only(analysed(planned, w), "spend")) for w in (world, moved))
    assert (other.effect, other.standard_error) == (pytest.approx(one.effect), pytest.approx(one.standard_error))
    assert other.p_value == pytest.approx(one.p_value, rel=1e-6)


def test_analyse__ratio_with_covariates__is_the_regression_of_the_linearised_values() -> None:
    rng = np.random.default_rng(17)
    world = a_world(rng)
    below = 1 + rng.poisson(1 + world.columns["before.activity view"])
    above = rng.binomial(below, 0.3).astype(float)
    world = replace(world, columns={**world.columns, "rate": above, "rate.denominator": below.astype(float)})
    rate = metric("rate", Role.PRIMARY, kind="ratio")
    result = computed(only(analysed(with_covariates(plan(rate), ACTIVITY), world), "rate"))

    t = (world.variant == 1).astype(float)
    linear = np.empty(len(t))
    for arm in (0, 1):
        mine = t == arm
        ratio = above[mine].sum() / below[mine].sum()
        linear[mine] = ratio + (above[mine] - ratio * below[mine]) / below[mine].mean()
    x = np.column_stack([np.where(world.seen_before, world.columns["before.activity view"], 0), ~world.seen_before])  # type: ignore[operator]
    x = x.astype(float) - x.mean(axis=0)
    fit = sm.OLS(linear, np.column_stack([np.ones(len(t)), t, x, t[:, None] * x])).fit(cov_type="HC2")
    assert result.effect == pytest.approx(fit.params[1], rel=1e-9)
    assert result.standard_error == pytest.approx(fit.bse[1], rel=1e-9)


def test_plan__metric_to_be_compared_plainly__says_so_in_the_document_and_the_hash() -> None:
    planned = with_covariates(plan(CART), RETURNING)
    plainly = replace(planned, metrics=(replace(CART, is_adjusted=False),))
    assert AnalysisPlan.from_document(plainly.to_document()) == plainly
    assert plainly.hash() != planned.hash()
    assert "is_adjusted" not in planned.to_document()["metrics"][0]


def _plainly(planned: AnalysisPlan) -> AnalysisPlan:
    return replace(planned, metrics=tuple(replace(m, is_adjusted=False) for m in planned.metrics))


@pytest.mark.parametrize("role", [Role.PRIMARY, Role.EXPLORATORY])
def test_analyse__plain_comparison_planned__counts_at_every_look_and_the_adjusted_one_stands_beside(role: Role) -> None:
    world = a_world(np.random.default_rng(18), visitors=6_000, days=14, effect=0.05)
    watched = metric("cart", role, window_hours=24)
    planned = with_covariates(plan(watched, is_imported=False, horizon_days=28), RETURNING, ACTIVITY)
    uncovered = only(analysed(replace(planned, covariates=()), world, as_of=at_day(14)))

    adjusted, plain = (only(analysed(p, world, as_of=at_day(14))) for p in (planned, _plainly(planned)))

    assert plain.result == uncovered.result and plain.looks == uncovered.looks
    assert (plain.claim, plain.adjusted_p_value) == (uncovered.claim, uncovered.adjusted_p_value)
    assert plain.unadjusted is None and adjusted.adjusted is None
    # Where the two bounds are the same, each comparison is what the other plan calls the one beside.
    assert plain.adjusted is not None and isinstance(plain.adjusted.result, Comparison)
    assert plain.adjusted.result.method == "lin"
    assert plain.adjusted.result.z == pytest.approx(computed(adjusted).z, rel=1e-9)
    assert adjusted.unadjusted is not None and isinstance(adjusted.unadjusted.result, Comparison)
    assert adjusted.unadjusted.result.z == pytest.approx(computed(plain).z, rel=1e-9)
    if role is Role.PRIMARY:
        assert plain.adjusted.result.p_value == pytest.approx(computed(adjusted).p_value, rel=1e-6)
        assert plain.adjusted.variance_left == pytest.approx(adjusted.unadjusted.variance_left, rel=1e-6)


def test_analyse__kind_that_no_covariate_sharpens__says_so() -> None:
    world = a_world(np.random.default_rng(19))
    quantile = metric("spend", Role.PRIMARY, kind="quantile", options={"quantile": 0.5})
    found = only(analysed(with_covariates(plan(quantile), RETURNING), world), "spend")
    assert found.adjusted is not None and isinstance(found.adjusted.result, NotComputable)
    assert found.adjusted.result.blocker is Blocker.NOT_ADJUSTABLE


def test_document__both_comparisons__follow_the_schema_and_stand_in_the_spreadsheet() -> None:
    world = a_world(np.random.default_rng(20), effect=0.03)
    planned = with_covariates(plan(CART, replace(SPEND, is_adjusted=False)), RETURNING, ACTIVITY)
    document = to_document(analysed(planned, world))
    jsonschema.Draft202012Validator(REPORT_SCHEMA).validate(document)
    cart, spend = (m["comparisons"][0] for m in document["metrics"])
    assert (cart["method"], cart["unadjusted"]["method"]) == ("lin", "score")
    assert (spend["method"], spend["adjusted"]["method"]) == ("welch", "lin")
    rows = [dict(zip(CSV_COLUMNS, row, strict=True)) for row in to_csv_rows(document)[1:]]
    treated = [row for row in rows if row["variant"] == "treatment"]
    assert [row["beside"] for row in treated] == ["unadjusted", "adjusted"]
    assert treated[0]["beside_effect"] == cart["unadjusted"]["effect"]
    assert treated[1]["beside_ci_low"] == spend["adjusted"]["ci_low"]
    assert all(row["beside"] is None for row in rows if row["variant"] == "control")


def test_bundle__of_a_plan_with_covariates__computes_to_the_stored_answer_whatever_the_order() -> None:
    world = a_world(np.random.default_rng(21), visitors=1_500, days=14, effect=0.03)
    watched = metric("cart", Role.PRIMARY, window_hours=24)
    planned = with_covariates(
        plan(watched, SPEND, is_imported=False, horizon_days=28), RETURNING, ACTIVITY, DEVICE, WEEKDAY
    )
    counts = exposures({"control": 750, "treatment": 750})
    inputs = Inputs(planned, world, counts, as_of=at_day(14))
    bundle = Bundle(inputs, inputs.answer(), run_id=1, code_version="v", inputs_changed=False)
    back = read_bundle(write_bundle(bundle))
    assert not np.array_equal(back.inputs.totals.first_exposure, world.first_exposure)  # rows come back sorted
    found = reproduce(back)
    assert found.agrees, found.differences


def test_chances__daily_looks_with_covariates__claim_no_effect_no_more_often_than_alpha() -> None:
    """Conversions grow from a handful to hundreds, so the looks go from strata to regression on the way."""
    rng = np.random.default_rng(22)
    replicates = 120
    watched = metric("cart", Role.PRIMARY, window_hours=24)
    planned = with_covariates(
        plan(watched, is_imported=False, horizon_days=14, planned_visitors=1_500), RETURNING, ACTIVITY
    )
    found = [
        only(analysed(planned, a_world(rng, visitors=1_500, base=0.08, days=12.9), as_of=at_day(15)))
        for _ in range(replicates)
    ]
    claimed = sum(one.claim is not Claim.OPEN for one in found)
    low, high = stats.binom.ppf([0.0005, 0.9995], replicates, 0.05)
    assert low <= claimed <= high
    assert {computed(one).method for one in found} == {"lin"}


def test_arm_estimates__columns_that_nearly_repeat_or_hardly_vary__agree_with_householders_decomposition() -> None:
    rng = np.random.default_rng(23)
    n = 4_000
    base = rng.normal(size=(n, 3))
    x = np.column_stack(
        [1e6 + base[:, 0], base[:, 1], base[:, 1] + 1e-3 * base[:, 2], 1e-7 * rng.random(n), np.full(n, 0.1)]
    )
    t, c = rng.normal(size=n // 2) + base[: n // 2, 0], rng.normal(size=n // 2)
    found = arm_estimates(t, c, x)
    centred = x[:, :4] - x[:, :4].mean(axis=0)
    centred /= centred.std(axis=0)
    arms = []
    for y, mine in ((t, centred[: n // 2]), (c, centred[n // 2 :])):
        fit = sm.OLS(y, sm.add_constant(mine)).fit(cov_type="HC2")
        arms.append((fit.params[0], fit.bse[0] ** 2))
    assert not isinstance(found, NotComputable)
    assert (found.t, found.c) == pytest.approx((arms[0][0], arms[1][0]), rel=1e-8)
    assert (found.variance_t, found.variance_c) == pytest.approx((arms[0][1], arms[1][1]), rel=1e-8)
    assert found.degrees_of_freedom == n - 2 * 5


def test_usable_columns__constant_in_one_variant_only__are_left_out() -> None:
    rng = np.random.default_rng(24)
    x = rng.normal(size=(200, 2))
    x[:100, 1] = 0.3  # no slope of the treatment can be told
    assert usable_columns(x, 100).shape == (200, 1)
