"""OpenFeature's remote evaluation protocol (OFREP): one flag, or all of them for one context.

Each experiment is a flag of its key, its value the payload of the variant; plain flags stand beside them. Evaluating one experiment
records the exposure, evaluating all records none: a page may use none of them.

Source: OpenFeature Remote Evaluation Protocol 0.3.0. Checked against: the OpenFeature Python SDK with its OFREP provider.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from experiments.clients.growthbook import bearing, matches
from experiments.clients.native import RecordExposures, record
from experiments.core.assign import Assignment, CompiledRuleset, assign
from experiments.core.bodies import plain_body
from experiments.core.bots import declares_bot
from experiments.core.bucketing import GRID
from experiments.core.features import Visit
from experiments.core.protocol import ApiError, ClientRequest, Reply, json_reply, wants_no_trace
from experiments.core.trial import Reason
from experiments.selectors import live

MAX_BODY_BYTES = 64 * 1024
MAX_TARGETING_KEY = 256
ADDRESS = "/ofrep/v1/evaluate/flags"

REASONS = {Reason.ASSIGNED: "SPLIT", Reason.FORCED: "TARGETING_MATCH", Reason.NOT_RUNNING: "DISABLED"}


class OfrepError(ApiError):
    """A refusal in the only form that every provider reads: key, code and details together."""

    def __init__(self, status: int, code: str, details: str, flag: str = "") -> None:
        super().__init__(status, code, details, "")
        self.flag = flag

    @classmethod
    def of(cls, error: ApiError, flag: str = "") -> OfrepError:
        """Return any refusal in this form; one that is in it already stays."""
        if isinstance(error, OfrepError):
            return error
        return cls(error.status, "GENERAL", f"{error.message} {error.advice}".strip(), flag)

    def to_document(self) -> dict[str, Any]:
        return {"key": self.flag, "errorCode": self.code, "errorDetails": self.message}


def handle_flag(request: ClientRequest, *, now_us: int, record_exposures: RecordExposures | None = None) -> Reply:
    """Evaluate one flag and, when it is an experiment, record the exposure.

    Raises: OfrepError 400, 401, 404, 413; 503 when the exposure cannot be made durable.
    """
    flag = unquote(request.path.rstrip("/").removeprefix(ADDRESS).strip("/"))
    grant, visitor, attributes = _context(request, flag)
    ruleset = live.ruleset(grant.site)
    if ruleset is not None and flag in ruleset.flags:
        return json_reply(_plain_flag(ruleset, flag, visitor, attributes))
    answer = _assigned(request, grant, visitor, attributes, [flag])[flag] if ruleset is not None else None
    if answer is None or answer.variant is None:
        raise OfrepError(404, "FLAG_NOT_FOUND", f"There is no experiment or flag '{flag[:100]}' on this site.", flag)
    try:
        if grant.is_server or not wants_no_trace(request):
            record(grant.site, visitor, {flag: answer}, now_us, record_exposures)
    except ApiError as error:
        raise OfrepError.of(error, flag) from None
    return json_reply(_flag(flag, answer, visitor, grant.site))


def handle_flags(request: ClientRequest, *, now_us: int) -> Reply:
    """Evaluate every flag for one context; 304 when the answers are those that the client has.

    Raises: OfrepError 400 or 401.
    """
    grant, visitor, attributes = _context(request, "")
    ruleset = live.ruleset(grant.site)
    flags = []
    if ruleset is not None:
        answers = _assigned(request, grant, visitor, attributes, None)
        flags = [_flag(key, a, visitor, grant.site) for key, a in answers.items() if a.variant is not None]
        flags += [_plain_flag(ruleset, key, visitor, attributes) for key in ruleset.flags]
    body = msgspec.json.encode({"flags": flags, "metadata": {"flagSetId": grant.site}})
    # Of the answers, not of the configuration: the same client asks again with other attributes and the old tag.
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match", ""), etag):
        return Reply(304, b"", headers=headers)
    return Reply(200, body, headers=headers)


def _plain_flag(ruleset: CompiledRuleset, key: str, visitor: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    found, _ = ruleset.features.evaluate(key, Visit({**attributes, "id": visitor}))
    rules = ruleset.flags[key].rules
    if found.source == "force":
        number = int(found.rule_id.rpartition("-")[2])
        reason = "TARGETING_MATCH" if rules[number - 1].share == GRID else "SPLIT"
        variant = f"rule-{number}"
    else:
        reason, variant = ("DEFAULT" if rules else "STATIC"), "default"
    return {
        "key": key,
        "value": found.value,
        "reason": reason,
        "variant": variant,
        "metadata": {"contextId": visitor, "flagSetId": ruleset.site, "version": str(ruleset.version)},
    }


def _assigned(
    request: ClientRequest,
    grant: live.KeyGrant,
    visitor: str,
    attributes: Mapping[str, Any],
    flags: list[str] | None,
) -> dict[str, Assignment]:
    ruleset = live.ruleset(grant.site)
    assert ruleset is not None
    agent = attributes.get("user_agent") if grant.is_server else request.headers.get("user-agent")
    return assign(ruleset, visitor, attributes, flags, is_bot=isinstance(agent, str) and declares_bot(agent))


def _context(request: ClientRequest, flag: str) -> tuple[live.KeyGrant, str, dict[str, Any]]:
    """Return who asks, the visitor and the attributes.

    Raises: OfrepError 400 or 401.
    """
    key = request.headers.get("x-api-key", "")
    asked = bearing(request, key) if key and not request.headers.get("authorization") else request
    try:
        grant = live.authenticate(asked)
        document = msgspec.json.decode(plain_body(request, limit_bytes=MAX_BODY_BYTES) or b"{}")
    except ApiError as error:
        raise OfrepError.of(error, flag) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OfrepError(400, "PARSE_ERROR", f"The body is not JSON: {error}.", flag) from None
    context = document.get("context", {}) if isinstance(document, dict) else None
    if not isinstance(context, dict):
        raise OfrepError(400, "INVALID_CONTEXT", "`context` is not an object.", flag)
    visitor = context.get("targetingKey")
    if not isinstance(visitor, str) or not visitor.strip():
        raise OfrepError(400, "TARGETING_KEY_MISSING", "`context.targetingKey` names no visitor.", flag)
    if len(visitor) > MAX_TARGETING_KEY or "\0" in visitor:
        raise OfrepError(400, "INVALID_CONTEXT", f"`targetingKey` is longer than {MAX_TARGETING_KEY} characters.", flag)
    return grant, visitor, {name: value for name, value in context.items() if name != "targetingKey"}


def _flag(key: str, answer: Assignment, visitor: str, site: str) -> dict[str, Any]:
    return {
        "key": key,
        "value": answer.payload,
        "reason": REASONS.get(answer.reason, "DEFAULT"),
        "variant": answer.variant,
        "metadata": {
            "experiment": key,
            "variationId": answer.index,
            "contextId": visitor,
            "flagSetId": site,
            "version": str(answer.ruleset_version),
        },
    }
