"""The native client API of this app: `POST /api/v1/assignments`."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from experiments.core.assign import Assignment, CompiledRuleset, assign
from experiments.core.bodies import plain_body
from experiments.core.bots import declares_bot
from experiments.core.protocol import ApiError, ClientRequest, Reply, json_reply, wants_no_trace
from experiments.core.trial import Reason
from experiments.selectors import live
from experiments.selectors.previews import PreviewExpired, preview_lasts, verify_preview

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
MAX_VISITOR_ID = 256  # the same as an event's, so that whoever is assigned can also be counted
MAX_EXPERIMENTS = 500
FIELDS = ("visitor_id", "attributes", "experiments", "expose", "preview")

_NOTHING_PUBLISHED = Assignment(None, None, {}, Reason.UNKNOWN_EXPERIMENT, False, 0)

# Takes (site key, [(visitor id, experiment key, variant key)], now in microseconds) and returns when they are durable.
RecordExposures = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Question:
    """A checked request for assignments."""

    visitor_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    experiments: tuple[str, ...] | None = None
    expose: bool = False
    preview: str | None = None


def handle_assignments(
    request: ClientRequest, *, now_us: int, record_exposures: RecordExposures | None = None
) -> Reply:
    """Answer with an assignment for each experiment, and record the exposures when asked to.

    Raises: ApiError. When exposures cannot be made durable nothing is answered but 503 `exposures_not_recorded`, so
    that no visitor sees a variant without being counted.
    """
    key = live.authenticate(request)
    question = read_question(plain_body(request, limit_bytes=MAX_BODY_BYTES))
    ruleset = live.ruleset(key.site)
    forced = _previewed(question.preview, key.site, ruleset) if question.preview else None
    # A client key calls from the visitor's browser; a server passes the visitor's user agent on, if it wants to.
    agent = question.attributes.get("user_agent") if key.is_server else request.headers.get("user-agent")
    answers = {}
    if ruleset is not None:
        answers = assign(
            ruleset,
            question.visitor_id,
            question.attributes,
            question.experiments,
            forced,
            is_bot=isinstance(agent, str) and declares_bot(agent),
        )
    elif question.experiments:
        answers = dict.fromkeys(question.experiments, _NOTHING_PUBLISHED)
    if question.expose and (key.is_server or not wants_no_trace(request)):
        record(key.site, question.visitor_id, answers, now_us, record_exposures)
    return json_reply(
        {
            "visitor_id": question.visitor_id,
            "ruleset_version": ruleset.version if ruleset is not None else 0,
            "assignments": {name: answer.wire for name, answer in answers.items()},
        }
    )


def read_question(body: bytes) -> Question:
    """Read and check a request's body.

    Raises: ApiError 400 with a code for each mistake.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad("malformed_json", f"The body is not JSON: {error}.", 'Send {"visitor_id": "..."}.') from None
    if not isinstance(document, dict):
        raise _bad("not_an_object", f"The body is {_shown(document)}, not an object.", 'Send {"visitor_id": "..."}.')
    for name in document:
        if name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, n=1)
            hint = f"Did you mean `{near[0]}`? " if near else ""
            raise _bad("unknown_field", f"There is no field {_shown(name)}.", f"{hint}Known are {', '.join(FIELDS)}.")
    return Question(
        visitor_id=_visitor_id(document.get("visitor_id")),
        attributes=_attributes(document.get("attributes")),
        experiments=_experiments(document.get("experiments")),
        expose=_flag(document.get("expose")),
        preview=_preview(document.get("preview")),
    )


def _visitor_id(value: Any) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _bad(
            "visitor_id_missing",
            "The request names no visitor.",
            "Send `visitor_id`, a text that stays the same for one visitor, such as a UUID kept in a cookie.",
        )
    if not isinstance(value, str) or "\0" in value:
        raise _bad(
            "visitor_id_malformed",
            f"The visitor id is {_shown(value)}, which is not plain text.",
            'Send `visitor_id` as text without NUL characters, for example "1234".',
        )
    if len(value) > MAX_VISITOR_ID:
        raise _bad(
            "visitor_id_too_long",
            f"The visitor id {_shown(value)} has {len(value)} characters; the most is {MAX_VISITOR_ID}.",
            "Send a shorter id, for example a UUID.",
        )
    return value


def _attributes(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(
            "attributes_not_an_object",
            f"`attributes` is {_shown(value)}, not an object.",
            'Send an object, for example {"country": "PT", "is_member": true}.',
        )
    return value


def _experiments(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise _bad(
            "experiments_not_a_list",
            f"`experiments` is {_shown(value)}, not a list of keys.",
            'Send keys, for example ["checkout-button"], or leave it out for all experiments.',
        )
    if len(value) > MAX_EXPERIMENTS:
        raise _bad(
            "experiments_too_many",
            f"`experiments` holds {len(value)} keys; the most is {MAX_EXPERIMENTS}.",
            "Leave it out to get all experiments.",
        )
    return tuple(value)


def _flag(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _bad("expose_not_a_boolean", f"`expose` is {_shown(value)}.", "Send true or false, or leave it out.")


def _preview(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _bad("preview_malformed", f"`preview` is {_shown(value)}.", "Send the token of a preview link as text.")


def _previewed(token: str, site: str, ruleset: CompiledRuleset | None) -> Mapping[str, str]:
    fresh = "Open a fresh preview link from the experiment's page in the admin."
    try:
        preview = verify_preview(token)
    except PreviewExpired as expired:
        raise _bad(
            "preview_expired", f"Preview links last {preview_lasts().days} days, and this one is older.", fresh
        ) from expired
    if preview is None or preview.site != site:
        raise _bad(
            "preview_invalid",
            "The preview token was not made for this site.",
            fresh,
        )
    if ruleset is None or not ruleset.has_variant(preview.experiment, preview.variant):
        raise _bad(
            "preview_unknown",
            f"There is no variant '{preview.variant}' of experiment '{preview.experiment}' any more.",
            fresh,
        )
    return {preview.experiment: preview.variant}


def record(
    site: str,
    visitor_id: str,
    answers: Mapping[str, Assignment],
    now_us: int,
    record_exposures: RecordExposures | None,
) -> None:
    exposures = [(visitor_id, name, answer.variant) for name, answer in answers.items() if answer.in_experiment]
    if not exposures:
        return
    try:
        if record_exposures is None:
            raise RuntimeError("no recorder of exposures is wired into this process")
        record_exposures(site=site, exposures=exposures, now_us=now_us)
    except ApiError:
        raise
    except Exception:
        # Whatever keeps the exposures from being durable, the client must learn that they are not.
        logger.exception("Exposures of site '%s' could not be recorded.", site)
        raise ApiError(
            503,
            "exposures_not_recorded",
            "The exposures could not be stored durably, so no variant is given.",
            "Try again shortly, or show the control and do not count the visitor.",
        ) from None


def _bad(code: str, message: str, advice: str) -> ApiError:
    return ApiError(400, code, message, advice)


def _shown(value: Any) -> str:
    """Return a value for a message: as JSON, cut to a readable length."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
