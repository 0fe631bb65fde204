"""Are the exposures clean: is anybody exposed, and did visitors stay with one variant that the plan knows?"""

from __future__ import annotations

import numpy as np
from scipy import stats

from reports.core.health.base import Finding, HealthContext, Severity
from tracking.core.totals import ROBOT_EVENTS_A_MINUTE

MUCH = 0.01
LEAST_ROBOTS, UNEVEN = 20, 0.001


def no_exposures(context: HealthContext) -> tuple[Finding, ...]:
    """Say that nobody has met the experiment, or nobody one of its variants."""
    missing = [v.key for v, n in zip(context.plan.variants, context.visitors, strict=True) if n == 0 and v.weight > 0]
    if not missing:
        return ()
    if len(missing) == len(context.plan.variants):
        detail = (
            f"No visitor has met '{context.plan.experiment}' yet. Send an exposure when a visitor sees a variant: ask for "
            "assignments with `expose`, or send an `$exposure` event."
        )
    else:
        detail = f"No visitor has met {_names(missing)}. Check that the page really shows it and sends the exposure."
    return (Finding("no_exposures", Severity.WARNING, "No exposures", detail, {"variants": missing}),)


def several_variants(context: HealthContext) -> tuple[Finding, ...]:
    """Say how many visitors met more than one variant; they stay with their first."""
    count, total = context.exposures.in_several_variants, sum(context.visitors)
    if not count:
        return ()
    share = count / total if total else 1.0
    return (
        Finding(
            "several_variants",
            Severity.WARNING if share > MUCH else Severity.INFO,
            "Visitors in several variants",
            f"{count:,} visitors ({100 * share:.2g} %) met more than one variant. Each counts in the first one it met, which "
            "makes a real effect look smaller. Usual causes: shared devices, lost cookies, or two ways of assigning.",
            {"visitors": count, "share": share},
        ),
    )


def conflicting_exposures(context: HealthContext) -> tuple[Finding, ...]:
    """Say how many visitors have an exposure to a variant that the plan does not know."""
    exposures = context.exposures
    if not exposures.conflicting:
        return ()
    named = sorted(exposures.unknown_variants.items(), key=lambda pair: (-pair[1], pair[0]))
    evidence = {
        "visitors": exposures.conflicting,
        "only_conflicting": exposures.only_conflicting,
        "unknown_variants": dict(named[:20]),
    }
    known = sum(context.visitors) + exposures.only_conflicting
    share = exposures.conflicting / known if known else 1.0
    listed = f" ({_names([name for name, _ in named[:3]])})" if named else ""
    return (
        Finding(
            "conflicting_exposures",
            Severity.WARNING if share > MUCH else Severity.INFO,
            "Exposures to unknown variants",
            f"{exposures.conflicting:,} visitors have an exposure to a variant that the plan does not know{listed}; "
            f"{exposures.only_conflicting:,} of them have no other and are left out of every variant.",
            evidence,
        ),
    )


def robots(context: HealthContext) -> tuple[Finding, ...]:
    """Say how many visitors were taken for robots, and whether they fell on the variants as the visitors do."""
    plan = context.plan
    counts = [context.exposures.robots.get(v.key, 0) for v in plan.variants]
    total = sum(counts)
    if not total:
        return ()
    weights = np.array([v.weight for v in plan.variants], dtype=float)
    expected = total * weights / weights.sum()
    met = expected > 0
    p = float(stats.chisquare(np.array(counts)[met], expected[met] * sum(np.array(counts)[met]) / total).pvalue)
    uneven = total >= LEAST_ROBOTS and p < UNEVEN
    by_variant = ", ".join(f"'{v.key}' {n:,}" for v, n in zip(plan.variants, counts, strict=True))
    detail = f"{total:,} visitors were taken for robots and are left out: {by_variant}. They called themselves so, or did more than {ROBOT_EVENTS_A_MINUTE} things in a minute."
    if uneven:
        detail += (
            " They do not fall on the variants as visitors do: look whether a variant draws them, or sends more events."
        )
    return (
        Finding(
            "robots",
            Severity.WARNING if uneven else Severity.INFO,
            "Robots",
            detail,
            {"robots": dict(context.exposures.robots), "p_value": p},
        ),
    )


def identity_links(context: HealthContext) -> tuple[Finding, ...]:
    """Say how many links between ids were not followed: shared devices, test accounts."""
    apart, ignored = context.exposures.users_kept_apart, context.exposures.links_ignored
    if not apart + ignored:
        return ()
    parts = []
    if apart:
        parts.append(
            f"{apart:,} {'device was' if apart == 1 else 'devices were'} used by more than one known user; each stays with the first, "
            "and the users stay apart"
        )
    if ignored:
        parts.append(f"{ignored:,} {'link was' if ignored == 1 else 'links were'} left out because an id had too many")
    return (
        Finding(
            "identity_links",
            Severity.INFO,
            "Ids that were not joined",
            f"{'; '.join(parts)}. Counted over the whole site.",
            {"users_kept_apart": apart, "links_ignored": ignored},
        ),
    )


def _names(keys: list[str]) -> str:
    quoted = [f"'{key}'" for key in keys]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]
