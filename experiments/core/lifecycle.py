"""The life of an experiment as a table: which status may follow which, and what each change needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from experiments.core.refusal import Refused


class Status(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ARCHIVED = "archived"


class Action(StrEnum):
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed change. Every change publishes the ruleset, so that clients see it."""

    action: Action
    sources: frozenset[Status]
    target: Status
    needs_reason: bool = False
    freezes_plan: bool = False


TRANSITIONS: tuple[Transition, ...] = (
    Transition(Action.START, frozenset({Status.DRAFT}), Status.RUNNING, freezes_plan=True),
    Transition(Action.PAUSE, frozenset({Status.RUNNING}), Status.PAUSED),
    Transition(Action.RESUME, frozenset({Status.PAUSED}), Status.RUNNING),
    Transition(Action.STOP, frozenset({Status.RUNNING, Status.PAUSED}), Status.STOPPED, needs_reason=True),
    Transition(Action.ARCHIVE, frozenset({Status.DRAFT, Status.STOPPED}), Status.ARCHIVED),
)

# What may still change once the plan is frozen, and the sentence that says why the rest may not.
LABELS = frozenset({"name", "description", "owner", "tags"})
EDITABLE_AFTER_START = LABELS | {"traffic", "ends_at"}
FROZEN_REASON = (
    "This experiment has started, so its plan is frozen: changing it now would compare visitors who met different "
    "experiments. You may still change the traffic, the end date and add exploratory metrics; for anything else clone it."
)
OVER_REASON = (
    "This experiment is over. Its name, description, owner and tags may change, and exploratory metrics may be added; "
    "for anything else clone it."
)


def editable_fields(status: Status, *, is_started: bool) -> frozenset[str] | None:
    """Return the fields that may change now; None means all of them."""
    if not is_started:
        return None
    return EDITABLE_AFTER_START if status in (Status.RUNNING, Status.PAUSED) else LABELS


def frozen_reason(status: Status) -> str:
    """Return the sentence that says why the rest of a started experiment may not change."""
    return FROZEN_REASON if status in (Status.RUNNING, Status.PAUSED) else OVER_REASON


class TransitionRefused(Refused):
    """An action that the table does not allow."""


def transition_for(action: Action, status: Status, *, reason: str = "") -> Transition:
    """Return the transition that `action` makes from `status`.

    Raises: TransitionRefused with code `wrong_status` or `reason_missing`.
    """
    transition = next(t for t in TRANSITIONS if t.action is action)
    if status not in transition.sources:
        allowed = " or ".join(sorted(transition.sources))
        raise TransitionRefused(
            "wrong_status",
            f"You cannot {action} an experiment that is {status}.",
            f"Only a {allowed} experiment can be changed this way.",
        )
    if transition.needs_reason and not reason.strip():
        raise TransitionRefused(
            "reason_missing",
            f"You cannot {action} an experiment without saying why.",
            "Write one sentence: the report and the archive show it.",
        )
    return transition


def allowed_actions(status: Status) -> tuple[Action, ...]:
    """Return the actions that are possible from `status`, in the order of the table."""
    return tuple(t.action for t in TRANSITIONS if status in t.sources)
