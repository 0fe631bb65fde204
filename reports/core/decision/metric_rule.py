"""The metric rule: ship when a success metric is better, every guardrail is safe and nothing got worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reports.core import explain
from reports.core.decision.base import Evidence, Reason, TreatmentVerdict, Verdict, VerdictState
from reports.core.methods.base import NotComputable
from reports.core.methods.noninferiority import GuardrailResult
from reports.core.results import Claim, MetricResult

LEAST_CONVERSIONS = 5

# Which verdict on a treatment becomes the verdict on the experiment, first match: what asks for action comes first.
PRECEDENCE: tuple[VerdictState, ...] = (
    VerdictState.SHIP,
    VerdictState.CONFLICT,
    VerdictState.HARM,
    VerdictState.PROMISING_MACRO_UNPROVEN,
    VerdictState.NO_DECISION_YET,
    VerdictState.NO_EFFECT,
    VerdictState.INCONCLUSIVE,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One treatment, sorted into what is better, worse, safe and open."""

    evidence: Evidence
    variant: str
    wins: tuple[MetricResult, ...]
    losses: tuple[MetricResult, ...]
    unproven: tuple[MetricResult, ...]
    safe: tuple[MetricResult, ...]

    @property
    def label(self) -> str:
        """What people call the treatment."""
        return self.evidence.plan.label_of(self.variant)

    @property
    def is_macro_judged(self) -> bool:
        """Whether the goal itself has been won or shown safe; without that a micro win is never a win."""
        return any(m.is_macro for m in (*self.wins, *self.safe))

    @property
    def is_futile(self) -> bool:
        """Whether every success metric that is watched has fallen below its futility bound."""
        watched = [m.comparison_of(self.variant) for m in self.evidence.successes if m.is_decisive]
        return bool(watched) and all(c.is_unlikely_to_win for c in watched)

    def changes(self, metrics: tuple[MetricResult, ...]) -> list[str]:
        return [explain.changed(m, m.comparison_of(self.variant)) for m in metrics]

    @property
    def has_seen_its_visitors(self) -> bool:
        """Whether it was stopped, without a planned end, with as many visitors as it was meant for."""
        progress = self.evidence.progress
        planned = progress.planned_visitors or 0
        return progress.has_no_end and progress.has_ended_early and progress.visitors >= planned and self.has_data

    @property
    def has_data(self) -> bool:
        return any(has_enough(m) for m in self.evidence.successes)


def has_enough(metric: MetricResult) -> bool:
    return metric.total >= LEAST_CONVERSIONS


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: when `applies`, the treatment's verdict is `state`."""

    state: VerdictState
    applies: Callable[[Case], bool]
    summary: Callable[[Case], str]


RULES: tuple[Rule, ...] = (
    Rule(
        VerdictState.CONFLICT,
        lambda c: bool(c.wins and c.losses),
        lambda c: explain.conflict(c.label, c.changes(c.wins), c.changes(c.losses)),
    ),
    Rule(VerdictState.HARM, lambda c: bool(c.losses), lambda c: explain.harm(c.label, c.changes(c.losses))),
    Rule(
        VerdictState.SHIP,
        lambda c: bool(c.wins) and not c.unproven and c.is_macro_judged,
        lambda c: explain.ship(c.label, c.changes(c.wins), _names(c.safe)),
    ),
    Rule(
        VerdictState.PROMISING_MACRO_UNPROVEN,
        lambda c: bool(c.wins),
        lambda c: explain.promising(
            c.label, c.changes(c.wins), _names(c.unproven), is_final=c.evidence.progress.is_over
        ),
    ),
    Rule(
        VerdictState.NO_EFFECT,
        lambda c: c.is_futile and not c.evidence.progress.is_final and not c.evidence.progress.has_ended_early,
        lambda c: explain.unlikely(c.label),
    ),
    Rule(VerdictState.NO_EFFECT, lambda c: c.has_seen_its_visitors, lambda c: explain.no_effect(c.label, _bounds(c))),
    Rule(
        VerdictState.INCONCLUSIVE,
        lambda c: c.evidence.progress.has_ended_early,
        lambda c: explain.ended_early([c.label], c.evidence.progress),
    ),
    Rule(
        VerdictState.NO_DECISION_YET,
        lambda c: not c.evidence.progress.is_final,
        lambda c: explain.no_decision_yet([c.label], c.evidence.progress),
    ),
    Rule(VerdictState.INCONCLUSIVE, lambda c: not c.has_data, lambda c: explain.inconclusive([c.label])),
    Rule(VerdictState.NO_EFFECT, lambda c: True, lambda c: explain.no_effect(c.label, _bounds(c))),
)


class MetricRule:
    """Judge each treatment by its metrics.

    Ship if and only if a success metric is better (Holm over success metrics and treatments), all guardrails are shown to be
    non-inferior, nothing is significantly worse, and the macro conversion is among what was won or shown safe.

    Source: Schultzberg, Ankargren & Franberg (2024), arXiv 2402.11609; STATISTICS sections 7 and 8.
    """

    key = "metric_rule"
    label = "A success metric is better and every guardrail is safe"

    def decide(self, evidence: Evidence) -> Verdict:
        if evidence.blocking:
            reasons = tuple(Reason(f.code, f.detail) for f in evidence.blocking)
            summary = explain.invalid([f.title for f in evidence.blocking])
            return Verdict(
                VerdictState.INVALID, summary, reasons, _numbers(evidence), (), evidence.progress.next_look_at
            )
        waiting = _waits_for(evidence)
        if waiting:
            summary = explain.too_early(evidence.progress)
            return Verdict(
                VerdictState.TOO_EARLY, summary, waiting, _numbers(evidence), (), evidence.progress.next_look_at
            )
        treatments = tuple(_judge(evidence, v.key) for v in evidence.plan.treatments)
        state = next(s for s in PRECEDENCE if any(t.state is s for t in treatments))
        leading = sorted((t for t in treatments if t.state is state), key=lambda t: -_strength(evidence, t.variant))
        rest = [t for t in treatments if t.state is not state]
        return Verdict(
            state=state,
            summary=explain.several(_summaries(evidence, (*leading, *rest))),
            reasons=_without_repeats([r for t in (*leading, *rest) for r in t.reasons]),
            numbers=_numbers(evidence),
            treatments=treatments,
            next_change=evidence.progress.next_look_at,
        )


def _waits_for(evidence: Evidence) -> tuple[Reason, ...]:
    """Return what has to happen before any verdict; empty when a verdict is possible."""
    progress = evidence.progress
    if progress.is_before_first_look and not progress.has_ended_early:
        return (Reason("before_first_look", explain.needs_days(progress)),)
    if progress.is_final or progress.has_ended_early or any(has_enough(m) for m in evidence.successes):
        return ()
    return tuple(
        Reason("too_few_conversions", explain.needs_conversions(m, LEAST_CONVERSIONS))
        if m.matured
        else Reason("no_matured_visitors", explain.needs_matured(m))
        for m in evidence.successes
    )


def _judge(evidence: Evidence, variant: str) -> TreatmentVerdict:
    case = _case(evidence, variant)
    rule = next(r for r in RULES if r.applies(case))
    return TreatmentVerdict(variant, rule.state, rule.summary(case), _reasons(case))


def _case(evidence: Evidence, variant: str) -> Case:
    decisive = [m for m in evidence.successes if m.is_decisive and has_enough(m)]
    wins = [m for m in decisive if m.comparison_of(variant).claim is Claim.BETTER]
    losses = [m for m in decisive if m.comparison_of(variant).claim is Claim.WORSE]
    safe, unproven = [], []
    for metric in evidence.guardrails:
        result = metric.comparison_of(variant).guardrail
        if result is None or not metric.is_decisive:
            unproven.append(metric)
        elif result.is_harmed and has_enough(metric):
            losses.append(metric)
        elif result.is_safe:
            safe.append(metric)
        else:
            unproven.append(metric)
    return Case(evidence, variant, tuple(wins), tuple(losses), tuple(unproven), tuple(safe))


def _summaries(evidence: Evidence, treatments: Sequence[TreatmentVerdict]) -> list[str]:
    """Return one sentence per treatment, those that say the same of several in one."""
    joint: dict[VerdictState, Callable[[list[str]], str]] = {
        VerdictState.NO_DECISION_YET: lambda names: explain.no_decision_yet(names, evidence.progress),
        VerdictState.INCONCLUSIVE: lambda names: (
            explain.ended_early(names, evidence.progress)
            if evidence.progress.has_ended_early
            else explain.inconclusive(names)
        ),
    }
    texts: list[str] = []
    for treatment in treatments:
        same = [t.variant for t in treatments if t.state is treatment.state]
        labels = [evidence.plan.label_of(variant) for variant in same]
        if treatment.state not in joint:
            texts.append(treatment.summary)
        elif treatment.variant == same[0]:
            texts.append(joint[treatment.state](labels))
    return texts


def _strength(evidence: Evidence, variant: str) -> float:
    """Return how strongly the first success metric speaks for a treatment, to name the best of several first."""
    for metric in evidence.successes:
        result = metric.comparison_of(variant).result
        if not isinstance(result, NotComputable):
            return result.z if metric.wants_more else -result.z
    return 0.0


def _reasons(case: Case) -> tuple[Reason, ...]:
    reasons = []
    for metric in case.evidence.successes:
        comparison = metric.comparison_of(case.variant)
        if isinstance(comparison.result, NotComputable):
            reasons.append(Reason("not_computable", f"'{metric.name}': {comparison.result.detail}"))
        elif metric in case.wins:
            reasons.append(Reason("success_better", explain.better(metric, comparison)))
        elif metric in case.losses:
            reasons.append(Reason("success_worse", explain.worse(metric, comparison)))
        else:
            reasons.append(Reason("success_open", explain.open_effect(metric, comparison)))
    for metric in case.evidence.guardrails:
        result_of = metric.comparison_of(case.variant).guardrail
        if result_of is not None:
            reasons.append(Reason(_guardrail_code(result_of), explain.guardrail(metric, result_of)))
    progress = case.evidence.progress
    if not progress.is_final and not progress.has_ended_early:
        reasons.extend(
            Reason("waits_for_horizon", explain.waits_for_horizon(m, progress))
            for m in (*case.evidence.successes, *case.evidence.guardrails)
            if not m.is_decisive
        )
    if len(case.evidence.plan.treatments) > 1:
        return tuple(Reason(r.code, f"{case.label}: {r.text}") for r in reasons)
    return tuple(reasons)


def _guardrail_code(result: GuardrailResult) -> str:
    return "guardrail_small_drop" if result.is_small_drop_likely else f"guardrail_{result.outcome.value}"


def _bounds(case: Case) -> list[str]:
    texts = [explain.bounds(m, m.comparison_of(case.variant)) for m in case.evidence.successes]
    return [text for text in texts if text]


def _names(metrics: tuple[MetricResult, ...]) -> list[str]:
    return [m.name for m in metrics]


def _without_repeats(reasons: list[Reason]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(reasons))


def _numbers(evidence: Evidence) -> dict[str, object]:
    progress = evidence.progress
    return {
        "visitors": progress.visitors,
        "days": progress.days,
        "horizon_days": progress.horizon_days,
        "planned_visitors": progress.planned_visitors,
        "is_final": progress.is_final,
        "success_tests": len(evidence.successes) * len(evidence.plan.treatments),
    }
