"""Where is a broken split broken? The same test by segment, to find the cause and never to raise an alarm."""

from __future__ import annotations

from dataclasses import dataclass

from reports.core.health.base import Finding, HealthContext, Severity
from reports.core.health.sample_ratio import WARNS_BELOW, sample_ratio_p
from reports.core.multiplicity import holm
from reports.core.segment_counts import SegmentCounts

MOST_NAMED = 3


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


def split_by_segment(context: HealthContext) -> tuple[Finding, ...]:
    """Say which segments have a split of their own, once the whole split is in doubt.

    Visitors of different segments are dealt alike, so a fault that sits in one of them, such as a browser that loses
    exposures, shows there. Where the whole agrees with the weights nothing is said: among many segments one always looks
    strange.
    """
    if context.periods or not context.segments or sample_ratio_p(context.visitors, context.weights) >= WARNS_BELOW:
        return ()
    tested = tested_segments(context)
    off = [t for t in tested if t.adjusted_p_value < WARNS_BELOW]
    traits = {t.counts.trait for t in tested}
    if off:
        named = "; ".join(f"{t.name}: {_shares(context, t)} (p = {t.adjusted_p_value:.2g})" for t in off[:MOST_NAMED])
        more = f"; and {len(off) - MOST_NAMED} more" if len(off) > MOST_NAMED else ""
        sound = len(tested) - len(off)
        detail = (
            f"It is off in {named}{more}. The other {sound} of {len(tested)} segments do not stand out. Look for what is special "
            "about these visitors: a redirect, a script that fails, a filter of bots."
        )
    else:
        detail = (
            f"None of {len(tested)} segments ({', '.join(sorted(traits))}) stands out, so the cause hits all visitors alike, or "
            "sits in something that is not recorded."
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
