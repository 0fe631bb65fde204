"""The analysis as the public JSON document (schema 1).

Numbers are JSON numbers or null, never NaN or infinity. A limit that is infinite is null and its name stands in the
sibling list `unbounded`; a limit that could not be computed is null and a sibling `..._not_computable` says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from experiments.core.plan import AnalysisPlan, LearnedPrior, Monitoring
from reports.core.analyse import Analysis
from reports.core.band import band
from reports.core.bayes import BayesView
from reports.core.decision import Verdict
from reports.core.event_times import EventTimes
from reports.core.health import Finding
from reports.core.methods import NAMED
from reports.core.methods.base import Comparison, Interval, Lift, NotComputable, SingleLook
from reports.core.methods.noninferiority import GuardrailResult, Worsening
from reports.core.periods import PeriodCounts
from reports.core.proxy.judging import ProxyAnalysis
from reports.core.quantiles import REPLICATES, Quantile
from reports.core.results import Beside, Look, MetricResult, Stopped, VariantComparison, VariantValue
from reports.core.secondary import bayes_of
from reports.core.spreadsheet import CSV_COLUMNS, to_csv_rows
from reports.core.statistics import Mean, Proportion, Ratio, Statistic, Stratified
from reports.core.wire_proxy import funnel_document, proxy_document
from reports.core.wire_timing import timing_document
from tracking.core.totals import ExposureCounts

__all__ = ["CSV_COLUMNS", "SCHEMA", "to_csv_rows", "to_document"]

SCHEMA = 1

_LABELS = {key: method.label for key, method in NAMED.items()}
_WATCHED = {
    Monitoring.GROUP_SEQUENTIAL: "group-sequential, repeated interval",
    Monitoring.CONFIDENCE_SEQUENCE: "confidence sequence, no planned end",
}


def to_document(analysis: Analysis) -> dict[str, Any]:
    """Return the public JSON document of an analysis; it follows `REPORT_SCHEMA`."""
    plan, progress = analysis.plan, analysis.progress
    return {
        "schema": SCHEMA,
        "experiment": plan.experiment,
        "site": plan.site,
        "as_of": progress.as_of.isoformat(),
        "plan_hash": plan.hash(),
        "alpha": plan.alpha,
        "guardrail_alpha": plan.guardrail_alpha,
        "started_at": progress.started_at.isoformat() if progress.started_at else None,
        "horizon_at": progress.horizon_at.isoformat() if progress.horizon_at else None,
        "next_look_at": progress.next_look_at.isoformat() if progress.next_look_at else None,
        "days": progress.days,
        "cut_at": progress.cut_at.isoformat(),
        "is_final": progress.is_final,
        "is_imported": plan.is_imported,
        "monitoring": plan.monitoring.value,
        "look_every_days": plan.look_every_days,
        "verdict": _verdict(analysis.verdict),
        "health": [_finding(f) for f in analysis.findings],
        "variants": [
            {
                "key": v.key,
                "name": v.label,
                "is_control": v.is_control,
                "visitors": analysis.exposures.visitors.get(v.key, 0),
                "weight": v.weight,
            }
            for v in plan.variants
        ],
        "metrics": [_metric(m, plan.control.key) for m in analysis.metrics],
        "exposures": _exposures(analysis.exposures, [v.key for v in plan.variants]),
        "timing": timing_document(analysis.timing),
        **_proxy(analysis.proxy, plan.learned),
        **({"periods": [_period(p, plan) for p in analysis.periods]} if analysis.periods else {}),
    }


def _proxy(proxy: ProxyAnalysis | None, learned: LearnedPrior | None) -> dict[str, Any]:
    if proxy is None:
        return {}
    answers = {"proxy": proxy_document(proxy, learned)} if proxy.results else {}
    return {"funnel": funnel_document(proxy.reached), **answers}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "state": verdict.state.value,
        "summary": verdict.summary,
        "reasons": [{"code": r.code, "text": r.text} for r in verdict.reasons],
        "numbers": _json_safe(verdict.numbers),
        "treatments": [
            {
                "variant": t.variant,
                "state": t.state.value,
                "summary": t.summary,
                "reasons": [{"code": r.code, "text": r.text} for r in t.reasons],
            }
            for t in verdict.treatments
        ],
        "next_change": verdict.next_change.isoformat() if verdict.next_change else None,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "title": finding.title,
        "detail": finding.detail,
        "evidence": _json_safe(finding.evidence),
    }


def _metric(metric: MetricResult, control: str) -> dict[str, Any]:
    definition = metric.planned.metric
    return {
        "key": metric.key,
        "name": metric.name,
        "role": metric.planned.role.value,
        "conversion": definition.conversion.value,
        "kind": definition.kind,
        "statistic": metric.statistic.value,
        "direction": definition.direction.value,
        "window_hours": definition.window_hours,
        "cap": definition.cap,
        "margin": metric.planned.margin,
        "added_after_start": metric.planned.added_after_start,
        "is_decisive": metric.is_decisive,
        "values": [_value(v) for v in metric.values],
        "comparisons": [_comparison(c, bayes_of(metric, c, control=control)) for c in metric.comparisons],
    }


def _value(value: VariantValue) -> dict[str, Any]:
    statistic = value.statistic
    document: dict[str, Any] = {
        "variant": value.variant,
        "visitors": statistic.visitors,
        "exposed": value.exposed,
        "value": _number(statistic.value),
        "ci_low": _number(value.interval.low) if value.interval else None,
        "ci_high": _number(value.interval.high) if value.interval else None,
    }
    if isinstance(statistic, Proportion):
        document["converted"] = statistic.converted
    else:
        document["total"] = _number(statistic.total)
    document["working"] = _working(statistic)
    return document


def _working(statistic: Statistic) -> dict[str, Any]:
    """Return the sufficient statistic itself, from which every number can be computed again."""
    if isinstance(statistic, Proportion):
        return {"visitors": statistic.visitors, "converted": statistic.converted}
    if isinstance(statistic, Mean):
        return {"visitors": statistic.visitors, "mean": statistic.mean, "squares_about_mean": statistic.squares}
    if isinstance(statistic, Ratio):
        return {
            "visitors": statistic.visitors,
            "numerator_mean": statistic.numerator_mean,
            "denominator_mean": statistic.denominator_mean,
            "numerator_squares": statistic.numerator_squares,
            "denominator_squares": statistic.denominator_squares,
            "products": statistic.products,
        }
    if isinstance(statistic, EventTimes):
        return {
            "visitors": statistic.visitors,
            "matured": statistic.matured,
            "effective_visitors": statistic.effective_visitors,
            "standard_error": _error_of(statistic),
        }
    if isinstance(statistic, Quantile):
        return {
            "visitors": statistic.visitors,
            "with_value": len(statistic.values),
            "quantile": statistic.level,
            "standard_error": _error_of(statistic),
            "resamples": REPLICATES,
            "seed": statistic.seed,
        }
    if isinstance(statistic, Stratified):
        periods = enumerate(zip(statistic.parts, statistic.mix, strict=True), start=1)
        return {"visitors": statistic.visitors, "standard_error": _error_of(statistic)} | {
            f"period_{number}_{name}": value
            for number, (part, share) in periods
            for name, value in (
                ("visitors", part.visitors),
                ("total", _number(part.total)),
                ("value", _number(part.value)),
                ("share", share),
            )
        }
    raise TypeError(f"No working is known for {type(statistic).__name__}.")


def _error_of(statistic: EventTimes | Quantile | Stratified) -> float | None:
    return _number(math.sqrt(statistic.variance / statistic.visitors)) if statistic.visitors else None


def _comparison(comparison: VariantComparison, bayes: BayesView | None) -> dict[str, Any]:
    document: dict[str, Any] = {"variant": comparison.variant}
    result = comparison.result
    if isinstance(result, NotComputable):
        document["not_computable"] = _blocked(result)
    else:
        document |= _compared(result)
        document["claim"] = comparison.claim.value
        document["is_unlikely_to_win"] = comparison.is_unlikely_to_win
        document["waits_for_primary"] = comparison.waits_for_primary
        if comparison.discovery is not None:
            document["discovery"] = asdict(comparison.discovery)
        if comparison.adjusted_p_value is not None:
            document["adjusted_p_value"] = comparison.adjusted_p_value
        if bayes is not None:
            document["bayes"] = _bayes(bayes)
        for name, beside in (("unadjusted", comparison.unadjusted), ("adjusted", comparison.adjusted)):
            if beside is not None:
                document[name] = _beside(beside)
    if comparison.looks:
        shown = zip(comparison.looks, band(comparison.looks), strict=True)
        document["looks"] = [_look(look, effect, interval) for look, (effect, interval) in shown]
    if comparison.stopped is not None:
        document["stopped"] = _stopped(comparison.stopped)
    if comparison.guardrail is not None:
        document["guardrail"] = _guardrail(comparison.guardrail)
    return document


def _beside(beside: Beside) -> dict[str, Any]:
    compared = (
        {"not_computable": _blocked(beside.result)}
        if isinstance(beside.result, NotComputable)
        else _compared(beside.result)
    )
    return compared | {"detail": beside.detail, "variance_left": beside.variance_left}


def _compared(result: Comparison) -> dict[str, Any]:
    limits = {"ci_low": result.interval.low, "ci_high": result.interval.high}
    document: dict[str, Any] = {"effect": result.effect, "alpha": result.alpha}
    if isinstance(result.lift, Lift):
        limits |= {
            "lift": result.lift.value,
            "lift_ci_low": result.lift.interval.low,
            "lift_ci_high": result.lift.interval.high,
        }
    else:
        document |= {"lift": None, "lift_ci_low": None, "lift_ci_high": None}
        document["lift_not_computable"] = _blocked(result.lift)
    document |= {name: _number(limit) for name, limit in limits.items()}
    return document | {
        "unbounded": [name for name, limit in limits.items() if math.isinf(limit)],
        "z": _number(result.z),
        "p_value": result.p_value,
        "standard_error": result.standard_error,
        "degrees_of_freedom": result.degrees_of_freedom,
        "method": result.method,
        "method_label": _label(result),
        **({"single_look": _single_look(result.single_look)} if result.single_look else {}),
    }


def _label(result: Comparison) -> str:
    label = _LABELS.get(result.method, result.method)
    return f"{label}; {_WATCHED[result.single_look.monitoring]}" if result.single_look else label


def _single_look(look: SingleLook) -> dict[str, Any]:
    return {"alpha": look.alpha, "p_value": look.p_value, "monitoring": look.monitoring.value}


def _bayes(view: BayesView) -> dict[str, Any]:
    return {
        "prior": {"a": view.prior.a, "b": view.prior.b},
        "p_better": view.p_better,
        "expected_loss_shipping": view.expected_loss_shipping,
        "expected_loss_keeping": view.expected_loss_keeping,
        "ci_low": view.difference.low,
        "ci_high": view.difference.high,
    }


def _look(look: Look, effect: float, interval: Interval) -> dict[str, Any]:
    return {
        "day": look.day,
        "information": look.information,
        "z": _number(look.z),
        "bound": _number(look.bound),
        "futility": None if look.futility is None else _number(look.futility),
        "effect": _number(effect),
        "ci_low": _number(interval.low),
        "ci_high": _number(interval.high),
    }


def _stopped(stopped: Stopped) -> dict[str, Any]:
    lift = stopped.lift_interval
    return {
        "day": stopped.day,
        "p_value": stopped.p_value,
        "effect": stopped.effect,
        "ci_low": stopped.interval.low,
        "ci_high": stopped.interval.high,
        "lift": stopped.lift,
        "lift_ci_low": _number(lift.low) if lift else None,
        "lift_ci_high": _number(lift.high) if lift else None,
    }


def _guardrail(result: GuardrailResult) -> dict[str, Any]:
    return {
        "outcome": result.outcome.value,
        "margin": result.margin,
        "alpha": result.alpha,
        "ruled_out_worsening": result.ruled_out,
        "is_small_drop_likely": result.is_small_drop_likely,
        "power": result.power,
        "power_at_horizon": result.power_at_horizon,
        "worsening": _worsening(result.worsening) if result.worsening else None,
        "not_computable": _blocked(result.blocker) if result.blocker else None,
    }


def _worsening(seen: Worsening) -> dict[str, Any]:
    return {"day": seen.day} | _compared(seen.comparison)


def _blocked(blocked: NotComputable) -> dict[str, str]:
    return {"code": blocked.blocker.value, "detail": blocked.detail}


def _exposures(exposures: ExposureCounts, variants: list[str]) -> dict[str, Any]:
    return {
        "variants": variants,
        "days": list(exposures.daily.days),
        "counts": [list(row) for row in exposures.daily.counts],
        "in_several_variants": exposures.in_several_variants,
        "conflicting": exposures.conflicting,
        "only_conflicting": exposures.only_conflicting,
        "linked_identities": exposures.linked_identities,
        "links_ignored": exposures.links_ignored,
        "users_kept_apart": exposures.users_kept_apart,
        "robots": dict(exposures.robots),
    }


def _period(period: PeriodCounts, plan: AnalysisPlan) -> dict[str, Any]:
    keys = [v.key for v in plan.variants]
    return {
        "starts_at": period.starts_at.isoformat(),
        "weights": dict(zip(keys, period.weights, strict=True)),
        "visitors": dict(zip(keys, period.visitors, strict=True)),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _json_safe(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json_safe(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(entry) for entry in value]
    if isinstance(value, float):
        return _number(value)
    return value
