"""From a site's plan to the question that the certificate simulates, and its answer as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from experiments.core.plan import LearnedPrior
from experiments.core.refusal import Refused
from reports.core.planner import WEEKS
from reports.core.planning.options import Option, Way, options
from reports.core.planning.past import Baseline
from reports.core.planning.site_plan import SitePlan
from reports.core.proxy.certificate import ENGINE_VERSION, CertificateQuestion, TruthOutcome, is_hopeless

HIGHEST_REACH = 1.0


def certificate_question(plan: SitePlan) -> CertificateQuestion:
    """Return what is to be simulated for a plan with a funnel: its own rates, traffic, looks and windows.

    Raises: Refused with a code when the plan has no funnel, no end, or a step that nobody reached yet.
    """
    if len(plan.funnel) < 2:
        raise Refused(
            "no_funnel",
            "Nothing is declared to be a step towards the goal.",
            "Give milestones their place on the way, and a macro conversion, each with a window.",
        )
    if plan.has_no_end:
        raise Refused(
            "no_planned_end",
            "The experiment has no planned end, so it has no last look to simulate.",
            "Plan an end of whole weeks.",
        )
    reach: list[float] = []
    for step in plan.funnel:
        base = step.baseline
        if not isinstance(base, Baseline) or not 0 < base.value <= 1:
            message = "Nobody has done it yet." if isinstance(base, Baseline) else base.message
            raise Refused(
                "step_without_rate",
                f"{step.metric.name or step.metric.key}: {message}",
                "Wait until the site's history has it.",
            )
        # Rates come from windows of their own, so a later step may look as common as the one before; never commoner.
        reach.append(min(base.value, reach[-1] if reach else HIGHEST_REACH))
    keys = [step.metric.key for step in plan.funnel]
    return CertificateQuestion(
        reach=tuple(reach),
        per_week=plan.traffic.per_week * plan.traffic_share,
        weeks=plan.ask.weeks or plan.horizon_weeks or WEEKS[-1],
        gain=plan.ask.lift_to_find(),
        weights=plan.weights,
        maturity_days=tuple((step.metric.window_hours or 0.0) / 24 for step in plan.funnel),
        look_every_days=plan.look_every_days,
        preset=plan.risk_preset,
        change_type=plan.change_type,
        target_step=keys.index(plan.target_step) + 1 if plan.target_step in keys else None,
        learned=plan.learned,
    )


def question_document(question: CertificateQuestion) -> dict[str, Any]:
    """Return the inputs as plain JSON values; `question_of` is the inverse."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(question)))
    return document


def question_of(document: dict[str, Any]) -> CertificateQuestion:
    """Return the inputs of a document. Raises: KeyError, TypeError or ValueError for one that is none."""
    tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
    learned = tuples.pop("learned", None)
    return CertificateQuestion(**tuples, learned=LearnedPrior.from_document(learned) if learned else None)


def outcome_document(outcomes: Sequence[TruthOutcome], *, seed: int) -> dict[str, Any]:
    """Return what was simulated as plain JSON values."""
    return {
        "engine_version": ENGINE_VERSION,
        "replicates": outcomes[0].replicates if outcomes else 0,
        "seed": seed,
        "is_hopeless": is_hopeless(outcomes),
        "truths": [
            {
                "truth": o.truth.value,
                "macro_lift": o.macro_lift,
                "ship": o.ship,
                "ship_error": o.ship_error,
                "states": {state.value: share for state, share in o.states.items()},
                "weeks": {"mean": o.weeks_mean, "median": o.weeks_median, "p90": o.weeks_p90},
                "macro_alone": {"ship": o.macro_ship, "weeks": o.macro_weeks},
            }
            for o in outcomes
        ],
    }


def options_document(plan: SitePlan, question: CertificateQuestion) -> list[dict[str, Any]]:
    """Return the ways to decide, side by side, as plain JSON values."""
    found = options(question, alpha=plan.ask.alpha, power=plan.ask.power)
    return [_option(plan, option) for option in found]


def _option(plan: SitePlan, option: Option) -> dict[str, Any]:
    step = plan.funnel[(option.step or len(plan.funnel)) - 1].metric
    return {
        "way": option.way.value,
        "metric": step.key,
        "name": step.name or step.key,
        "answers_the_question": option.way is not Way.MICRO,
        "visitors": round(option.visitors),
        "visitors_expected": round(option.expected),
        "weeks": option.weeks,
        "power": option.power,
        "detectable_lift": option.detectable,
        "sign_error": option.sign_error,
        "exaggeration": option.exaggeration,
    }
