"""How each verdict looks: its name for people, a tone, and a mark that tells it apart without colour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerdictLook:
    """`tone` is one of good, bad, warn, wait, quiet; `mark` names a drawing of templates/reports/marks.html."""

    state: str
    title: str
    tone: str
    mark: str


LOOKS: tuple[VerdictLook, ...] = (
    VerdictLook("ship", "Ship it", "good", "check"),
    VerdictLook("harm", "Do not ship: it does harm", "bad", "cross"),
    VerdictLook("conflict", "Do not ship: small steps up, goal down", "bad", "cross"),
    VerdictLook("promising_macro_unproven", "Promising, not proven", "wait", "hourglass"),
    VerdictLook("no_decision_yet", "Keep running", "wait", "hourglass"),
    VerdictLook("too_early", "Too early to tell", "wait", "hourglass"),
    VerdictLook("no_effect", "No gain", "quiet", "equals"),
    VerdictLook("inconclusive", "No clear answer", "quiet", "equals"),
    VerdictLook("invalid", "Do not trust these numbers", "warn", "alert"),
    # Not states of the analysis: what the page shows while there is none.
    VerdictLook("waiting", "Waiting for the first answer", "wait", "hourglass"),
    VerdictLook("no_answer", "No answer", "warn", "alert"),
    VerdictLook("not_started", "Not started", "quiet", "dash"),
)
_BY_STATE = {look.state: look for look in LOOKS}


def look_of(state: str) -> VerdictLook:
    """Return the look of a verdict's state; a state of a newer analysis than this page shows by its own name."""
    known = _BY_STATE.get(state)
    return known or VerdictLook(state, state.replace("_", " ").capitalize(), "quiet", "dash")
