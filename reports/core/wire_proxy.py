"""The funnel and the proxy engine's answers as plain JSON values, with their schema."""

from __future__ import annotations

import math
from typing import Any

from experiments.core.plan import LearnedPrior
from reports.core.methods.base import Interval
from reports.core.proxy.classes import VariantClass
from reports.core.proxy.judging import ProxyAnalysis, ProxyResult
from reports.core.proxy.quality import QualityState, StepQuality
from reports.core.proxy.reached import Place, Reached
from reports.core.proxy.verdict import Note, ProxyState


def funnel_document(reached: Reached) -> dict[str, Any]:
    """Return the steps with who could have made each and who did, and whether each milestone stands where it should."""
    return {
        "steps": [
            {
                "key": step.key,
                "name": step.name or step.key,
                "variants": [
                    {
                        "variant": variant,
                        "at_risk": int(reached.at_risk[variant][-1][n]),
                        "reached": int(reached.reached[variant][-1][n]),
                    }
                    for variant in reached.at_risk
                ],
            }
            for n, step in enumerate(reached.steps)
        ],
        "places": [_place(place) for place in reached.places],
    }


def proxy_document(proxy: ProxyAnalysis, learned: LearnedPrior | None = None) -> dict[str, Any]:
    """Return what was believed beforehand, from how many finished experiments, and what the engine says of each treatment."""
    prior = proxy.prior
    return {
        "prior": {
            "shares": {c.value: share for c, share in prior.shares.items()},
            "pass_through": prior.pass_through,
            "pass_through_spread": prior.pass_through_spread,
            "learned_from": None if learned is None else learned.experiments,
            "grade": None if learned is None else learned.grade,
            "evidence": None if learned is None else learned.evidence,
            "target_step": None if prior.target_step is None else proxy.reached.steps[prior.target_step - 1].key,
        },
        "pooled_with": None
        if proxy.pooled is None
        else {"experiment": proxy.pooled.experiment, "visitors": proxy.pooled.visitors},
        "treatments": [_result(r, proxy.reached) for r in proxy.results],
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "key": place.key,
        "name": place.name,
        "gateway": place.gateway,
        "gateway_ci": _pair(place.gateway_interval),
        "out_of_order": place.out_of_order,
        "reach": place.reach,
        "is_demoted": place.is_demoted,
        "detail": place.detail,
    }


def _result(found: ProxyResult, reached: Reached) -> dict[str, Any]:
    verdict, steps = found.verdict, reached.steps
    return {
        "variant": found.variant,
        "state": verdict.state.value,
        "notes": [note.value for note in verdict.notes],
        "risk": verdict.risk,
        "posterior": {c.value: chance for c, chance in verdict.posterior.items()},
        "evidence": {c.value: math.exp(min(x, 700.0)) for c, x in verdict.log_evidence.items()},
        "legs": [
            {"name": leg.name, "reached": leg.reached, "needed": leg.needed, "holds": leg.holds} for leg in verdict.legs
        ],
        "step_effects": [
            {"key": step.key, "log_lift": float(effect), "variance": float(variance)}
            for step, effect, variance in zip(
                steps, verdict.effects.effect[0], verdict.effects.variance[0], strict=True
            )
        ],
        "z_macro": verdict.z_macro,
        "macro_bound": verdict.macro_bound if math.isfinite(verdict.macro_bound) else None,
        "macro_lift": _lift(verdict.macro),
        "macro_lift_80": _lifts(verdict.macro_80),
        "macro_lift_95": _lifts(verdict.macro_95),
        "macro_alone_lift": _lift(verdict.macro_alone),
        "macro_alone_lift_95": _lifts(verdict.macro_alone_95),
        "chance_of_loss": verdict.chance_of_loss,
        "tipping_bait_share": verdict.tipping_bait_share,
        "quality": [_quality(q, steps[q.step - 1].key) for q in found.qualities],
        "surrogate": {
            "effect": found.surrogate.effect,
            "ci": _pair(found.surrogate.interval),
            "gap": found.surrogate.gap,
            "gap_ci": _pair(found.surrogate.gap_interval),
        },
        "looks": [
            {"day": look.day, "win": look.win, "bait": look.bait, "harm": look.harm, "macro_lift": look.macro}
            for look in found.looks
        ],
    }


def _quality(quality: StepQuality, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "state": quality.state.value,
        "micro_lift": quality.micro,
        "micro_lift_95": _pair(quality.micro_interval),
        "quality_lift": quality.quality,
        "quality_lift_95": _pair(quality.quality_interval),
        "z_quality": quality.z_quality,
        "exact_p": quality.exact_p,
    }


def _lift(log_lift: float) -> float | None:
    lift = math.expm1(min(log_lift, 700.0))
    return lift if math.isfinite(lift) else None


def _lifts(interval: Interval) -> list[float | None]:
    return [_lift(interval.low), _lift(interval.high)]


def _pair(interval: Interval | None) -> list[float | None] | None:
    if interval is None:
        return None
    return [x if math.isfinite(x) else None for x in (interval.low, interval.high)]


def _object(properties: dict[str, Any], description: str = "", *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(name for name in properties if name not in optional),
        "additionalProperties": False,
        **told,
    }


_NUMBER = {"type": "number"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_NULLABLE = {"type": ["number", "null"]}
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_PAIR = {"type": ["array", "null"], "items": _NULLABLE, "minItems": 2, "maxItems": 2}
_CLASS_SHARES = {
    "type": "object",
    "properties": {c.value: _SHARE for c in VariantClass},
    "additionalProperties": False,
}

FUNNEL_SCHEMA = _object(
    {
        "steps": {
            "type": "array",
            "items": _object(
                {
                    "key": _TEXT,
                    "name": _TEXT,
                    "variants": {
                        "type": "array",
                        "items": _object({"variant": _TEXT, "at_risk": _COUNT, "reached": _COUNT}),
                    },
                }
            ),
        },
        "places": {
            "type": "array",
            "items": _object(
                {
                    "key": _TEXT,
                    "name": _TEXT,
                    "gateway": {"type": ["number", "null"]},
                    "gateway_ci": _PAIR,
                    "out_of_order": {"type": ["number", "null"]},
                    "reach": _SHARE,
                    "is_demoted": {"type": "boolean"},
                    "detail": _TEXT,
                }
            ),
        },
    },
    "The plan's funnel, the macro conversion last, of visitors who have had their time. `at_risk` made the step before; who made a "
    "step counts as having made those before it. `places` says whether each milestone lies on the way; one that does not is demoted.",
)

PROXY_SCHEMA = _object(
    {
        "prior": _object(
            {
                "shares": _CLASS_SHARES,
                "pass_through": _NUMBER,
                "pass_through_spread": _NUMBER,
                "learned_from": {"type": ["number", "null"]},
                "grade": {"type": ["string", "null"]},
                "evidence": {"type": ["integer", "null"]},
                "target_step": {"type": ["string", "null"]},
            },
            optional=("learned_from", "grade", "evidence"),
        ),
        "pooled_with": {
            "anyOf": [_object({"experiment": _TEXT, "visitors": _COUNT}), {"type": "null"}],
        },
        "treatments": {
            "type": "array",
            "items": _object(
                {
                    "variant": _TEXT,
                    "state": {"type": "string", "enum": [s.value for s in ProxyState]},
                    "notes": {"type": "array", "items": {"type": "string", "enum": [n.value for n in Note]}},
                    "risk": _SHARE,
                    "posterior": _CLASS_SHARES,
                    "evidence": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
                    "legs": {
                        "type": "array",
                        "items": _object(
                            {"name": _TEXT, "reached": _NUMBER, "needed": _NUMBER, "holds": {"type": "boolean"}}
                        ),
                    },
                    "step_effects": {
                        "type": "array",
                        "items": _object({"key": _TEXT, "log_lift": _NUMBER, "variance": _NUMBER}),
                    },
                    "z_macro": _NUMBER,
                    "macro_bound": _NULLABLE,
                    "macro_lift": _NULLABLE,
                    "macro_lift_80": _PAIR,
                    "macro_lift_95": _PAIR,
                    "macro_alone_lift": _NULLABLE,
                    "macro_alone_lift_95": _PAIR,
                    "chance_of_loss": _SHARE,
                    "tipping_bait_share": _SHARE,
                    "quality": {
                        "type": "array",
                        "items": _object(
                            {
                                "key": _TEXT,
                                "state": {"type": "string", "enum": [s.value for s in QualityState]},
                                "micro_lift": _NUMBER,
                                "micro_lift_95": _PAIR,
                                "quality_lift": _NUMBER,
                                "quality_lift_95": _PAIR,
                                "z_quality": _NUMBER,
                                "exact_p": {"type": ["number", "null"]},
                            }
                        ),
                    },
                    "surrogate": _object({"effect": _NUMBER, "ci": _PAIR, "gap": _NUMBER, "gap_ci": _PAIR}),
                    "looks": {
                        "type": "array",
                        "items": _object(
                            {"day": _COUNT, "win": _SHARE, "bait": _SHARE, "harm": _SHARE, "macro_lift": _NUMBER}
                        ),
                    },
                }
            ),
        },
    },
    "What the proxy engine says, where the plan's rule is `proxy_engine`. `legs` are the conditions of shipping by the proxy (evidence as "
    "logs); lifts of the macro with all steps (`macro_lift`) and by itself (`macro_alone_lift`). `quality` diagnoses, and decides nothing.",
)
