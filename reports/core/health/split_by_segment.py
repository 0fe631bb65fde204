"""Where is a broken split broken? The same test by segment, to find the cause and never to raise an alarm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.core.plan import AnalysisPlan
from reports.core.health.allocation import homogeneity_p
from reports.core.health.base import Finding, HealthContext, Severity
from reports.core.health.sample_ratio import WARNS_BELOW, sample_ratio_p
from reports.core.multiplicity import holm
from reports.core.segment_counts import SegmentCounts
from tracking.core.totals import ExposureCounts

MOST_NAMED = 3


# Keys of the events' context that are looked at; reading them takes as long as everything else, so only in doubt.
SEGMENT_TRAITS = ("device", "source", "campaign")


def is_split_in_doubt(plan: AnalysisPlan, exposures: ExposureCounts) -> bool:
    """Say whether the whole split looks uneven, so that it is worth asking where."""
    if plan.has_changing_weights:
        return False
    visitors = [exposures.visitors.get(v.key, 0) for v in plan.variants]
    return sample_ratio_p(visitors, [v.weight for v in plan.variants]) < WARNS_BELOW


@dataclass(frozen=True, slots=True)
class TestedSegment:
    """A segment with the p-value of its split, Holm's over all segments."""

    counts: SegmentCounts
    p_value: float
    adjusted_p_value: float

    @property
    def name(self) -> str:
        return f"{self.counts.trait} '{self.counts.label}'"


def tested_segments(context: HealthContext) -> tuple[TestedSegment, ...]:
    """Return every segment with the test of its split, the most unlikely first.

    Source: Holm (1979); Fabijan et al. (2019), KDD, on segments of a sample ratio mismatch.
    Checked against: scipy.stats.chisquare with statsmodels multipletests.
    """
    raw = [sample_ratio_p(s.visitors, context.weights) for s in context.segments]
    rows = zip(context.segments, raw, holm(raw), strict=True)
    return tuple(sorted((TestedSegment(s, p, float(a)) for s, p, a in rows), key=lambda t: t.p_value))


def traits_that_differ(context: HealthContext) -> dict[str, float]:
    """Return, per trait, the p-value of "its segments have one split", Holm's over the traits.

    A fault that hits all alike makes every large segment unlikely; only where segments differ is the trait a trace.
    """
    traits = list(dict.fromkeys(s.trait for s in context.segments))
    tables = [np.array([s.visitors for s in context.segments if s.trait == trait]) for trait in traits]
    found = [homogeneity_p(table) for table in tables]
    raw = [1.0 if p is None else p for p in found]
    return dict(zip(traits, (float(p) for p in holm(raw)), strict=True))


def split_by_segment(context: HealthContext) -> tuple[Finding, ...]:
    """Say which segments have a split of their own, once the whole split is in doubt.

    Visitors of different segments are dealt alike, so a fault that sits in one of them, such as a browser that loses
    exposures, shows there. Where the whole agrees with the weights nothing is said: among many segments one always looks
    strange.
    """
    if not context.segments or not is_split_in_doubt(context.plan, context.exposures):
        return ()
    tested = tested_segments(context)
    unlike = traits_that_differ(context)
    off = [t for t in tested if t.adjusted_p_value < WARNS_BELOW and unlike.get(t.counts.trait, 1.0) < WARNS_BELOW]
    if off:
        named = "; ".join(f"{t.name}: {_shares(context, t)} (p = {t.adjusted_p_value:.2g})" for t in off[:MOST_NAMED])
        more = f"; and {len(off) - MOST_NAMED} more" if len(off) > MOST_NAMED else ""
        detail = (
            f"It is off in {named}{more}, and not alike elsewhere. Look for what is special about these visitors: a redirect, a "
            "script that fails, a filter of bots."
        )
    else:
        traits = ", ".join(sorted({t.counts.trait for t in tested}))
        detail = (
            f"None of {len(tested)} segments ({traits}) stands out from the others, so the cause hits all visitors alike, or sits "
            "in something that is not recorded."
        )
    return (
        Finding(
            "split_by_segment",
            Severity.INFO,
            "Where the split is off",
            detail,
            {
                "segments": [
                    {
                        "trait": t.counts.trait,
                        "label": t.counts.label,
                        "visitors": dict(zip([v.key for v in context.plan.variants], t.counts.visitors, strict=True)),
                        "p_value": t.p_value,
                        "adjusted_p_value": t.adjusted_p_value,
                    }
                    for t in tested
                ]
            },
        ),
    )


def _shares(context: HealthContext, tested: TestedSegment) -> str:
    total = sum(tested.counts.visitors)
    return " and ".join(
        f"'{v.key}' has {100 * n / total:.3g} % where {100 * v.weight:.3g} % were planned"
        for v, n in zip(context.plan.variants, tested.counts.visitors, strict=True)
        if not v.is_control
    )
