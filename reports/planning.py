"""Planning for a site: its metrics and its past, read and handed to the planner's core."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from experiments.core.funnel import funnel_steps
from experiments.core.metric_kinds import METRIC_KINDS
from experiments.core.metrics import Column, MetricDefinition, Role
from experiments.core.plan import DAILY, Futility
from experiments.core.refusal import Refused
from experiments.selectors.experiments import experiment_by_key, site_by_key
from experiments.selectors.planning import PlanningDraft, SiteFacts, metrics_of, planning_draft, sites
from reports.core.planning.ask import Ask, read_ask
from reports.core.planning.past import (
    Baseline,
    NoBaseline,
    Traffic,
    baseline_of,
    given_rate,
    given_traffic,
    period,
    traffic_of,
)
from reports.core.planning.site_plan import Candidate, SitePlan, plan_site
from reports.core.progress import microseconds
from tracking.core.history import HistoryRequest, VisitorHistory
from tracking.selectors import event_store

MOST_METRICS = 12


@dataclass(frozen=True, slots=True)
class Subject:
    """What is planned for: the site, the metrics it may be planned with, and the experiment if one was named."""

    site: SiteFacts
    metrics: tuple[MetricDefinition, ...]
    draft: PlanningDraft | None


def subject_of(ask: Ask) -> Subject:
    """Return what an ask is about; without a site it is the experiment's, or the only one there is.

    Raises: Refused with code `unknown_site`, `unknown_experiment`, `ambiguous_experiment`, `no_site` or `site_missing`.
    """
    draft = planning_draft(experiment_by_key(ask.site, ask.experiment)) if ask.experiment else None
    known = sites()
    key = ask.site or (draft.site if draft else None)
    if key is None:
        if not known:
            raise Refused("no_site", "There is no site yet.", "Add one in the admin, and send its events.")
        if len(known) > 1:
            names = ", ".join(site.key for site in known[:10])
            raise Refused("site_missing", "Several sites exist and none was named.", f"Name one of {names}.")
        key = known[0].key
    else:
        site_by_key(key)
    site = next(one for one in known if one.key == key)
    return Subject(site, tuple(metrics_of(key)), draft)


def answer(given: Mapping[str, Sequence[str]], *, now: datetime) -> SitePlan:
    """Return the plan for the words of a form, an address or a command line.

    Raises: Refused for anything that cannot be planned, with the value and what to do instead.
    """
    ask = read_ask(given)
    return plan_for(ask, subject_of(ask), now=now)


def plan_for(ask: Ask, subject: Subject, *, now: datetime) -> SitePlan:
    """Return the plan for a question about a subject. Raises: Refused when nothing can be planned."""
    zone = subject.site.time_zone
    today = now.astimezone(ZoneInfo(zone)).date()
    if ask.until is not None:
        if ask.until >= today:
            raise Refused(
                "until_not_allowed",
                f"{ask.until} is not over yet on site '{subject.site.key}'.",
                f"Give a day up to {today - timedelta(days=1)}, the last day of history to count.",
            )
        today = ask.until + timedelta(days=1)
    wanted = _wanted(ask, subject)
    if ask.rate is not None and len(wanted) > 1:
        raise Refused(
            "rate_not_allowed",
            f"One rate was given for {len(wanted)} metrics.",
            "Name one metric with it, or leave the rate out to use each metric's own.",
        )
    since, until = period(today, zone)
    as_of = until - 1 if ask.until is not None else microseconds(now)
    steps = _funnel(ask, subject)
    asked = [*(metric for metric, _, _ in wanted), *steps]
    history = _history(ask, subject, asked, since=since, until=until, as_of=as_of)
    traffic: Traffic | None
    if ask.visitors_per_week is not None:
        traffic = given_traffic(ask.visitors_per_week)
    else:
        traffic = traffic_of(history.first_seen, today=today, time_zone=zone) if history is not None else None
    if traffic is None:
        raise _no_traffic(ask, subject)
    weights = ask.weights or (subject.draft.weights if subject.draft else ()) or (0.5, 0.5)
    share = ask.traffic if ask.traffic is not None else (subject.draft.traffic if subject.draft else 1.0)
    plan = plan_site(
        ask,
        site=subject.site.key,
        traffic=traffic,
        candidates=[_candidate(ask, one, role, margin, history, as_of) for one, role, margin in wanted],
        weights=weights,
        traffic_share=share or 1.0,
        horizon_weeks=subject.draft.horizon_weeks if subject.draft else None,
        has_no_end=subject.draft is not None and subject.draft.has_no_end,
        look_every_days=ask.look_every_days or (subject.draft.look_every_days if subject.draft else DAILY),
        futility=ask.futility or (subject.draft.futility if subject.draft else Futility.GENTLE),
    )
    draft = subject.draft
    return replace(
        plan,
        funnel=tuple(Candidate(step, baseline_of(step, history, as_of=as_of)) for step in steps) if history else (),
        risk_preset=draft.risk_preset if draft else plan.risk_preset,
        change_type=draft.change_type if draft else "",
        target_step=draft.target_step if draft else None,
        learned=draft.learned if draft else subject.site.learned,
    )


def _funnel(ask: Ask, subject: Subject) -> tuple[MetricDefinition, ...]:
    """Return the steps towards the goal that the experiment declares, or the site; none where a rate was given."""
    if ask.rate is not None:
        return ()
    return funnel_steps([m.metric for m in subject.draft.metrics] if subject.draft else subject.metrics)


Wanted = tuple[MetricDefinition, Role | None, float | None]


def _wanted(ask: Ask, subject: Subject) -> list[Wanted]:
    """Return the metrics to plan with: those named, those of the experiment, or all of the site."""
    known: dict[str, Wanted] = {metric.key: (metric, None, None) for metric in subject.metrics}
    planned = subject.draft.metrics if subject.draft else ()
    known |= {one.metric.key: (one.metric, one.role, one.margin) for one in planned}
    if not known:
        raise Refused(
            "no_metric",
            f"Site '{subject.site.key}' has no metric yet.",
            "Add the macro conversion and a micro conversion in the admin.",
        )
    for key in ask.metrics:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=2)
            advice = (
                f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(list(known)[:MOST_METRICS])}."
            )
            raise Refused("unknown_metric", f"Site '{subject.site.key}' has no metric '{key}'.", advice)
    keys = ask.metrics or [one.metric.key for one in planned if one.role is not Role.EXPLORATORY] or list(known)
    if len(keys) > MOST_METRICS and ask.metrics:
        raise Refused("too_many_metrics", f"{len(keys)} metrics were named.", f"Name at most {MOST_METRICS}.")
    return [known[key] for key in keys[:MOST_METRICS]]


def _history(
    ask: Ask, subject: Subject, wanted: Sequence[MetricDefinition], *, since: int, until: int, as_of: int
) -> VisitorHistory | None:
    """Return the site's past, or None when every number it could tell was given."""
    if ask.visitors_per_week is not None and ask.rate is not None:
        return None
    columns: dict[str, Column] = {}
    for metric in wanted:
        for column in METRIC_KINDS[metric.kind].columns(metric):
            columns[column.name] = column
    return event_store().visitor_history(
        HistoryRequest(
            site=subject.site.key,
            since=since,
            until=until,
            as_of=as_of,
            columns=tuple(columns.values()),
            entry=ask.entry,
        )
    )


def _candidate(
    ask: Ask,
    metric: MetricDefinition,
    role: Role | None,
    margin: float | None,
    history: VisitorHistory | None,
    as_of: int,
) -> Candidate:
    found: Baseline | NoBaseline
    if ask.rate is not None:
        if METRIC_KINDS[metric.kind].statistic.value not in {"proportion", "time_to_event"}:
            raise Refused(
                "rate_not_allowed",
                f"Metric '{metric.key}' is no share of visitors, so a rate says nothing of its spread.",
                "Leave the rate out to use the site's own history, or name a conversion.",
            )
        found = given_rate(ask.rate)
    else:
        assert history is not None
        found = baseline_of(metric, history, as_of=as_of)
    return Candidate(metric, found, role, margin)


def _no_traffic(ask: Ask, subject: Subject) -> Refused:
    names = {summary.name: summary for summary in event_store().event_names(site=subject.site.key)}
    if ask.entry is not None and ask.entry not in names:
        near = difflib.get_close_matches(ask.entry, list(names), n=2)
        advice = f"Did you mean {' or '.join(near)}?" if near else "Name an event that the site sends on every visit."
        return Refused("unknown_event", f"Site '{subject.site.key}' has sent no event '{ask.entry}'.", advice)
    give = "or give visitors per week and the rate yourself."
    if not names:
        return Refused(
            "no_history", f"Site '{subject.site.key}' has sent no event yet.", f"Send its events first, {give}"
        )
    last = max(summary.last_seen for summary in names.values())
    day = datetime.fromtimestamp(last / 1e6, tz=ZoneInfo(subject.site.time_zone)).date()
    return Refused(
        "no_history",
        f"Site '{subject.site.key}' has no full week of visitors in the last eight weeks; its last event is of {day}.",
        f"Wait for a full week, plan from older days with until={day - timedelta(days=1)}, {give}",
    )
