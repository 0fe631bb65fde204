"""A second column that says the same as the variant column, and the rows where the two contradict each other.

Exports of experiments often hold both the variant that a visitor was given and the page that was shown. A row in which
the two disagree is no clean exposure to either; counting it as one would mix the variants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracking.importing.cells import as_text
from tracking.importing.failure import ImportFault
from tracking.importing.sources.base import Chunk

if TYPE_CHECKING:
    from tracking.importing.profile import Question

AUTO, NONE = "auto", "none"
ENOUGH = 0.95  # share of every variant's rows, and of every other value's rows, that must agree to believe in a rule
MOST_VALUES = 50


@dataclass(frozen=True, slots=True)
class Agreement:
    """The rule `variant v goes with expected[v]`, and how many rows break it."""

    column: str
    expected: Mapping[str, str]
    rows: int
    contradicting: int

    def contradiction(self, variant: str, other: str) -> str | None:
        """Return what a row met when it breaks the rule, such as `treatment with old_page`; None when it keeps it.

        A row that lacks either value contradicts nothing.
        """
        if not variant or not other or self.expected.get(variant) in (None, other):
            return None
        return f"{variant} with {other}"


def counted(values: Iterable[Any]) -> Counter[Any]:
    """Count values; those that cannot be counted as they are (lists in JSON) are counted by their text."""
    kept = list(values)
    try:
        return Counter(kept)
    except TypeError:
        return Counter(tuple(map(str, v)) if isinstance(v, tuple) else str(v) for v in kept)


class AgreementSearch:
    """Counts, for each candidate column, which values go with which variants."""

    def __init__(self, question: Question, columns: tuple[str, ...]) -> None:
        assert question.variant is not None
        self._variant = question.variant
        self._agrees = question.agrees
        if question.agrees == NONE:
            names: list[str] = []
        elif question.agrees == AUTO:
            names = [c for c in columns if c != question.variant and c not in question.mapped]
        else:
            names = [question.agrees]
        self._pairs: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in names}

    def add(self, chunk: Chunk) -> None:
        variants = chunk.columns[self._variant]
        for name in list(self._pairs):
            pairs = self._pairs[name]
            for (variant, other), count in counted(zip(variants, chunk.columns[name], strict=True)).items():
                pairs[as_text(variant), as_text(other)] += count
            if len({other for _, other in pairs}) > MOST_VALUES:
                del self._pairs[name]

    def result(self) -> Agreement | None:
        """Return the agreement found, if one; a column chosen by name is taken as it is.

        Raises: ImportFault when the chosen column cannot be one-to-one with the variants.
        """
        if self._agrees not in (AUTO, NONE):
            pairs = self._pairs.get(self._agrees)
            chosen = _rule(self._agrees, pairs, enough=0.0) if pairs else None
            if chosen is None:
                raise ImportFault(
                    f"--agrees names the column '{self._agrees}', whose values do not go one-to-one with the variants."
                )
            return chosen
        found = [rule for name, pairs in self._pairs.items() if (rule := _rule(name, pairs, enough=ENOUGH))]
        broken = [rule for rule in found if rule.contradicting]
        return max(broken, key=lambda rule: rule.contradicting, default=None)


def _rule(column: str, pairs: Counter[tuple[str, str]], *, enough: float) -> Agreement | None:
    counts = Counter({pair: n for pair, n in pairs.items() if all(pair)})
    by_variant: Counter[str] = Counter()
    by_other: Counter[str] = Counter()
    for (variant, other), n in counts.items():
        by_variant[variant] += n
        by_other[other] += n
    if len(by_variant) < 2 or len(by_variant) != len(by_other):
        return None
    expected = {v: max(by_other, key=lambda other: (counts[v, other], other)) for v in by_variant}
    if len(set(expected.values())) != len(expected):
        return None
    for variant, other in expected.items():
        if counts[variant, other] < enough * max(by_variant[variant], by_other[other]):
            return None
    rows = sum(counts.values())
    return Agreement(column, expected, rows, rows - sum(counts[v, other] for v, other in expected.items()))
