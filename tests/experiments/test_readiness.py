"""The check list before a start: each obstacle alone, and none for a sound draft."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from experiments.core.metrics import Conversion, MetricDefinition, Role
from experiments.core.readiness import Draft, DraftMetric, DraftVariant, LayerClaim, StartRefused, obstacles

NOW = datetime(2026, 3, 2, tzinfo=UTC)
MICRO = DraftMetric(MetricDefinition("cart", "Cart", Conversion.MILESTONE, "conversion", "cart"), Role.PROXY)
MACRO = DraftMetric(MetricDefinition("buy", "Buy", Conversion.MACRO, "conversion", "buy"), Role.GUARDRAIL, 0.1)
RATIO = DraftMetric(MetricDefinition("r", "R", Conversion.SECONDARY, "ratio", "click"), Role.EXPLORATORY)
A, B = DraftVariant("a", 5_000, True), DraftVariant("b", 5_000, False)
SOUND = Draft(key="e", now=NOW, variants=(A, B), metrics=(MICRO, MACRO), milestones=frozenset({"cart"}))
WINDOWED = tuple(replace(m, definition=replace(m.definition, window_hours=24.0)) for m in (MICRO, MACRO))
NO_END = replace(SOUND, metrics=WINDOWED, has_no_end=True, planned_visitors=4_000)
MINE = LayerClaim("e", 0, 5_000)

FOUR_MICROS = tuple(replace(MICRO, definition=replace(MICRO.definition, key=key)) for key in ("cart", "b", "c", "d"))

CASES = {
    "too_few_variants": replace(SOUND, variants=(replace(A, weight=10_000),)),
    "no_control": replace(SOUND, variants=(replace(A, is_control=False), B)),
    "several_controls": replace(SOUND, variants=(A, replace(B, is_control=True))),
    "weights_do_not_add_up": replace(SOUND, variants=(A, replace(B, weight=4_999))),
    "no_metric": replace(SOUND, metrics=()),
    "no_success_metric": replace(SOUND, metrics=(MACRO,)),
    "macro_unprotected": replace(SOUND, metrics=(MICRO,)),
    "guardrail_without_margin": replace(SOUND, metrics=(MICRO, replace(MACRO, margin=None))),
    "margin_needs_reason": replace(SOUND, metrics=(MICRO, replace(MACRO, margin=0.21))),
    "metric_of_another_site": replace(SOUND, metrics=(replace(MICRO, is_of_this_site=False), MACRO)),
    "metric_kind_unknown": replace(
        SOUND, metrics=(MICRO, MACRO, replace(RATIO, definition=replace(RATIO.definition, kind="odd")))
    ),
    "metric_incomplete": replace(SOUND, metrics=(MICRO, MACRO, RATIO)),
    "metric_failed_audit": replace(SOUND, metrics=(replace(MICRO, audit_failure="It found 11 %."), MACRO)),
    "micro_without_reason": replace(SOUND, metrics=(*FOUR_MICROS, MACRO)),
    "retest_impossible": replace(SOUND, retest_fault="'other' is not finished."),
    "target_step_unknown": replace(SOUND, target_step="nowhere"),
    "audience_invalid": replace(SOUND, audience={"country": {"$nearly": "PT"}}),
    "no_traffic": replace(SOUND, traffic=0),
    "layer_overlap": replace(SOUND, layer="top", claim=MINE, claimed=(LayerClaim("other", 4_999, 6_000),)),
    "layer_of_another_site": replace(SOUND, layer_is_of_this_site=False),
    "holdout_of_another_site": replace(SOUND, holdout_is_of_this_site=False),
    "ends_in_the_past": replace(SOUND, ends_at=NOW),
    "no_end_without_visitors": replace(NO_END, planned_visitors=None),
    "no_end_without_window": replace(NO_END, metrics=(WINDOWED[0], MACRO)),
    "covariate_unknown": replace(SOUND, covariates=("returning", "trait")),
    "no_end_with_one_look": replace(
        NO_END,
        metrics=(
            replace(
                WINDOWED[0], definition=replace(WINDOWED[0].definition, kind="quantile", options={"quantile": 0.5})
            ),
            WINDOWED[1],
        ),
    ),
}


def test_obstacles__sound_draft__has_none() -> None:
    assert obstacles(SOUND) == ()
    assert obstacles(NO_END) == ()
    unwindowed = replace(MICRO, definition=replace(MICRO.definition, key="x"), role=Role.EXPLORATORY)
    assert obstacles(replace(NO_END, metrics=(*WINDOWED, unwindowed))) == ()


@pytest.mark.parametrize("code", CASES)
def test_obstacles__one_fault__is_named_with_advice_and_nothing_else_is(code: str) -> None:
    (found,) = obstacles(CASES[code])
    assert found.code == code
    assert found.message and found.advice


def test_obstacles__macro_as_proxy__is_refused_although_another_macro_guards() -> None:
    second = replace(MACRO, definition=replace(MACRO.definition, key="buy2"), role=Role.PROXY, margin=None)
    assert [o.code for o in obstacles(replace(SOUND, metrics=(MICRO, MACRO, second)))] == ["macro_as_proxy"]


@pytest.mark.parametrize(
    "draft",
    [
        replace(SOUND, metrics=(MICRO, replace(MACRO, margin=0.2))),
        replace(SOUND, metrics=(MICRO, replace(MACRO, margin=0.3, reason="We can live with it."))),
        replace(SOUND, metrics=(MICRO, replace(MACRO, role=Role.PRIMARY, margin=None))),
        replace(SOUND, layer="top", claim=MINE, claimed=(LayerClaim("other", 5_000, 6_000),)),
        replace(SOUND, ends_at=NOW + timedelta(seconds=1)),
        replace(SOUND, target_step="cart"),
        replace(SOUND, audience={"country": {"$in": ["PT"]}}),
    ],
)
def test_obstacles__at_the_allowed_edge__has_none(draft: Draft) -> None:
    assert obstacles(draft) == ()


def test_start_refused__several_obstacles__gives_each_piece_of_advice_once() -> None:
    found = obstacles(Draft(key="e", now=NOW))
    refused = StartRefused((*found, *found))
    assert all(o.message in refused.message for o in found)
    assert refused.advice.count(found[0].advice) == 1


def test_obstacles__failed_audit_of_an_exploratory_metric__is_no_obstacle() -> None:
    shelf = DraftMetric(MetricDefinition("x", "X", Conversion.SECONDARY, "conversion", "x"), Role.EXPLORATORY)
    assert obstacles(replace(SOUND, metrics=(MICRO, MACRO, replace(shelf, audit_failure="It found 11 %.")))) == ()


def test_confirmatory__fourth_micro_with_a_reason_or_within_a_funnel__may_decide() -> None:
    reasoned = (*FOUR_MICROS[:3], replace(FOUR_MICROS[3], reason="The shop's owner decides by it."), MACRO)
    assert obstacles(replace(SOUND, metrics=reasoned)) == ()
    steps = tuple(
        replace(m, definition=replace(m.definition, window_hours=24.0, funnel_order=n))
        for n, m in enumerate(FOUR_MICROS, start=1)
    )
    macro = replace(MACRO, definition=replace(MACRO.definition, window_hours=24.0))
    assert obstacles(replace(SOUND, metrics=(*steps, macro))) == ()
