"""The public JSON of a plan: the same for the API, the command and the page."""

from __future__ import annotations

from typing import Any

from experiments.core.refusal import Refused
from reports.core.planner import GuardrailOutlook
from reports.core.planning.advice import recommend
from reports.core.planning.certifying import certificate_question, options_document
from reports.core.planning.past import Baseline, NoBaseline
from reports.core.planning.site_plan import GUARDRAIL_ALPHA, MetricPlan, SitePlan

PLANNING_SCHEMA = 1


def to_document(plan: SitePlan) -> dict[str, Any]:
    """Return a plan as plain JSON values. Within one schema number fields are only ever added."""
    ask, traffic = plan.ask, plan.traffic
    advice = recommend(plan)
    return {
        "schema": PLANNING_SCHEMA,
        "site": plan.site,
        "experiment": ask.experiment,
        "question": {
            "lift": ask.lift_to_find(),
            "weeks": ask.weeks,
            "alpha": ask.alpha,
            "power": ask.power,
            "margin": ask.margin,
            "weights": list(plan.weights),
            "traffic": plan.traffic_share,
            "entry": ask.entry,
            "look_every_days": plan.look_every_days,
            "futility": plan.futility.name.lower(),
        },
        "traffic": {
            "source": "given" if traffic.is_given else "history",
            "visitors_per_week": traffic.per_week,
            "spread_of_weeks": traffic.deviation,
            "by_weekday": list(traffic.by_weekday),
            "full_weeks": traffic.full_weeks,
            "first_day": traffic.first_day,
            "last_day": traffic.last_day,
        },
        "metrics": [_metric(one, plan) for one in plan.metrics],
        "options": _options(plan),
        "horizon_weeks": plan.horizon_weeks,
        "recommendation": {
            "state": advice.advice.value,
            "title": advice.title,
            "decide_by": plan.decide_by,
            "sentence": advice.sentence,
            "reasons": list(advice.reasons),
        },
    }


def _options(plan: SitePlan) -> list[dict[str, Any]]:
    try:
        return options_document(plan, certificate_question(plan))
    except Refused:
        return []


def _metric(one: MetricPlan, plan: SitePlan) -> dict[str, Any]:
    candidate, base, found, question = one.candidate, one.candidate.baseline, one.duration, one.question
    return {
        "key": one.key,
        "name": candidate.metric.name,
        "conversion": candidate.metric.conversion.value,
        "role": candidate.role.value if candidate.role else None,
        "direction": candidate.metric.direction.value,
        "window_hours": candidate.metric.window_hours,
        "lift": one.lift,
        "baseline": _baseline(base) if isinstance(base, Baseline) else None,
        "problem": _problem(one.problem) if one.problem else None,
        "size": None
        if found is None or question is None
        else {
            "one_look": one.one_look,
            "alpha_per_test": question.alpha_per_test,
            "power_per_metric": question.power_per_metric,
            "inflation": found.inflation,
            "visitors": found.total,
            "visitors_expected_if_real": found.expected_if_real * found.total,
            "visitors_expected_if_none": found.expected_if_null * found.total,
            "weeks": found.weeks,
            "days": found.days,
        },
        "detectable": [{"weeks": weeks, "lift": lift} for weeks, lift in one.at_weeks],
        "guardrail": _outlook(one, one.outlook, plan) if one.outlook else None,
    }


def _baseline(base: Baseline) -> dict[str, Any]:
    return {
        "value": base.value,
        "low": base.low,
        "high": base.high,
        "visitors": base.visitors,
        "deviation": base.deviation,
        "source": "history" if base.visitors else "given",
    }


def _problem(problem: NoBaseline) -> dict[str, str]:
    return {"code": problem.code, "message": problem.message, "advice": problem.advice}


def _outlook(one: MetricPlan, outlook: GuardrailOutlook, plan: SitePlan) -> dict[str, Any]:
    return {
        "margin": one.candidate.margin or plan.ask.margin,
        "alpha": GUARDRAIL_ALPHA,
        "weeks": one.outlook_weeks,
        "conversions_per_variant": outlook.conversions_per_variant,
        "chance_of_safe": outlook.chance_of_safe,
        "is_powered": outlook.is_powered,
        "least_margin": outlook.least_margin,
    }
