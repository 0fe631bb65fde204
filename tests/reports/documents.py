"""Report documents in the public shape, made by hand: what the page is tested on, apart from the analysis."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

METRIC_KEYS = ("add_to_cart", "purchase", "revenue")


def comparison(variant: str, effect: float, half: float, lift: float, lift_half: float, p: float) -> dict[str, Any]:
    return {
        "variant": variant,
        "effect": effect,
        "ci_low": effect - half,
        "ci_high": effect + half,
        "lift": lift,
        "lift_ci_low": lift - lift_half,
        "lift_ci_high": lift + lift_half,
        "p_value": p,
        "method": "score",
    }


def finding(code: str, severity: str, title: str, detail: str, **evidence: Any) -> dict[str, Any]:
    return {"code": code, "severity": severity, "title": title, "detail": detail, "evidence": evidence}


def metric(
    key: str,
    role: str,
    conversion: str,
    kind: str,
    values: list[dict[str, Any]],
    comparisons: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "key": key,
        "role": role,
        "conversion": conversion,
        "kind": kind,
        "values": values,
        "comparisons": comparisons,
    }


def share_values(*rows: tuple[str, int, int]) -> list[dict[str, Any]]:
    return [{"variant": v, "visitors": n, "converted": x, "value": x / n if n else None} for v, n, x in rows]


def daily(variants: list[str], days: int, first: str = "2026-03-02", a_day: int = 100) -> dict[str, Any]:
    start = date.fromisoformat(first)
    return {
        "days": [(start + timedelta(days=n)).isoformat() for n in range(days)],
        "variants": variants,
        "counts": [
            [a_day + (7 * (n + 3 * v)) % 23 - (30 if (n % 7) in (5, 6) else 0) for v in range(len(variants))]
            for n in range(days)
        ],
    }


def document(**changes: Any) -> dict[str, Any]:
    """A micro win with a safe macro, two variants, four weeks."""
    base: dict[str, Any] = {
        "schema": 1,
        "experiment": "free-shipping",
        "as_of": "2026-03-30T06:00:00+00:00",
        "plan_hash": "5f1c" * 16,
        "verdict": {
            "state": "ship",
            "summary": "Ship banner. More visitors add to cart (+14.0 %, likely +6.1 % to +22.4 %), and purchases did not "
            "fall by more than the 10 % agreed beforehand.",
            "reasons": ["Add to cart rose clearly.", "Purchase was shown to be safe within its margin of 10 %."],
        },
        "health": [
            finding(
                "sample_ratio",
                "ok",
                "The split is as planned",
                "1,403 and 1,397 visitors, planned half and half.",
                p_value=0.91,
            ),
            finding("freshness", "ok", "Events are arriving", "The last one came 2 minutes before the analysis."),
            finding(
                "several_variants",
                "warning",
                "3 visitors met both variants",
                "They stay with the one they met first.",
                visitors=3,
            ),
        ],
        "variants": [
            {"key": "control", "is_control": True, "visitors": 1403},
            {"key": "banner", "is_control": False, "visitors": 1397},
        ],
        "metrics": [
            metric(
                "add_to_cart",
                "proxy",
                "milestone",
                "conversion",
                share_values(("control", 1403, 421), ("banner", 1397, 478)),
                [comparison("banner", 0.0421, 0.0345, 0.140, 0.081, 0.017)],
            ),
            metric(
                "purchase",
                "guardrail",
                "macro",
                "conversion",
                share_values(("control", 1403, 62), ("banner", 1397, 68)),
                [{**comparison("banner", 0.0045, 0.0155, 0.101, 0.15, 0.57), "guardrail": {"outcome": "safe"}}],
            ),
            metric(
                "revenue",
                "exploratory",
                "macro",
                "value_sum",
                [
                    {"variant": "control", "visitors": 1403, "total": 2412.5, "value": 2412.5 / 1403},
                    {"variant": "banner", "visitors": 1397, "total": 2391.0, "value": 2391.0 / 1397},
                ],
                [comparison("banner", -0.008, 0.6, -0.0047, 0.35, 0.98)],
            ),
        ],
        "exposures": daily(["control", "banner"], 28, a_day=50),
    }
    return {**base, **changes}


def five_variants() -> dict[str, Any]:
    """Five variants with long names, losses, an open interval and a number that could not be computed."""
    names = ["control", "a-very-long-variant-name-that-somebody-really-typed-in", "c", "d-minus", "e"]
    sizes = [2010, 1985, 2033, 1999, 2001]
    lost = {
        "code": "too_few_events",
        "detail": "Too few conversions yet: 3, and 10 are needed before a comparison says anything.",
    }
    return document(
        verdict={
            "state": "no_decision_yet",
            "summary": "We cannot tell yet: 41 more orders are needed, about 9 days at the present traffic.",
            "reasons": ["No variant differs clearly from control.", "Purchase cannot be shown to be safe yet."],
        },
        health=[],
        variants=[{"key": n, "is_control": n == "control", "visitors": s} for n, s in zip(names, sizes, strict=True)],
        metrics=[
            metric(
                "reached-the-last-step-of-the-checkout-without-an-error",
                "primary",
                "milestone",
                "conversion",
                share_values(*((n, s, 200 - 12 * i) for i, (n, s) in enumerate(zip(names, sizes, strict=True)))),
                [
                    comparison(names[1], -0.0061, 0.018, -0.0586, 0.17, 0.51),
                    comparison(names[2], -0.0122, 0.0175, -0.1331, 0.12, 0.17),
                    comparison(names[3], -0.0178, 0.0171, -0.1792, 0.16, 0.038),
                    {**comparison(names[4], 0.031, 0.02, 0.41, 0.2, 0.0004), "lift_ci_high": None},
                ],
            ),
            metric(
                "purchase",
                "guardrail",
                "macro",
                "conversion",
                share_values(*((n, s, 3 + i) for i, (n, s) in enumerate(zip(names, sizes, strict=True)))),
                [{"variant": n, "not_computable": lost} for n in names[1:]],
            ),
        ],
        exposures=daily(names, 12, a_day=160),
    )
