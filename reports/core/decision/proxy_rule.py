"""The proxy rule: decide early by the funnel, and never let a step outvote the goal."""

from __future__ import annotations

from reports.core import explain, explain_proxy
from reports.core.decision.base import Evidence, Reason, TreatmentVerdict, Verdict, VerdictState
from reports.core.decision.metric_rule import PRECEDENCE, MetricRule
from reports.core.proxy.judging import ProxyAnalysis, ProxyResult
from reports.core.proxy.quality import CLEARLY_NEGATIVE
from reports.core.proxy.verdict import Note, ProxyState
from reports.core.results import MetricResult

STATES: dict[ProxyState, VerdictState] = {
    ProxyState.SHIP_PROXY: VerdictState.SHIP,
    ProxyState.SHIP_MACRO: VerdictState.SHIP,
    ProxyState.CONFLICT: VerdictState.CONFLICT,
    ProxyState.STOP_HARM: VerdictState.HARM,
    ProxyState.NO_GAIN: VerdictState.NO_EFFECT,
    ProxyState.INCONCLUSIVE: VerdictState.INCONCLUSIVE,
    ProxyState.KEEP_RUNNING: VerdictState.NO_DECISION_YET,
}


class ProxyRule:
    """Judge each treatment by the funnel: ship when the classes of ideas that are no gain are ruled out, or when the macro
    conversion alone is clear; stop on bait, on harm and where a gain has become unlikely.

    The other guardrails keep their say: what harms one is never shipped, and what is not shown safe waits.

    Source: Baum & Veeravalli (1994); STATISTICS section 7 for the guardrails.
    """

    key = "proxy_engine"
    label = "The steps towards the goal, weighed against bait, harm and chance"

    def decide(self, evidence: Evidence) -> Verdict:
        proxy = evidence.proxy
        if evidence.blocking or proxy is None or not proxy.results:
            # Too early, nothing to judge, or a milestone that turned out to be none: the metrics alone say what they can.
            return MetricRule().decide(evidence)
        treatments = tuple(_judge(evidence, proxy, r) for r in proxy.results)
        state = next(s for s in PRECEDENCE if any(t.state is s for t in treatments))
        order = sorted(treatments, key=lambda t: (t.state is not state, -proxy.result_of(t.variant).verdict.macro))
        reasons = list(dict.fromkeys(reason for t in order for reason in t.reasons))
        return Verdict(
            state=state,
            summary=explain.several([t.summary for t in order]),
            reasons=tuple(reasons),
            numbers=_numbers(evidence, proxy),
            treatments=treatments,
            next_change=evidence.progress.next_look_at,
        )


def _judge(evidence: Evidence, proxy: ProxyAnalysis, found: ProxyResult) -> TreatmentVerdict:
    label = evidence.plan.label_of(found.variant)
    steps, verdict = proxy.reached.steps, found.verdict
    state = STATES[verdict.state]
    harmed, unproven = _guardrails(evidence, found.variant, macro=steps[-1].key)
    lured = any(q.z_micro >= CLEARLY_NEGATIVE for q in found.qualities)
    if any(m.key == steps[-1].key for m in harmed) and lured:
        # A step clearly gained while the goal fell: the same conflict, seen by the goal's own bound first.
        state, summary = VerdictState.CONFLICT, explain_proxy.conflict(label, found, steps)
    elif harmed:
        state, summary = VerdictState.HARM, explain_proxy.harmed(label, [m.name for m in harmed])
    elif state is VerdictState.SHIP and unproven:
        state = VerdictState.PROMISING_MACRO_UNPROVEN
        summary = explain_proxy.unproven(label, [m.name for m in unproven])
    elif verdict.state is ProxyState.SHIP_PROXY:
        summary = explain_proxy.ship_by_proxy(label, found, steps)
    elif verdict.state is ProxyState.SHIP_MACRO:
        summary = explain_proxy.ship_by_macro(label, found, steps)
    elif verdict.state is ProxyState.CONFLICT:
        summary = explain_proxy.conflict(label, found, steps)
    elif verdict.state is ProxyState.STOP_HARM:
        summary = explain_proxy.stop_harm(label, found, steps)
    elif verdict.state is ProxyState.NO_GAIN:
        summary = explain_proxy.no_gain(label, found)
    elif Note.LITTLE_TIME in verdict.notes:
        summary = explain_proxy.little_time(label, found, evidence.progress)
    elif verdict.state is ProxyState.INCONCLUSIVE:
        summary = (
            explain.ended_early([label], evidence.progress)
            if evidence.progress.has_ended_early
            else explain_proxy.inconclusive(label, found, evidence.progress)
        )
    else:
        summary = explain_proxy.keep_running(label, found, evidence.progress)
    return TreatmentVerdict(found.variant, state, summary, _reasons(evidence, found, label, harmed, unproven))


def _guardrails(evidence: Evidence, variant: str, *, macro: str) -> tuple[list[MetricResult], list[MetricResult]]:
    """Return the guardrails that were harmed and, besides the funnel's own goal, those not shown safe."""
    harmed, unproven = [], []
    for metric in evidence.guardrails:
        result = metric.comparison_of(variant).guardrail
        if result is not None and result.is_harmed and metric.is_decisive:
            harmed.append(metric)
        elif metric.key != macro and (result is None or not result.is_safe):
            unproven.append(metric)
    return harmed, unproven


def _reasons(
    evidence: Evidence, found: ProxyResult, label: str, harmed: list[MetricResult], unproven: list[MetricResult]
) -> tuple[Reason, ...]:
    verdict = found.verdict
    reasons = [Reason(f"leg_{leg.name}", explain_proxy.leg(leg)) for leg in verdict.legs]
    if Note.FILTER in verdict.notes:
        reasons.append(Reason("filter", explain_proxy.filter_note()))
    if Note.QUALITY_WATCH in verdict.notes:
        reasons.append(Reason("quality_watch", explain_proxy.quality_watch(verdict)))
    for metric in (*harmed, *unproven):
        result = metric.comparison_of(found.variant).guardrail
        if result is not None:
            code = "guardrail_small_drop" if result.is_small_drop_likely else f"guardrail_{result.outcome.value}"
            reasons.append(Reason(code, explain.guardrail(metric, result)))
    if len(evidence.plan.treatments) > 1:
        return tuple(Reason(r.code, f"{label}: {r.text}") for r in reasons)
    return tuple(reasons)


def _numbers(evidence: Evidence, proxy: ProxyAnalysis) -> dict[str, object]:
    progress = evidence.progress
    return {
        "visitors": progress.visitors,
        "days": progress.days,
        "horizon_days": progress.horizon_days,
        "planned_visitors": progress.planned_visitors,
        "is_final": progress.is_final,
        "risk": {r.variant: r.verdict.risk for r in proxy.results},
        "expected_macro_lift": {r.variant: r.looks[-1].macro for r in proxy.results},
    }
