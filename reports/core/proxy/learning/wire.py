"""What was learnt, as plain JSON values: for the store, the pages and the plans of later experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.core.proxy.covariance import TotalCovariance
from reports.core.proxy.learning.backtest import BackTest
from reports.core.proxy.learning.evidence import Evidence, StepEvidence
from reports.core.proxy.learning.grid import SPREAD
from reports.core.proxy.learning.report_card import LEAST_EXPERIMENTS, ReportCard

EVIDENCE_SCHEMA = 1


def evidence_document(families: Sequence[Evidence]) -> dict[str, Any]:
    """Return the evidence of every kind of change; kinds as prone to bait share one entry."""
    return {"schema": EVIDENCE_SCHEMA, "families": [_family(one) for one in families]}


def learned_priors(families: Sequence[Evidence], *, evidence: int) -> dict[str, Any]:
    """Return what later plans freeze, by kind of change; only what is reckoned with."""
    return {
        kind: {
            "shares": [[c.value, share] for c, share in one.learned.shares.items()],
            "pass_throughs": [list(pair) for pair in one.learned.pass_throughs],
            "spread": SPREAD,
            "grade": one.grade.value,
            "experiments": one.experiments,
            "evidence": evidence,
        }
        for one in families
        if one.is_used
        for kind in one.alike
    }


def _family(one: Evidence) -> dict[str, Any]:
    low, high = one.learned.bait_interval()
    return {
        "kinds": list(one.alike),
        "grade": one.grade.value,
        "is_used": one.is_used,
        "experiments": one.experiments,
        "comparisons": one.comparisons,
        "shares": {c.value: share for c, share in one.learned.shares.items()},
        "bait_80": [low, high],
        "pass_through": one.learned.pass_through,
        "pass_throughs": [list(pair) for pair in one.learned.pass_throughs],
        "steps": [_step(step) for step in one.steps],
        "back_test": None if one.back_test is None else _back_test(one.back_test),
    }


def _back_test(found: BackTest) -> dict[str, Any]:
    return {
        "experiments": found.experiments,
        "clear": found.clear,
        "fell": found.fell,
        "rules": [
            {
                "rule": one.rule.value,
                "ships": one.ships,
                "gain": one.gain,
                "gain_error": one.gain_error,
                "mistaken": one.mistaken,
            }
            for one in found.rules
        ],
        "composite": None
        if found.over_engine is None
        else {
            "weights": [list(pair) for pair in found.weights],
            "over_engine": found.over_engine[0],
            "over_engine_error": found.over_engine[1],
            "does_better": found.composite_does_better,
        },
    }


def _step(one: StepEvidence) -> dict[str, Any]:
    agreement, card = one.agreement, one.card
    return {
        "key": one.step,
        "experiments": one.experiments,
        "sign_agreement": None
        if agreement is None
        else {"value": agreement.value, "ci": [agreement.interval.low, agreement.interval.high]},
        "card": None if card is None or one.experiments < LEAST_EXPERIMENTS else _card(card),
        "placebo_is_clean": None if one.placebo is None else one.placebo.is_clean,
    }


def _card(card: ReportCard) -> dict[str, Any]:
    return {
        "correlation": card.correlation,
        "slope": _slope(card.covariance),
        "naive_slope": card.covariance.naive_slope,
        "is_too_weak": card.covariance.is_too_weak,
        "quality": [[n, value] for n, value in card.quality],
        "macro_quality": [[n, value] for n, value in card.macro_quality],
        "break_even_visitors": card.break_even,
        "macro_significant": card.score.macro_significant,
        "detected": card.score.detected,
        "mistaken": card.score.mistaken,
        "missed": card.score.missed,
        "score": card.score.score,
    }


def _slope(covariance: TotalCovariance) -> float | None:
    return None if covariance.is_too_weak else covariance.slope
