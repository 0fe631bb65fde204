"""Watching a running experiment: its looks so far, the bounds they are held to, and what may be claimed of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.core.plan import AnalysisPlan
from reports.core.band import z_at_looks
from reports.core.measure import Measured
from reports.core.methods import method_for
from reports.core.methods.base import Comparison, Interval, Lift, NotComputable, SingleLook
from reports.core.progress import Progress
from reports.core.results import Look, Stopped
from reports.core.sequential.bounds import nominal_alpha
from reports.core.sequential.confidence import is_ready, tuning_for
from reports.core.sequential.design import Schedule
from reports.core.sequential.monitors import ConfidenceSequence, GroupSequential, Monitor
from reports.core.statistics import Statistic, harmonic, information_between, information_visitors

LEAST_STEP = 0.01  # a look that adds less than this share of the plan is not a test


@dataclass(frozen=True, slots=True)
class Course:
    """The looks of one comparison, without bounds yet.

    `information` is in units of the planned amount; `monitor` says what each look is held to. `is_monitored` says whether
    these looks may decide: without a conversion window the values of an earlier look keep growing, so such a metric decides
    at its final look only.
    Shapes: all (looks,).
    """

    is_monitored: bool
    monitor: Monitor
    days: tuple[int, ...]
    information: tuple[float, ...]
    z: tuple[float, ...]
    treatment: tuple[Statistic, ...]
    control: tuple[Statistic, ...]

    def bounds(self, alpha: float) -> tuple[float, ...]:
        """Return the efficacy bounds at a two-sided alpha."""
        return self.monitor.bounds(alpha)

    def first_crossing(self, alpha: float, *, upward: bool) -> int | None:
        """Return the index of the first look beyond its bound on one side, or None."""
        if not self.is_monitored:
            return None
        sign = 1.0 if upward else -1.0
        crossed = (k for k, (z, bound) in enumerate(zip(self.z, self.bounds(alpha), strict=True)) if sign * z >= bound)
        return next(crossed, None)

    def p_value(self) -> float:
        """Return the two-sided sequential p-value: the smallest alpha at which a look so far has crossed its bound."""
        if not self.days or not self.is_monitored:
            return 1.0
        return self.monitor.p_value(self.z)

    def held_to_all_looks(
        self, treatment: Statistic, control: Statistic, *, alpha: float, look: int = -1
    ) -> Comparison | NotComputable:
        """Compare as one of these looks, with interval and p-value at `alpha` over all looks together.

        Source: Jennison & Turnbull (2000), chapter 9 (repeated intervals and p-values).
        Checked against: the interval excludes no difference exactly when p < alpha.
        """
        plain = method_for(treatment, control).compare(
            treatment, control, alpha=nominal_alpha(self.bounds(alpha)[look])
        )
        if isinstance(plain, NotComputable):
            return plain
        p_value = self.monitor.p_value_at(look % len(self.days), plain.z, alpha=alpha)
        single_look = SingleLook(plain.alpha, plain.p_value, self.monitor.kind)
        return replace(plain, alpha=alpha, p_value=p_value, single_look=single_look)


NO_LOOKS = Course(False, GroupSequential((), ()), (), (), (), (), ())


def course_of(plan: AnalysisPlan, measured: Measured, variant: str, progress: Progress, *, has_window: bool) -> Course:
    """Return the looks at which this treatment could be compared with the control and enough was added to call it a look.

    Information is the harmonic number of visitors, each counting as much as it tells: to first order the inverse variance, and
    it never falls. The inverse variance as estimated would not do: with orders that double half way it makes looks more alike
    that are less alike, and loses most of them (docs/statistics.md, section 4).
    """
    if plan.has_no_end:
        return _course_without_end(plan, measured, variant, has_window=has_window)
    total = _planned_information(plan, measured, variant, progress)
    if total is None:
        return NO_LOOKS
    rows: list[tuple[int, float, float, float, Statistic, Statistic]] = []
    treated, controls = measured.by_look[variant], measured.by_look[plan.control.key]
    for day, treatment, control, z in zip(measured.days, treated, controls, z_at_looks(treated, controls), strict=True):
        information = information_between(treatment, control) / total
        before = rows[-1][1] if rows else 0.0
        is_final_look = day == progress.final_day
        if information <= before or (information - before < LEAST_STEP and not is_final_look):
            continue
        if isinstance(z, NotComputable):
            continue
        share = 1.0 if is_final_look else min(_share(plan, progress, day, information), 1.0)
        rows.append((day, information, share, z, treatment, control))
        if share >= 1:
            break  # the planned amount is in: later looks are no tests any more
    if rows and progress.is_final:
        # Also when nothing was added on the last day: what is left of alpha is then spent on the same data.
        rows[-1] = (*rows[-1][:2], 1.0, *rows[-1][3:])
    if not rows:
        return NO_LOOKS
    if not has_window and progress.is_final:
        rows = rows[-1:]
    days, informations, shares, *others = zip(*rows, strict=True)
    return Course(has_window or progress.is_final, GroupSequential(informations, shares), days, informations, *others)


def _course_without_end(plan: AnalysisPlan, measured: Measured, variant: str, *, has_window: bool) -> Course:
    """Return the looks from the first one on at which there are conversions enough for a confidence sequence.

    A metric without a conversion window is never monitored: its earlier values keep growing, and no look is the last.
    """
    weights = {v.key: v.weight for v in plan.variants}
    tuned_for = (plan.planned_visitors or 1) * (weights[variant] + weights[plan.control.key])
    treated, controls = measured.by_look[variant], measured.by_look[plan.control.key]
    rows: list[tuple[int, float, float, Statistic, Statistic]] = []
    for day, t, c, z in zip(measured.days, treated, controls, z_at_looks(treated, controls), strict=True):
        visitors = information_visitors(t) + information_visitors(c)
        is_watched = bool(rows) or is_ready(t, c)
        if is_watched and not isinstance(z, NotComputable) and (not rows or visitors > rows[-1][1]):
            rows.append((day, visitors, z, t, c))
    if not rows:
        return NO_LOOKS
    days, counts, *others = zip(*rows, strict=True)
    monitor = ConfidenceSequence(counts, tuned_for, tuning_for(tuned_for, alpha=plan.alpha))
    return Course(has_window, monitor, days, tuple(n / tuned_for for n in counts), *others)


def _share(plan: AnalysisPlan, progress: Progress, day: int, information: float) -> float:
    if plan.planned_visitors is not None or progress.horizon_days is None:
        return information
    return day / progress.horizon_days


def _planned_information(plan: AnalysisPlan, measured: Measured, variant: str, progress: Progress) -> float | None:
    """Return the harmonic number of visitors at the planned end; None when the plan has no end.

    Without a planned number of visitors the end is projected from the flow so far; alpha is then spent by the calendar, so
    the projection moves no bound that counts.
    """
    if plan.planned_visitors is not None:
        weight = next(v.weight for v in plan.variants if v.key == variant)
        return harmonic(plan.planned_visitors * weight, plan.planned_visitors * plan.control.weight) or None
    if progress.horizon_days is None:
        return None
    now = information_between(measured.now[variant], measured.now[plan.control.key])
    return now * progress.horizon_days / progress.look_day if now else None


def looks_of(course: Course, *, alpha: float, schedule: Schedule | None) -> tuple[Look, ...]:
    """Return the looks with their efficacy bounds and, where a schedule is given, their futility bounds."""
    bounds = course.bounds(alpha)
    futility = course.monitor.futility(alpha, schedule=schedule)
    rows = zip(
        course.days, course.information, course.z, bounds, futility, course.treatment, course.control, strict=True
    )
    return tuple(Look(*row) for row in rows)


def stopped_at(course: Course, index: int, *, level: float, alpha: float) -> Stopped | None:
    """Return the numbers, at `alpha`, of a course that crossed its bound at `level` at look `index`, corrected for that.

    None when they have no scale, or when the monitor needs no correction and the present numbers still show the difference.
    """
    treatment, control = course.treatment[index], course.control[index]
    if course.z[index] == 0 or not math.isfinite(course.z[index]):
        return None
    found = course.monitor.after_stop(index, abs(course.z[index]), level=level, alpha=alpha)
    if found is None:
        return _seen_at(course, index, alpha=alpha)
    comparison = method_for(treatment, control).compare(treatment, control, alpha=alpha)
    if isinstance(comparison, NotComputable):
        return None
    sign = 1.0 if course.z[index] > 0 else -1.0
    drift = abs(course.z[index]) / math.sqrt(course.information[index])
    drifts = (found.estimate, found.interval.low, found.interval.high)
    estimate, *ends = (sign * d / drift for d in drifts)
    lift, lift_interval = _scaled_lift(comparison, estimate, ends)
    return Stopped(
        day=course.days[index],
        p_value=min(1.0, 2 * found.p_one_sided),
        effect=abs(comparison.effect) * estimate,
        interval=_ordered(abs(comparison.effect), ends),
        lift=lift,
        lift_interval=lift_interval,
    )


def _seen_at(course: Course, index: int, *, alpha: float) -> Stopped | None:
    """Return what look `index` saw, where the latest one no longer shows the difference; else None."""
    if abs(course.z[-1]) >= course.bounds(alpha)[-1] and course.z[-1] * course.z[index] > 0:
        return None
    seen = course.held_to_all_looks(course.treatment[index], course.control[index], alpha=alpha, look=index)
    if isinstance(seen, NotComputable):
        return None
    lift = seen.lift if isinstance(seen.lift, Lift) and math.isfinite(seen.lift.value) else None
    return Stopped(
        day=course.days[index],
        p_value=seen.p_value,
        effect=seen.effect,
        interval=seen.interval,
        lift=lift.value if lift else None,
        lift_interval=lift.interval if lift else None,
    )


def _scaled_lift(
    comparison: Comparison, estimate: float, ends: Sequence[float]
) -> tuple[float, Interval] | tuple[None, None]:
    if not isinstance(comparison.lift, Lift) or not math.isfinite(comparison.lift.value):
        return None, None
    size = abs(comparison.lift.value)
    return size * estimate, _ordered(size, ends)


def _ordered(size: float, ends: Sequence[float]) -> Interval:
    return Interval(size * min(ends), size * max(ends))
