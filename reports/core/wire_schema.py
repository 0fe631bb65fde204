"""The JSON Schema of the public report document (schema 1). Fields may be added to it; none is removed or renamed."""

from __future__ import annotations

from typing import Any

from experiments.core.metrics import Conversion, Direction, Role
from experiments.core.plan import Monitoring
from reports.core.decision import VerdictState
from reports.core.health import Severity
from reports.core.methods.base import Blocker
from reports.core.methods.noninferiority import GuardrailOutcome
from reports.core.results import Claim
from reports.core.wire_proxy import FUNNEL_SCHEMA, PROXY_SCHEMA

Schema = dict[str, Any]

NUMBER: Schema = {"type": "number"}
NULLABLE_NUMBER: Schema = {"type": ["number", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
NULLABLE_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
NULLABLE_SHARE: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 1}


def _choice(values: Any) -> Schema:
    return {"type": "string", "enum": [v.value for v in values]}


def _object(properties: Schema, *, optional: tuple[str, ...] = (), description: str = "") -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }
    return schema | ({"description": description} if description else {})


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


NOT_COMPUTABLE = _object(
    {"code": _choice(Blocker), "detail": TEXT}, description="Why a number is missing: a code and a sentence."
)
NULLABLE_NOT_COMPUTABLE: Schema = {"anyOf": [NOT_COMPUTABLE, {"type": "null"}]}

REASON = _object({"code": TEXT, "text": TEXT})

VERDICT = _object(
    {
        "state": _choice(VerdictState),
        "summary": TEXT,
        "reasons": _list(REASON),
        "numbers": {"type": "object"},
        "treatments": _list(
            _object({"variant": TEXT, "state": _choice(VerdictState), "summary": TEXT, "reasons": _list(REASON)})
        ),
        "next_change": NULLABLE_MOMENT,
    },
    description="What the decision rule of the plan recommends, and when that may next be something else.",
)

FINDING = _object(
    {
        "code": TEXT,
        "severity": _choice(Severity),
        "title": TEXT,
        "detail": TEXT,
        "evidence": {"type": "object"},
    },
    description="What a health check says; a blocking finding makes the verdict invalid.",
)

VARIANT = _object({"key": TEXT, "name": TEXT, "is_control": TRUTH, "visitors": COUNT, "weight": SHARE})

VALUE = _object(
    {
        "variant": TEXT,
        "visitors": COUNT,
        "exposed": COUNT,
        "converted": COUNT,
        "total": NULLABLE_NUMBER,
        "value": NULLABLE_NUMBER,
        "ci_low": NULLABLE_NUMBER,
        "ci_high": NULLABLE_NUMBER,
        "working": {"type": "object"},
    },
    optional=("converted", "total"),
    description=(
        "`visitors` are those whose conversion window has passed (of a Kaplan-Meier share all who are followed), `exposed` all; a "
        "share has `converted`, anything else `total`: of a Kaplan-Meier share the conversions so far, of a quantile the "
        "visitors with a value other than 0."
    ),
)

SINGLE_LOOK = _object(
    {"alpha": SHARE, "p_value": SHARE, "monitoring": _choice(Monitoring)},
    description="The plain test behind one of several looks, the level that this look is held to, and by which rule.",
)

_COMPARED: Schema = {
    "effect": NUMBER,
    "ci_low": NULLABLE_NUMBER,
    "ci_high": NULLABLE_NUMBER,
    "lift": NULLABLE_NUMBER,
    "lift_ci_low": NULLABLE_NUMBER,
    "lift_ci_high": NULLABLE_NUMBER,
    "lift_not_computable": NOT_COMPUTABLE,
    "unbounded": _list(TEXT),
    "z": NULLABLE_NUMBER,
    "p_value": SHARE,
    "alpha": SHARE,
    "single_look": SINGLE_LOOK,
    "standard_error": NULLABLE_NUMBER,
    "degrees_of_freedom": NULLABLE_NUMBER,
    "method": TEXT,
    "method_label": TEXT,
}

WORSENING = _object(
    {"day": {"type": ["integer", "null"]}, **_COMPARED},
    optional=("lift_not_computable", "single_look"),
    description="The numbers that showed a worsening: those of the first look beyond the harm bound (null: the only look).",
)

GUARDRAIL = _object(
    {
        "outcome": _choice(GuardrailOutcome),
        "margin": SHARE,
        "alpha": SHARE,
        "ruled_out_worsening": NULLABLE_NUMBER,
        "is_small_drop_likely": TRUTH,
        "power": NULLABLE_SHARE,
        "power_at_horizon": NULLABLE_SHARE,
        "worsening": {"anyOf": [WORSENING, {"type": "null"}]},
        "not_computable": NULLABLE_NOT_COMPUTABLE,
    },
    description="Non-inferiority with a relative margin; `ruled_out_worsening` 0.2 means only a drop above 20 % is ruled out.",
)

LOOK = _object(
    {
        "day": COUNT,
        "information": NUMBER,
        "z": NULLABLE_NUMBER,
        "bound": NULLABLE_NUMBER,
        "futility": NULLABLE_NUMBER,
        "effect": NULLABLE_NUMBER,
        "ci_low": NULLABLE_NUMBER,
        "ci_high": NULLABLE_NUMBER,
    },
    description=(
        "One look: `information` is the share of the planned data (without a planned end it may pass 1), `bound` the z that claims a difference (null: none can yet), "
        "`futility` the z below which a win is unlikely; effect and limits hold at this look and all others together (null: "
        "without limit)."
    ),
)

STOPPED = _object(
    {
        "day": COUNT,
        "p_value": SHARE,
        "effect": NUMBER,
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "lift": NULLABLE_NUMBER,
        "lift_ci_low": NULLABLE_NUMBER,
        "lift_ci_high": NULLABLE_NUMBER,
    },
    description=(
        "The look that crossed its bound: stage-wise p-value, median-unbiased estimate and interval. Without a planned end it is "
        "there only where the latest look no longer shows the difference: then the numbers of the look that did."
    ),
)

BAYES = _object(
    {
        "prior": _object({"a": NUMBER, "b": NUMBER}),
        "p_better": SHARE,
        "expected_loss_shipping": NUMBER,
        "expected_loss_keeping": NUMBER,
        "ci_low": NUMBER,
        "ci_high": NUMBER,
    },
    description="A second way of reading the same counts, under a Beta prior. It never enters the verdict.",
)

DISCOVERY = _object(
    {"is_selected": TRUTH, "rate": SHARE, "selected": COUNT, "tests": COUNT},
    description=(
        "How an exploratory comparison fared among all `tests`: whether it is one of the `selected` at the false discovery `rate`; "
        "then its intervals have the level that keeps the share of missing ones among those selected. No basis for a decision."
    ),
)

_BESIDE: dict[str, Any] = {"detail": TEXT, "variance_left": {"type": ["number", "null"], "minimum": 0}}
BESIDE: Schema = {
    "anyOf": [
        _object({**_COMPARED, **_BESIDE}, optional=("lift_not_computable", "single_look")),
        _object({"not_computable": NOT_COMPUTABLE, **_BESIDE}),
    ],
    "description": (
        "The same comparison without the plan's covariates (`unadjusted`, where those with them count) or with them (`adjusted`, where "
        "the plain one counts); it decides nothing. `detail` says why the one with them is no regression, where strata or the plain "
        "comparison took its place. `variance_left` is the adjusted variance over the plain one."
    ),
}

COMPUTED = _object(
    {
        "variant": TEXT,
        **_COMPARED,
        "adjusted_p_value": SHARE,
        "claim": _choice(Claim),
        "is_unlikely_to_win": TRUTH,
        "waits_for_primary": TRUTH,
        "discovery": DISCOVERY,
        "looks": _list(LOOK),
        "stopped": STOPPED,
        "bayes": BAYES,
        "unadjusted": BESIDE,
        "adjusted": BESIDE,
        "guardrail": GUARDRAIL,
    },
    optional=(
        "lift_not_computable",
        "single_look",
        "adjusted_p_value",
        "discovery",
        "looks",
        "stopped",
        "bayes",
        "unadjusted",
        "adjusted",
        "guardrail",
    ),
    description=(
        "A treatment against the control; a null named in `unbounded` is infinite. The intervals have level 1 - `alpha` and "
        "exclude no difference exactly when `p_value` < `alpha`; in a running experiment both hold at all looks together, and "
        "`single_look` has the plain test of this look. `claim` and `adjusted_p_value` take every look, success metric and treatment into account."
    ),
)

BLOCKED = _object(
    {"variant": TEXT, "not_computable": NOT_COMPUTABLE, "looks": _list(LOOK), "guardrail": GUARDRAIL},
    optional=("looks", "guardrail"),
    description="A comparison that could not be made, with the reason.",
)

METRIC = _object(
    {
        "key": TEXT,
        "name": TEXT,
        "role": _choice(Role),
        "conversion": _choice(Conversion),
        "kind": TEXT,
        "statistic": TEXT,
        "direction": _choice(Direction),
        "window_hours": NULLABLE_NUMBER,
        "cap": NULLABLE_NUMBER,
        "margin": NULLABLE_NUMBER,
        "added_after_start": TRUTH,
        "is_decisive": TRUTH,
        "values": _list(VALUE),
        "comparisons": _list({"anyOf": [COMPUTED, BLOCKED]}),
    }
)

EXPOSURES = _object(
    {
        "variants": _list(TEXT),
        "days": _list(TEXT),
        "counts": _list(_list(COUNT)),
        "in_several_variants": COUNT,
        "conflicting": COUNT,
        "only_conflicting": COUNT,
        "linked_identities": COUNT,
        "links_ignored": COUNT,
        "users_kept_apart": COUNT,
        "robots": {"type": "object", "additionalProperties": COUNT},
    },
    description="First exposures per local day; `counts` is days by variants.",
)

_WEEK_COMPARED = _object(
    {"variant": TEXT, "effect": NULLABLE_NUMBER, "ci_low": NULLABLE_NUMBER, "ci_high": NULLABLE_NUMBER, "alpha": SHARE}
)
_PART_OF_VISITORS: dict[str, Schema] = {
    "values": _list(_object({"variant": TEXT, "visitors": COUNT, "value": NULLABLE_NUMBER})),
    "comparisons": _list({"anyOf": [_WEEK_COMPARED, _object({"variant": TEXT, "not_computable": NOT_COMPUTABLE})]}),
}
_SAME_EFFECT_P: Schema = {"type": "object", "additionalProperties": NULLABLE_SHARE}
NEWCOMERS = _object(
    {
        "groups": _list(_object({"group": {"enum": ["new", "returning"]}, **_PART_OF_VISITORS})),
        "same_effect_p": _SAME_EFFECT_P,
    },
    description="By whether a visitor had been seen in the 28 days before the first exposure, each group at one look.",
)
WEEKS = _object(
    {
        "weeks": _list(_object({"starts_at": MOMENT, **_PART_OF_VISITORS})),
        "same_effect_p": _SAME_EFFECT_P,
    },
    description="By the week of the first exposure, each week at one look; `same_effect_p` per treatment (Cochran's Q).",
)
DELAYS = _object(
    {
        "hours": _list(NUMBER),
        "curves": _list(_object({"variant": TEXT, "visitors": COUNT, "shares": _list(SHARE)})),
        "checks": _list(
            _object(
                {
                    "variant": TEXT,
                    "half_window_lift": NUMBER,
                    "full_window_lift": NUMBER,
                    "p_value": SHARE,
                    "crosses": TRUTH,
                }
            )
        ),
    },
    description="The share converted by each hour among visitors followed to the end of the window.",
)
TIMING = _object(
    {
        "label": TEXT,
        "metrics": _list(
            _object(
                {
                    "key": TEXT,
                    "weeks": {"anyOf": [WEEKS, {"type": "null"}]},
                    "delays": {"anyOf": [DELAYS, {"type": "null"}]},
                    "newcomers": {"anyOf": [NEWCOMERS, {"type": "null"}]},
                    "novelty": _list(
                        _object(
                            {
                                "variant": TEXT,
                                "visitors": COUNT,
                                "lifts": _list(NULLABLE_NUMBER),
                                "slope": NUMBER,
                                "standard_error": NUMBER,
                                "p_value": SHARE,
                                "is_shrinking": TRUTH,
                            }
                        )
                    ),
                }
            )
        ),
        "before": _list(
            _object(
                {
                    "metric": TEXT,
                    "variant": TEXT,
                    "active": COUNT,
                    "visitors": COUNT,
                    "control_active": COUNT,
                    "control_visitors": COUNT,
                    "p_value": SHARE,
                    "adjusted_p_value": SHARE,
                }
            )
        ),
    },
    description=(
        "What time does to the metrics that decide or guard; exploratory. `novelty`: lifts by day since the exposure and their "
        "slope on the log scale; `before`: visitors active in the 28 days before their exposure."
    ),
)

PERIOD = _object(
    {
        "starts_at": MOMENT,
        "weights": {"type": "object", "additionalProperties": SHARE},
        "visitors": {"type": "object", "additionalProperties": COUNT},
    },
    description="A stretch of time with weights of its own; there only when the weights changed. Visitors by first exposure.",
)

REPORT_SCHEMA: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Experiment report",
    **_object(
        {
            "schema": {"type": "integer", "const": 1},
            "experiment": TEXT,
            "site": TEXT,
            "as_of": MOMENT,
            "plan_hash": TEXT,
            "alpha": SHARE,
            "guardrail_alpha": SHARE,
            "started_at": NULLABLE_MOMENT,
            "horizon_at": NULLABLE_MOMENT,
            "next_look_at": NULLABLE_MOMENT,
            "days": COUNT,
            "cut_at": MOMENT,
            "is_final": TRUTH,
            "is_imported": TRUTH,
            "monitoring": _choice(Monitoring),
            "look_every_days": COUNT,
            "verdict": VERDICT,
            "health": _list(FINDING),
            "variants": _list(VARIANT),
            "metrics": _list(METRIC),
            "exposures": EXPOSURES,
            "timing": TIMING,
            "funnel": FUNNEL_SCHEMA,
            "proxy": PROXY_SCHEMA,
            "periods": _list(PERIOD),
            "inputs_hash": TEXT,
        },
        optional=("funnel", "proxy", "periods", "inputs_hash"),
    ),
}
