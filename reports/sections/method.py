"""Method and plan: what was agreed beforehand, what was analysed when, by which code."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.core.covariates import LOOKBACK_DAYS
from experiments.core.plan import DAILY, AnalysisPlan, Futility, PlannedMetric
from reports.sections import numbers
from reports.sections.base import ReportInput, RunFacts, Section
from reports.sections.metrics import window

RULES = {
    "proxy_engine": "Weigh the steps towards the goal: ship early only when no difference, bait and harm are all ruled out and the goal has not dropped much, or when the goal alone is clear.",
    "metric_rule": "Ship when a primary or proxy metric clearly rises and every guardrail is shown to be safe; a micro conversion alone never wins.",
}


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    text: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class PlanMetric:
    name: str
    role: str
    rule: str
    window: str
    margin: str


@dataclass(frozen=True, slots=True)
class RunRow:
    id: int
    as_of: str
    finished: str
    outcome: str
    is_done: bool
    is_shown: bool
    code_version: str


@dataclass(frozen=True, slots=True)
class Method:
    plan_facts: tuple[Fact, ...]
    plan_metrics: tuple[PlanMetric, ...]
    run_facts: tuple[Fact, ...]
    runs: tuple[RunRow, ...]


def build(report: ReportInput) -> Method | None:
    """Put the plan beside what really happened; None when there is neither plan nor run."""
    if report.plan is None and not report.history:
        return None
    return Method(
        plan_facts=_plan_facts(report),
        plan_metrics=tuple(_plan_metric(m) for m in report.plan.metrics) if report.plan else (),
        run_facts=_run_facts(report),
        runs=tuple(_run_row(r, report) for r in report.history),
    )


def _plan_facts(report: ReportInput) -> tuple[Fact, ...]:
    plan, facts = report.plan, report.experiment
    if plan is None:
        return ()
    rows = []
    if facts.hypothesis:
        rows.append(Fact("Hypothesis", facts.hypothesis))
    rows.append(Fact("Variants", _variants(plan)))
    if plan.has_changing_weights:
        rows.append(Fact("Weights changed", f"{_periods(plan, facts.time_zone)}; each period is compared on its own"))
    if facts.traffic < 1:
        rows.append(Fact("Traffic", f"{facts.traffic * 100:g}{numbers.NARROW}% of the audience takes part"))
    if facts.started_at is not None and not plan.is_imported:
        rows.append(Fact("Started", numbers.moment(facts.started_at, facts.time_zone)))
    if facts.ended_at is not None and not plan.is_imported:
        rows.append(Fact("Ended", numbers.moment(facts.ended_at, facts.time_zone)))
    if plan.horizon_days:
        weeks = numbers.plural(plan.horizon_days // 7, "week")
        rows.append(Fact("Planned time", f"{weeks}; whole weeks, because weekdays differ"))
    if plan.has_no_end:
        rows.append(
            Fact(
                "Planned end",
                "none: a confidence sequence holds at every look, however long it runs, and needs more visitors",
            )
        )
        rows.append(Fact("Intervals narrowest at", f"{numbers.whole(plan.planned_visitors or 0)} visitors"))
    elif plan.planned_visitors:
        rows.append(Fact("Planned visitors", numbers.whole(plan.planned_visitors)))
    if not plan.is_imported:
        rows.append(Fact("Looks", _looks(plan)))
    if plan.covariates:
        known = ", ".join(covariate.text for covariate in plan.covariates)
        rows.append(
            Fact(
                "Covariates",
                f"{known}; what was known up to {LOOKBACK_DAYS} days before, taken out of {_adjusted(plan)}",
            )
        )
    rows.append(Fact("Decision rule", RULES.get(plan.decision_rule, plan.decision_rule.replace("_", " "))))
    if plan.decision_rule_reason:
        rows.append(Fact("Why this rule", plan.decision_rule_reason))
    rows.append(
        Fact(
            "Risk of a false alarm",
            f"{plan.alpha * 100:g}{numbers.NARROW}% two-sided on success, {plan.guardrail_alpha * 100:g}{numbers.NARROW}% one-sided on guardrails",
        )
    )
    rows.append(Fact("Days follow", facts.time_zone))
    rows.append(Fact("Frozen plan", "sha256 of the whole plan", report.run.plan_hash if report.run else plan.hash()))
    return tuple(rows)


def _looks(plan: AnalysisPlan) -> str:
    often = "every day" if plan.look_every_days == DAILY else "every week"
    hopeless = {
        Futility.GENTLE: "called hopeless late",
        Futility.EAGER: "called hopeless early",
        Futility.NEVER: "never called hopeless",
    }
    return f"{often} from day 7 on" + ("" if plan.has_no_end else f"; {hopeless[plan.futility]}")


def _adjusted(plan: AnalysisPlan) -> str:
    """Say which comparisons count with covariates."""
    plain = [m.metric.name or m.metric.key for m in plan.metrics if not m.is_adjusted]
    if not plain:
        return "every comparison"
    return (
        "no comparison that counts"
        if len(plain) == len(plan.metrics)
        else f"every comparison but of {', '.join(plain)}"
    )


def _periods(plan: AnalysisPlan, zone: str) -> str:
    """Write the weights of each period, in the order of the variants."""
    return "; ".join(
        f"from {numbers.moment(period.starts_at, zone)}: "
        + " : ".join(f"{w * 100:.4g}{numbers.NARROW}%" for w in period.weights)
        for period in plan.periods
    )


def _variants(plan: AnalysisPlan) -> str:
    return ", ".join(
        f"{v.key} {v.weight * 100:.4g}{numbers.NARROW}%{' (control)' if v.is_control else ''}" for v in plan.variants
    )


def _plan_metric(planned: PlannedMetric) -> PlanMetric:
    definition = planned.metric
    role = planned.role.value.capitalize() + (" (added after the start)" if planned.added_after_start else "")
    rule = f"{definition.kind.replace('_', ' ')} of “{definition.event}”"
    if definition.denominator_event:
        rule += f" per “{definition.denominator_event}”"
    return PlanMetric(
        name=definition.name or definition.key,
        role=role,
        rule=rule,
        window=window(definition.window_hours) if definition.window_hours is not None else "no limit",
        margin=f"{planned.margin * 100:g}{numbers.NARROW}%" if planned.margin is not None else numbers.UNKNOWN,
    )


def _run_facts(report: ReportInput) -> tuple[Fact, ...]:
    run, zone = report.run, report.experiment.time_zone
    if run is None:
        return ()
    rows = [
        Fact("Shown here", f"run {run.id}, everything known up to {numbers.moment(run.as_of, zone)}"),
        Fact("Computed by", "version and fingerprint of the computing code", run.code_version),
    ]
    if run.ruleset_version is not None:
        rows.append(Fact("Ruleset", f"version {run.ruleset_version} was published at the time"))
    return tuple(rows)


def _run_row(run: RunFacts, report: ReportInput) -> RunRow:
    error = run.error or {}
    return RunRow(
        id=run.id,
        as_of=numbers.moment(run.as_of, report.experiment.time_zone),
        finished=numbers.age(run.finished_at, report.now),
        outcome="done" if run.is_done else str(error.get("message", "failed")),
        is_done=run.is_done,
        is_shown=report.run is not None and report.run.id == run.id,
        code_version=run.code_version,
    )


METHOD = Section(key="method", title="Method and plan", template="reports/sections/method.html", build=build)
