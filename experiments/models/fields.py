"""What several models ask of their fields: the grid of shares, keys, lists of text, property filters."""

from __future__ import annotations

import math
import secrets
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from experiments.core.covariates import covariates_from_texts
from experiments.core.metrics import property_tests
from experiments.core.recipes import autocapture_problem

GRID = 10_000  # weights, traffic, layer ranges and holdouts are counted in 1/10,000

key_validator = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z",
    "Use letters, digits, dot, underscore and hyphen only, up to 100 characters; it appears in code and addresses.",
)
# Variants and metrics appear in data and code but never in addresses, so imported names such as "Mens E-Mail" may stay.
label_key_validator = RegexValidator(
    r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?\Z",
    "Use up to 100 printable characters, without a space at either end; it is spelt the same in code and in data.",
)
RESERVED_KEYS = frozenset({"planner", "insight", "proxies"})


def validate_not_reserved(value: str) -> None:
    """Refuse a key that is the address of a page beside the reports."""
    if value.lower() in RESERVED_KEYS:
        raise ValidationError(
            f"'{value}' is the address of a page of Inkling's own, so no report could be found under it. Use another key.",
            code="key_reserved",
        )


currency_validator = RegexValidator(r"^[A-Z]{3}\Z", "Use the three capital letters of ISO 4217, for example EUR.")


def choices_of(enum: type) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ").capitalize()) for member in enum]  # type: ignore[attr-defined]


def new_seed() -> str:
    """Return a seed that no other experiment, layer or holdout has."""
    return secrets.token_hex(10)


def validate_time_zone(value: str) -> None:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValidationError(
            f"'{value}' is not a time zone. Use a name like Europe/Lisbon or UTC.", code="time_zone_unknown"
        ) from error


def validate_storable(value: Any) -> None:
    """Refuse JSON that some database, browser or SDK could not hold: NaN, infinity, NUL and halves of characters."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValidationError(f"{value} is not a number that JSON knows.", code="not_json")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValidationError("The text holds half of a character.", code="not_text") from error
        if "\0" in value:
            raise ValidationError("The text holds a NUL character.", code="not_text")
    if isinstance(value, dict):
        for key, entry in value.items():
            validate_storable(key)
            validate_storable(entry)
    if isinstance(value, list):
        for entry in value:
            validate_storable(entry)


def validate_text_list(value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise ValidationError('Write a JSON list of texts, for example ["a", "b"].', code="not_a_list_of_text")
    validate_storable(value)


def validate_covariates(value: Any) -> None:
    validate_text_list(value)
    try:
        covariates_from_texts(value)
    except ValueError as error:
        raise ValidationError(str(error), code="covariate_unknown") from error


def validate_origins(value: Any) -> None:
    validate_text_list(value)
    for origin in value:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            raise ValidationError(
                f"'{origin}' is not an origin. Write scheme and host only, without a path or a slash at the end, "
                "for example https://shop.example.",
                code="not_an_origin",
            )


def validate_object(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValidationError('Write a JSON object, for example {"country": "PT"}.', code="not_an_object")
    validate_storable(value)


def validate_autocapture(value: Any) -> None:
    problem = autocapture_problem(value)
    if problem:
        raise ValidationError(problem, code="autocapture_invalid")


def validate_property_filters(value: Any) -> None:
    try:
        property_tests(value)
    except ValueError as error:
        raise ValidationError(str(error), code="property_filter_invalid") from error
    validate_storable(value)
