"""What an import wants to exist: metrics, variants and their roles, worked out from the options and the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from experiments.core.metric_kinds import METRIC_KINDS, StatisticKind
from experiments.core.metrics import Conversion, Role
from tracking.importing.failure import ImportFault
from tracking.importing.naming import key_from, keys_from

MOST_AUTOMATIC_METRICS = 100
DEFAULT_MARGIN = 0.1

# Event names that mean the business goal in most logs, surest first; compared without case, spaces and punctuation.
MACRO_NAMES = (
    "purchase",
    "ordercompleted",
    "checkoutcompleted",
    "order",
    "transaction",
    "payment",
    "paid",
    "subscription",
    "subscribe",
)
CONTROL_NAMES = ("control", "baseline", "original")


@dataclass(frozen=True, slots=True)
class MetricWish:
    """A metric that must exist. `column` is where a visitor table holds it; `below` the column below a ratio's line."""

    key: str
    name: str
    event: str
    kind: str = "conversion"
    conversion: Conversion = Conversion.SECONDARY
    column: str = ""
    below: str | None = None
    funnel_order: int | None = None


def metric_from(text: str) -> MetricWish:
    """Read `NAME:KIND:CONVERSION`; a ratio is written `NAME/BELOW:ratio:CONVERSION`.

    Raises: ImportFault that says which part cannot be read.
    """
    parts = text.rsplit(":", 2)
    if len(parts) != 3 or not all(parts):
        raise ImportFault(f"--metric '{text}' is not NAME:KIND:CONVERSION, for example spend:value_sum:macro.")
    column, kind_key, conversion = parts
    kind = METRIC_KINDS.get(kind_key)
    if kind is None:
        raise ImportFault(f"--metric '{text}': there is no kind '{kind_key}'. Use one of {', '.join(METRIC_KINDS)}.")
    if conversion not in list(Conversion):
        raise ImportFault(f"--metric '{text}': '{conversion}' is no conversion. Use one of {', '.join(Conversion)}.")
    below = None
    if kind.statistic is StatisticKind.RATIO:
        column, slash, below = column.rpartition("/")
        if not (slash and column and below):
            raise ImportFault(f"--metric '{text}': a ratio needs two columns, for example revenue/orders:ratio:macro.")
    key = key_from(column) if below is None else key_from(f"{column}-per-{below}")
    return MetricWish(
        key=key,
        name=column if below is None else f"{column} per {below}",
        event=key_from(column),
        kind=kind_key,
        conversion=Conversion(conversion),
        column=column,
        below=below,
    )


def metrics_from_events(
    counts: Mapping[str, int], conversions: Mapping[str, Conversion], expose_on: str | None
) -> list[MetricWish]:
    """Return a conversion metric for each event name, the most frequent first and at most a hundred.

    Names that `conversions` mentions always come in. Without a macro among those, a name that usually means the goal is
    taken as the macro. Milestones get their funnel order from the order of `conversions`.
    """
    check_names("--conversion", conversions, counts)
    if expose_on is not None:
        check_names("--expose-on", [expose_on], counts)
    usable = [n for n in counts if n != expose_on and not n.startswith("$") and len(n) <= 200]
    by_frequency = sorted(usable, key=lambda n: (n not in conversions, -counts[n], n))
    keys = keys_from(usable)
    chosen = dict(conversions)
    goal = None if Conversion.MACRO in chosen.values() else guessed_macro(usable)
    if goal is not None:
        chosen.setdefault(goal, Conversion.MACRO)
    wishes = {
        name: MetricWish(key=keys[name], name=name, event=name, conversion=chosen.get(name, Conversion.SECONDARY))
        for name in by_frequency[:MOST_AUTOMATIC_METRICS]
    }
    first = [wishes.pop(name) for name in conversions if name in wishes]
    return with_funnel_order([*first, *wishes.values()])


def with_funnel_order(wishes: Iterable[MetricWish]) -> list[MetricWish]:
    """Number the milestones in the order in which they come."""
    numbered, step = [], 0
    for wish in wishes:
        is_milestone = wish.conversion is Conversion.MILESTONE
        step += is_milestone
        numbered.append(replace(wish, funnel_order=step) if is_milestone else wish)
    return numbered


def guessed_macro(names: Iterable[str]) -> str | None:
    """Return the name that most likely is the business goal; None when none looks like it."""
    bare = {re.sub(r"[^a-z]", "", name.lower()): name for name in sorted(names, reverse=True)}
    return next((bare[word] for word in MACRO_NAMES if word in bare), None)


def check_names(option: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Check that the file holds these names. Raises: ImportFault that names the nearest."""
    held = list(known)
    for name in names:
        if name not in held:
            near = get_close_matches(name, held, n=3, cutoff=0.5)
            hint = (
                f"Did you mean {' or '.join(map(repr, near))}?"
                if near
                else f"It has {', '.join(map(repr, held[:20]))}."
            )
            raise ImportFault(f"{option} names '{name}', which is not in the file. {hint}")


def control_among(names: Sequence[str], wanted: str | None) -> str:
    """Return which of the file's variants is the control: the wanted one, else one that is called so, else the first.

    Raises: ImportFault when the wanted one is not there.
    """
    ordered = sorted(names)
    if wanted is not None:
        for same in (
            lambda n: n == wanted,
            lambda n: key_from(n) == key_from(wanted),
            lambda n: n.lower() == wanted.lower(),
        ):
            found = next(filter(same, ordered), None)
            if found is not None:
                return found
        check_names("--control", [wanted], ordered)
    lower = {name.lower(): name for name in reversed(ordered)}
    return next((lower[word] for word in CONTROL_NAMES if word in lower), ordered[0])


def pairs_from(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Read `NAME=VALUE` options; several may stand in one, with commas between.

    Raises: ImportFault when one has no equals sign.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        for part in re.split(r",(?=[^,=]+=)", text):
            name, equals, value = part.partition("=")
            if not (equals and name.strip() and value.strip()):
                raise ImportFault(f"{option} '{part}' is not NAME=VALUE.")
            pairs[name.strip()] = value.strip()
    return pairs


def roles_from(texts: Iterable[str]) -> dict[str, tuple[Role, float | None]]:
    """Read `NAME=ROLE`; a guardrail may carry its margin, as in `purchase=guardrail:0.05`.

    Raises: ImportFault when a role or margin cannot be read.
    """
    roles: dict[str, tuple[Role, float | None]] = {}
    for name, value in pairs_from("--role", texts).items():
        word, colon, margin_text = value.partition(":")
        if word not in list(Role):
            raise ImportFault(f"--role {name}={value}: there is no role '{word}'. Use one of {', '.join(Role)}.")
        margin = None
        if Role(word) is Role.GUARDRAIL:
            margin = number_from(f"--role {name}={value}", margin_text) if colon else DEFAULT_MARGIN
            if not 0 < margin < 1:
                raise ImportFault(f"--role {name}={value}: a margin lies between 0 and 1, for example 0.1 for 10 %.")
        elif colon:
            raise ImportFault(f"--role {name}={value}: only a guardrail has a margin.")
        roles[name] = (Role(word), margin)
    return roles


def number_from(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ImportFault(f"{option}: '{text}' is not a number.") from None
