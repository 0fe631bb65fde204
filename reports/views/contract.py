"""What the API promises in OpenAPI's words: the pieces that Django REST framework cannot read off our views."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from experiments.core.lifecycle import Status
from reports.core.wire_schema import REPORT_SCHEMA

STATUSES = [s.value for s in Status if s is not Status.DRAFT]
FORMAT = OpenApiParameter(
    "format", OpenApiTypes.STR, enum=["json", "csv"], description="`csv` gives one line per variant and metric."
)

Schema = dict[str, Any]

ERROR: Schema = {"$ref": "#/components/schemas/Error"}
REPORT: Schema = {"$ref": "#/components/schemas/Report"}
PLAN: Schema = {"$ref": "#/components/schemas/Plan"}
RANKING: Schema = {"$ref": "#/components/schemas/Ranking"}
RANKED_MICRO: Schema = {"$ref": "#/components/schemas/RankedMicro"}
EXPERIMENTS: Schema = {"$ref": "#/components/schemas/Experiments"}

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_OBJECT: Schema = {"type": "object"}


def _object(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "required": required, "properties": properties}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_REFUSAL = _object(
    ["code", "message", "advice"],
    code={**_TEXT, "description": "For machines; stays the same."},
    message={**_TEXT, "description": "What is wrong, with the value."},
    advice={**_TEXT, "description": "What to do instead."},
)
_NUMBER: Schema = {"type": "number"}
_PLAN_METRIC = _object(
    ["key", "name", "conversion", "role", "lift", "baseline", "problem", "size", "detectable", "guardrail"],
    key=_TEXT,
    name=_TEXT,
    conversion={"enum": ["macro", "milestone", "secondary"]},
    role=_or_null(_TEXT),
    direction={"enum": ["increase", "decrease"]},
    window_hours=_or_null(_NUMBER),
    lift={**_NUMBER, "description": "Relative; below 0 where less is better."},
    baseline=_or_null(_object(["value", "low", "high", "visitors", "deviation", "source"], value=_NUMBER)),
    problem=_or_null(_REFUSAL),
    size=_or_null(
        _object(
            ["one_look", "visitors", "weeks", "days"],
            one_look={
                **_NUMBER,
                "description": "Visitors in all for one look, nothing corrected: the textbook's number.",
            },
            visitors={**_COUNT, "description": "The most visitors in all, with daily looks and corrections."},
            weeks={**_or_null(_COUNT), "description": "Null: longer than the weeks at hand."},
            days=_COUNT,
        )
    ),
    detectable={"type": "array", "items": _object(["weeks", "lift"], weeks=_COUNT, lift=_or_null(_NUMBER))},
    guardrail=_or_null(
        _object(
            ["margin", "weeks", "chance_of_safe", "is_powered", "least_margin"],
            margin=_NUMBER,
            weeks=_COUNT,
            chance_of_safe=_or_null(_NUMBER),
            is_powered={"type": "boolean"},
            least_margin=_or_null(_NUMBER),
        )
    ),
)
_PLAN_OPTION = _object(
    ["way", "metric", "answers_the_question", "visitors", "weeks", "power", "detectable_lift"],
    way={"enum": ["macro_once", "macro_looks", "together", "micro"]},
    metric=_TEXT,
    name=_TEXT,
    answers_the_question={"type": "boolean", "description": "False for a micro conversion taken for the goal."},
    visitors=_COUNT,
    visitors_expected=_COUNT,
    weeks=_NUMBER,
    power={**_NUMBER, "description": "For the asked lift, at the end of the weeks at hand."},
    detectable_lift=_or_null(_NUMBER),
    sign_error=_or_null(_NUMBER),
    exaggeration=_or_null(_NUMBER),
)
_CERTIFICATE = _object(
    ["status", "inputs", "result"],
    status={"enum": ["waiting", "running", "done", "failed"]},
    truths_done=_COUNT,
    truths=_COUNT,
    inputs=_OBJECT,
    result=_or_null(
        _object(
            ["engine_version", "replicates", "seed", "is_hopeless", "truths"],
            truths={
                "type": "array",
                "items": _object(
                    ["truth", "ship", "ship_error", "states", "weeks", "macro_alone"],
                    truth={"enum": ["gain", "nothing", "curiosity", "bait", "harm"]},
                    macro_lift=_NUMBER,
                    ship=_NUMBER,
                    ship_error=_NUMBER,
                    states=_OBJECT,
                    weeks=_OBJECT,
                    macro_alone=_OBJECT,
                ),
            },
        )
    ),
    error=_or_null(_OBJECT),
)
_RUN = _object(
    ["id", "status", "as_of", "finished_at", "plan_hash", "code_version"],
    id=_COUNT,
    status={"enum": ["done", "failed"]},
    as_of=_TIME,
    finished_at=_TIME,
    plan_hash=_TEXT,
    ruleset_version=_or_null(_COUNT),
    code_version=_TEXT,
    error=_or_null(_REFUSAL),
)

SCHEMAS: dict[str, Schema] = {
    "Error": _object(["error"], error=_REFUSAL),
    "Run": _RUN,
    "Report": {
        "allOf": [REPORT_SCHEMA, _object(["run"], run={"$ref": "#/components/schemas/Run"})],
        "description": "The public report document. `schema` counts its versions; fields are only ever added within one.",
    },
    "Plan": _object(
        ["schema", "site", "question", "traffic", "metrics", "recommendation"],
        schema={"enum": [1]},
        site=_TEXT,
        experiment=_or_null(_TEXT),
        question=_OBJECT,
        traffic=_object(
            ["source", "visitors_per_week"],
            source={"enum": ["history", "given"]},
            visitors_per_week=_NUMBER,
            by_weekday={"type": "array", "items": _NUMBER, "description": "Medians, Monday first."},
            full_weeks=_COUNT,
        ),
        metrics={"type": "array", "items": _PLAN_METRIC},
        options={"type": "array", "items": _PLAN_OPTION},
        certificate=_or_null(_CERTIFICATE),
        horizon_weeks=_or_null(_COUNT),
        recommendation=_object(
            ["state", "title", "decide_by", "sentence", "reasons"],
            state={"enum": ["run", "run_on_micro", "do_not_run", "cannot_say"]},
            title=_TEXT,
            decide_by=_or_null(_TEXT),
            sentence=_TEXT,
            reasons={"type": "array", "items": _TEXT},
        ),
    ),
    "Ranking": _object(
        ["schema", "label", "macro", "micros", "as_of"],
        schema={"enum": [1]},
        label=_TEXT,
        macro=_OBJECT,
        micros={"type": "array", "items": {"$ref": "#/components/schemas/RankedMicro"}},
        as_of=_TIME,
        since=_TIME,
        until=_TIME,
        visitors=_COUNT,
        of_visitors=_COUNT,
        learned={"type": "array", "items": {"$ref": "#/components/schemas/LearnedFamily"}},
    ),
    "LearnedFamily": _object(
        ["kinds", "grade", "is_used", "experiments", "shares", "pass_through", "steps", "back_test"],
        kinds={"type": "array", "items": _TEXT, "description": "Kinds of change that learn from each other."},
        grade={"enum": ["A", "B", "C", "D"]},
        is_used={"type": "boolean", "description": "Whether the next plan freezes it."},
        experiments={**_NUMBER, "description": "Counted as fresh ones of the site's own."},
        comparisons=_COUNT,
        shares={**_OBJECT, "description": "How many ideas belong to each class."},
        bait_80={"type": "array", "items": _NUMBER},
        pass_through=_NUMBER,
        pass_throughs={"type": "array", "items": {"type": "array", "items": _NUMBER}},
        steps={"type": "array", "items": _OBJECT},
        back_test=_or_null(
            _object(
                ["experiments", "clear", "fell", "rules", "composite"],
                experiments=_COUNT,
                clear=_COUNT,
                fell=_COUNT,
                rules={
                    "type": "array",
                    "items": _object(
                        ["rule", "ships", "gain", "gain_error", "mistaken"],
                        rule={"enum": ["engine", "learned", "goal", "composite", "first_micro"]},
                        ships=_NUMBER,
                        gain={
                            **_NUMBER,
                            "description": "Mean log-lift of the goal that it would have brought an experiment.",
                        },
                        gain_error=_NUMBER,
                        mistaken={**_NUMBER, "description": "How many whose goal clearly fell it would have shipped."},
                    ),
                },
                composite=_or_null(_OBJECT),
            )
        ),
    ),
    "RankedMicro": _object(
        ["key", "name", "conversion", "grade", "reach", "with_micro", "without_micro", "doubts"],
        key=_TEXT,
        name=_TEXT,
        conversion={"enum": ["milestone", "secondary"]},
        grade={"enum": ["A", "B", "C", "D", "E"]},
        reach=_OBJECT,
        with_micro=_OBJECT,
        without_micro=_OBJECT,
        risk_ratio=_or_null(_NUMBER),
        ceiling=_or_null(_NUMBER),
        quality={**_NUMBER, "description": "Correlation with the goal's true change at the site's traffic."},
        visitors_ratio=_or_null(_NUMBER),
        doubts={"type": "array", "items": _TEXT},
        chance_first=_NUMBER,
        chance_top_three=_NUMBER,
        learned=_or_null(_OBJECT),
    ),
    "Experiments": _object(
        ["experiments"],
        experiments={
            "type": "array",
            "items": _object(
                ["key", "name", "status", "verdict"],
                key=_TEXT,
                name=_TEXT,
                status={"enum": STATUSES},
                is_imported={"type": "boolean"},
                started_at=_or_null(_TIME),
                ended_at=_or_null(_TIME),
                verdict=_or_null(_object(["state", "summary"], state=_TEXT, summary=_TEXT)),
                visitors=_or_null(_COUNT),
                as_of=_or_null(_TIME),
                run=_or_null(_COUNT),
                latest_run_failed={"type": "boolean"},
            ),
        },
    ),
    "AssignmentRequest": _object(
        ["visitor_id"],
        visitor_id=_TEXT,
        attributes={**_OBJECT, "description": "What the audience conditions may ask about."},
        experiments={"type": "array", "items": _TEXT, "description": "Keys; left out: every experiment of the site."},
        expose={"type": "boolean", "default": False, "description": "Record the exposures durably before answering."},
        preview={**_TEXT, "description": "A signed preview token, to see one variant without being counted."},
    ),
    "Assignments": _object(
        ["visitor_id", "ruleset_version", "assignments"],
        visitor_id=_TEXT,
        ruleset_version=_COUNT,
        assignments={
            "type": "object",
            "additionalProperties": _object(
                ["variant", "index", "payload", "reason", "in_experiment"],
                variant=_or_null(_TEXT),
                index=_or_null(_COUNT),
                payload={},
                reason=_TEXT,
                in_experiment={"type": "boolean"},
            ),
        },
    ),
    "EventBatch": _object(
        ["events"],
        events={
            "type": "array",
            "maxItems": 1000,
            "items": _object(
                ["name", "visitor_id"],
                event_id={**_TEXT, "description": "Makes sending twice harmless."},
                name={
                    **_TEXT,
                    "description": "`$exposure` with `experiment` and `variant` properties, `$alias`, or yours.",
                },
                visitor_id=_TEXT,
                timestamp=_TIME,
                session_id=_TEXT,
                value={"type": "number"},
                properties=_OBJECT,
                context=_OBJECT,
            ),
        },
        sent_at={**_TIME, "description": "The sender's clock, to correct its skew."},
    ),
    "EventJudgement": _object(
        ["accepted", "duplicates", "rejected"],
        accepted=_COUNT,
        duplicates=_COUNT,
        rejected={
            "type": "array",
            "items": {"allOf": [_object(["index"], index=_COUNT), _REFUSAL]},
        },
    ),
    "Count": _object(["count"], count=_COUNT),
}
