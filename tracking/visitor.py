"""The visitor of one request, for sites that are Django projects themselves: variants, events and identity without HTTP in between.

Whatever is recorded during a request is made durable once, when its response is ready.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import ContextDecorator
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import msgspec

from experiments.core.assign import Assignment, assign
from experiments.core.bots import declares_bot
from experiments.core.features import Visit
from experiments.selectors import live
from tracking import services
from tracking.core.events import ALIAS, EXPOSURE

COOKIE = "_ab"  # the browser client's, so that server and page speak of the same visitor
CONSENT_COOKIE = "_abc"
SOURCE = "django"

_overrides: ContextVar[Mapping[str, str]] = ContextVar("inkling_overrides")


class Visitor:
    """Who makes the request, and what is known of him.

    `is_recorded` is False for robots and for visitors who do not want to be counted; they get variants and leave no trace. `met` are
    the experiments asked for so far with the variants, None outside.
    """

    def __init__(
        self,
        site: str,
        visitor_id: str,
        *,
        attributes: Mapping[str, Any] | None = None,
        agent: str = "",
        is_recorded: bool = True,
    ) -> None:
        self.site = site
        self.id = visitor_id
        self.attributes = dict(attributes or {})
        self.is_bot = declares_bot(agent)
        self.is_recorded = is_recorded and not self.is_bot
        self.met: dict[str, str | None] = {}
        self._events: list[dict[str, Any]] = []
        self._told: set[tuple[str, str]] = set()

    def variant(self, experiment: str) -> str | None:
        """Return the visitor's variant, None outside the experiment; asking is what counts as an exposure."""
        forced = _overrides.get({}).get(experiment)
        if forced is not None:
            return forced
        answer = self._answer(experiment)
        self.met[experiment] = answer.variant if answer is not None and answer.in_experiment else None
        if answer is not None and answer.in_experiment:
            self._expose(experiment, answer)
        return self.met[experiment]

    def value(self, key: str, otherwise: Any = None) -> Any:
        """Return the payload of the visitor's variant, or the value of a flag; `otherwise` where there is neither."""
        ruleset = live.ruleset(self.site)
        if ruleset is None:
            return otherwise
        if key in ruleset.flags:
            return ruleset.features.evaluate(key, Visit({**self.attributes, "id": self.id}))[0].value
        forced = _overrides.get({}).get(key)
        experiment = ruleset.experiments.get(key)
        if experiment is not None and forced is not None and forced in experiment.previews:
            return experiment.previews[forced].payload
        answer = self._answer(key)
        if answer is None:
            return otherwise
        if answer.in_experiment:
            self._expose(key, answer)
        return answer.payload

    def track(self, name: str, value: float | None = None, **properties: Any) -> None:
        """Note that the visitor did something; properties of other types than JSON's are kept as their text."""
        plain = msgspec.to_builtins(properties, str_keys=True, enc_hook=_plain)
        event: dict[str, Any] = {"name": _plain(name), "visitor_id": self.id, "properties": plain}
        self._note(event if value is None else {**event, "value": float(value)})

    def identify(self, user_id: str) -> None:
        """Say who the visitor is, at login: what either id did counts for both, and the first variant stays."""
        if user_id != self.id:
            user = _plain(user_id)
            self._note({"name": ALIAS, "visitor_id": self.id, "properties": {"alias": user, "user": user}})

    def record(self) -> None:
        """Make what was noted durable. Raises: ApiError 503 when nothing could be stored."""
        events, self._events = self._events, []
        if events:
            services.ingest(site=self.site, events=events, now_us=time.time_ns() // 1000, source=SOURCE)

    def _answer(self, experiment: str) -> Assignment | None:
        ruleset = live.ruleset(self.site)
        if ruleset is None or experiment not in ruleset.experiments:
            return None
        return assign(ruleset, self.id, self.attributes, [experiment], is_bot=self.is_bot)[experiment]

    def _expose(self, experiment: str, answer: Assignment) -> None:
        assert answer.variant is not None
        if (experiment, answer.variant) in self._told:
            return
        self._told.add((experiment, answer.variant))
        properties = {"experiment": _plain(experiment), "variant": answer.variant}
        self._note({"name": EXPOSURE, "visitor_id": self.id, "properties": properties})

    def _note(self, event: dict[str, Any]) -> None:
        if self.is_recorded:
            self._events.append({**event, "context": dict(self.attributes)} if event["name"] != ALIAS else event)


def _plain(value: object) -> str:
    """Return a plain text; Django's templates hand over a kind of their own."""
    return "".join((str(value),))


def new_visitor_id() -> str:
    return secrets.token_hex(16)


class override_variant(ContextDecorator):
    """Give every visitor this variant, in a test; nothing is recorded for it. A context manager and a decorator.

    `with override_variant("cta", "bold"): ...`
    """

    def __init__(self, experiment: str, variant: str) -> None:
        self._one = {experiment: variant}
        self._tokens: list[Any] = []

    def __enter__(self) -> override_variant:
        self._tokens.append(_overrides.set({**_overrides.get({}), **self._one}))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _overrides.reset(self._tokens.pop())
