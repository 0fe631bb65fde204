"""Do the events of a milestone get lost in one variant? A broken event looks exactly like bait, or like its opposite."""

from __future__ import annotations

from reports.core.health.base import Finding, HealthContext, Severity
from reports.core.methods.exact import fisher_exact_p
from reports.core.proxy.reached import Place

BLOCKS_BELOW = 0.001
LEAST_GAP = 0.05  # less than that is not worth stopping a verdict for


def lost_milestones(context: HealthContext) -> tuple[Finding, ...]:
    """Block where those who reached the goal had made a milestone far less often in one variant than in another.

    Nearly everybody who buys has put something in the cart. Where that holds for the control and not for a treatment, its cart events
    get lost, or it leads round the cart; either way the step cannot be compared. Fisher's exact test, Bonferroni over milestones and
    treatments.
    """
    if context.reached is None:
        return ()
    control = context.plan.control.key
    pairs = [(place, v.key) for place in context.reached.places for v in context.plan.treatments]
    return tuple(
        finding for place, variant in pairs if (finding := _compared(place, variant, control, len(pairs))) is not None
    )


def _compared(place: Place, variant: str, control: str, tests: int) -> Finding | None:
    (through_t, all_t), (through_c, all_c) = place.passed.get(variant, (0, 0)), place.passed.get(control, (0, 0))
    if not all_t or not all_c:
        return None
    share_t, share_c = through_t / all_t, through_c / all_c
    if abs(share_t - share_c) < LEAST_GAP:
        return None
    p_value = min(1.0, tests * fisher_exact_p(through_t, all_t - through_t, through_c, all_c - through_c))
    if p_value >= BLOCKS_BELOW:
        return None
    fewer = variant if share_t < share_c else control
    return Finding(
        "milestone_lost",
        Severity.BLOCKING,
        f"'{place.name}' is missing in '{fewer}'",
        f"Of those who reached the goal, {100 * share_t:.1f} % had '{place.name}' before in '{variant}' and {100 * share_c:.1f} % in "
        f"'{control}'. Its events get lost there, or the variant leads round it: either way the step cannot be compared. Mend the "
        "tracking, or start again without this step in the plan.",
        {
            "metric": place.key,
            "variant": variant,
            "through": through_t,
            "reached_goal": all_t,
            "through_in_control": through_c,
            "reached_goal_in_control": all_c,
            "p_value": p_value,
        },
    )
