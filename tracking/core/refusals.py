"""Why an event was refused: one code for machines, and for people a sentence with the value and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_NAME = 200
MAX_VISITOR_ID = 256
MAX_EVENT_ID = 200
MAX_SESSION_ID = 256
MAX_PROPERTIES_BYTES = 16 * 1024
MAX_DEPTH = 8
FUTURE_SECONDS = 300

# code -> (message, advice); {field} and {value} are filled in.
_TEXTS: dict[str, tuple[str, str]] = {
    "event_malformed": ("The event cannot be read as JSON.", "Send a JSON object per event."),
    "event_not_an_object": ("The event is {value}, not an object.", 'Send {{"name": ..., "visitor_id": ...}}.'),
    "unknown_field": (
        "An event has no field {value}.",
        "Put your own data into `properties`; check the spelling of the field.",
    ),
    "name_missing": ("The event has no name.", "Send `name`, for example `purchase`."),
    "name_malformed": ("The name is {value}, which is not plain text.", "Send `name` as text without NUL characters."),
    "name_too_long": (f"The name {{value}} is longer than {MAX_NAME} characters.", "Choose a shorter name."),
    "reserved_name": (
        "The name {value} begins with `$`, which is reserved.",
        "Choose a name without `$`; `$exposure` and `$alias` are the only reserved names you can send.",
    ),
    "visitor_id_missing": ("The event has no visitor.", "Send `visitor_id`, the id you also ask assignments for."),
    "visitor_id_malformed": (
        "The visitor id is {value}, which is not plain text.",
        'Send `visitor_id` as text without NUL characters, for example "1234".',
    ),
    "visitor_id_too_long": (
        f"The visitor id {{value}} is longer than {MAX_VISITOR_ID} characters.",
        "Send a shorter id, for example a UUID.",
    ),
    "event_id_malformed": (
        "The event id is {value}, which is empty or not plain text.",
        "Send `event_id` as text, for example a UUID, or leave it out.",
    ),
    "event_id_too_long": (
        f"The event id {{value}} is longer than {MAX_EVENT_ID} characters.",
        "Send a shorter id, for example a UUID.",
    ),
    "session_id_malformed": ("The session id is {value}, which is not plain text.", "Send `session_id` as text."),
    "session_id_too_long": (
        f"The session id {{value}} is longer than {MAX_SESSION_ID} characters.",
        "Send a shorter id, for example a UUID.",
    ),
    "timestamp_malformed": (
        "The timestamp {value} is not a time.",
        "Send ISO 8601 with an offset, for example 2026-03-01T12:00:00Z, or seconds or milliseconds since 1970; "
        "or leave it out to use the time of arrival.",
    ),
    "event_in_future": (
        "The event is dated {value} ahead of the server clock.",
        "Send `timestamp` in UTC and `sent_at` with the sender's clock, or leave both out to use the time of arrival.",
    ),
    "event_too_old": (
        "The event is dated {value}, which is before the days this site keeps.",
        "Send events within the site's retention, or raise the retention in the admin first.",
    ),
    "value_not_a_number": (
        "The value is {value}, which is not a finite number.",
        "Send `value` as a JSON number, or leave it out.",
    ),
    "properties_not_an_object": ("`{field}` is {value}, not an object.", "Send `{field}` as a JSON object."),
    "properties_malformed": (
        "`{field}` holds {value}, which JSON text cannot carry.",
        "Send finite numbers and well-formed Unicode text only.",
    ),
    "properties_too_large": (
        f"`{{field}}` takes {{value}} bytes; the most is {MAX_PROPERTIES_BYTES}.",
        "Send only what metrics and segments need.",
    ),
    "properties_too_deep": (
        f"`{{field}}` is nested more than {MAX_DEPTH} levels deep.",
        "Send a flatter object.",
    ),
    "exposure_without_experiment": (
        "The exposure names no experiment: `properties.experiment` is {value}.",
        "Send the experiment's key as text.",
    ),
    "exposure_without_variant": (
        "The exposure names no variant: `properties.variant` is {value}.",
        "Send the variant's key as text.",
    ),
    "alias_missing": (
        "The alias names no second identity: `properties.alias` is {value}.",
        "Send the visitor's other id as text in `properties.alias`.",
    ),
    "alias_of_itself": (
        "The alias {value} is the visitor id itself.",
        "Send the anonymous id as `properties.alias` and the known id as `visitor_id`.",
    ),
    "alias_user_unknown": (
        "`properties.user` is {value}, which is neither of the two ids.",
        "Name the one of `visitor_id` and `properties.alias` that is a known user, or leave it out.",
    ),
}
CODES = frozenset(_TEXTS)


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused event of a batch. `index` is its place in the batch, from 0."""

    index: int
    code: str
    message: str
    advice: str

    def to_document(self) -> dict[str, Any]:
        return {"index": self.index, "code": self.code, "message": self.message, "advice": self.advice}


class Refusal(Exception):
    """Raised inside the judge for one event; never leaves it."""

    def __init__(self, code: str, value: Any = None, field: str = "properties") -> None:
        super().__init__(code)
        self.code = code
        self.value = value
        self.field = field

    def rejection(self, index: int) -> Rejection:
        message, advice = _TEXTS[self.code]
        shown = {"value": _shown(self.value), "field": self.field}
        return Rejection(index, self.code, message.format(**shown), advice.format(**shown))


@dataclass(frozen=True, slots=True)
class Plain:
    """A value to show as it is, without quotes."""

    text: str


def _shown(value: Any) -> str:
    if isinstance(value, Plain):
        return value.text
    if isinstance(value, str) and len(value) > 60:
        value = value[:57] + "..."
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
