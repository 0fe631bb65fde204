"""Start, pause, resume, stop, archive and clone: a page that says what will happen, then the deed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from experiments import services
from experiments.core.lifecycle import Action, Status, TransitionRefused, allowed_actions, transition_for
from experiments.core.readiness import Obstacle
from experiments.core.refusal import Refused
from experiments.models import Experiment, key_validator
from experiments.selectors.experiments import start_obstacles

CLONE = "clone"


@dataclass(frozen=True, slots=True)
class Deed:
    """One button: what it is called, what it will do, and the service that does it."""

    key: str
    label: str
    done: str
    icon: str
    consequence: str
    is_dangerous: bool
    run: Callable[[Experiment, datetime, User, Mapping[str, Any]], Experiment]


def _start(e: Experiment, now: datetime, by: User, values: Mapping[str, Any]) -> Experiment:
    return services.start_experiment(experiment=e, now=now, by=by)


def _pause(e: Experiment, now: datetime, by: User, values: Mapping[str, Any]) -> Experiment:
    return services.pause_experiment(experiment=e, now=now, by=by)


def _resume(e: Experiment, now: datetime, by: User, values: Mapping[str, Any]) -> Experiment:
    return services.resume_experiment(experiment=e, now=now, by=by)


def _stop(e: Experiment, now: datetime, by: User, values: Mapping[str, Any]) -> Experiment:
    return services.stop_experiment(experiment=e, reason=values["reason"], ship=values.get("ship", ""), now=now, by=by)


def _archive(e: Experiment, now: datetime, by: User, values: Mapping[str, Any]) -> Experiment:
    return services.archive_experiment(experiment=e, now=now, by=by)


def _clone(e: Experiment, now: datetime, by: User, values: Mapping[str, Any]) -> Experiment:
    return services.clone_experiment(
        experiment=e, key=values.get("key", ""), name=values.get("name", ""), now=now, by=by
    )


DEEDS: tuple[Deed, ...] = (
    Deed(
        Action.START,
        "Start",
        "started",
        "play_arrow",
        "Visitors are assigned from now on. Variants, weights, audience, metrics, roles and margins are frozen, and the "
        "plan gets a hash that every report shows. You can still change the traffic and the end "
        "date, and add exploratory metrics.",
        False,
        _start,
    ),
    Deed(
        Action.PAUSE,
        "Pause",
        "paused",
        "pause",
        "Every visitor gets the control until you resume; then each returns to the variant of before. Use it when something "
        "is broken: a long pause mixes two experiences in one comparison.",
        False,
        _pause,
    ),
    Deed(
        Action.RESUME,
        "Resume",
        "resumed",
        "play_arrow",
        "Visitors are assigned again, each to the same variant as before the pause.",
        False,
        _resume,
    ),
    Deed(
        Action.STOP,
        "Stop",
        "stopped",
        "stop",
        "This is final, and it cannot be started again. Every visitor gets the control, unless you ship a variant below. The report stays, "
        "with your reason.",
        True,
        _stop,
    ),
    Deed(
        Action.ARCHIVE,
        "Archive",
        "archived",
        "archive",
        "It leaves the lists and the clients' rules. Its report stays readable.",
        False,
        _archive,
    ),
    Deed(
        CLONE,
        "Clone",
        "cloned",
        "content_copy",
        "A new draft with the same variants, audience and metrics. Visitors are dealt afresh when it starts.",
        False,
        _clone,
    ),
)
BY_KEY: dict[str, Deed] = {deed.key: deed for deed in DEEDS}


def possible_deeds(experiment: Experiment) -> tuple[Deed, ...]:
    """Return the buttons that make sense for an experiment as it is; cloning always does."""
    allowed = allowed_actions(Status(experiment.status))
    return tuple(d for d in DEEDS if d.key == CLONE or d.key in allowed)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A selected experiment, and what keeps the deed from being done to it."""

    experiment: Experiment
    obstacles: tuple[Obstacle, ...]


def candidates(deed: Deed, experiments: Sequence[Experiment], now: datetime) -> list[Candidate]:
    return [Candidate(e, _obstacles(deed, e, now)) for e in experiments]


def _obstacles(deed: Deed, experiment: Experiment, now: datetime) -> tuple[Obstacle, ...]:
    if deed.key == CLONE:
        return ()
    try:
        transition_for(Action(deed.key), Status(experiment.status), reason="asked for on this page")
    except TransitionRefused as refusal:
        return (Obstacle(refusal.code, refusal.message, refusal.advice),)
    return start_obstacles(experiment, now) if deed.key == Action.START else ()


def hopeless_words(experiment: Experiment) -> str:
    """Say what the simulation found of an experiment that will hardly find anything."""
    found = experiment.forecast
    return (
        f"“{experiment.name}”: a gain of {found['gain'] * 100:g} % at the goal would be shipped in {found['ship'] * 100:.0f} % of cases. "
        "Do not run it as an A/B test: test something bolder, higher in the funnel, or on more pages at once."
    )


class ConfirmForm(forms.Form):
    """What a deed asks for beside a yes."""

    def __init__(self, deed: Deed, experiments: Sequence[Experiment], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if deed.key == Action.STOP:
            self.fields["reason"] = forms.CharField(
                label="Why do you stop it?",
                help_text="One sentence; the report and the archive show it. For example: “B won, rolling it out on Monday.”",
                widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "autofocus": True}),
            )
        if deed.key == Action.STOP and len(experiments) == 1:
            variants = [(v.key, v.name or v.key) for v in experiments[0].variants.all() if not v.is_control]
            self.fields["ship"] = forms.ChoiceField(
                label="Ship",
                required=False,
                choices=[("", "Nothing: everybody gets the control"), *variants],
                help_text="Everybody in the audience gets it from now on, over every client, until you have built it in and archive the experiment.",
                widget=UnfoldAdminSelectWidget(),
            )
        hopeless = [e for e in experiments if deed.key == Action.START and e.forecast.get("is_hopeless")]
        if hopeless:
            self.fields["knows_it_is_hopeless"] = forms.BooleanField(
                label="Start it all the same",
                help_text=" ".join(hopeless_words(e) for e in hopeless),
                error_messages={"required": "Tick this to start an experiment that will hardly find anything."},
            )
        if deed.key == CLONE and len(experiments) == 1:
            self.fields["name"] = forms.CharField(
                label="Name of the copy",
                max_length=200,
                initial=f"{experiments[0].name} (copy)"[:200],
                widget=UnfoldAdminTextInputWidget(),
            )
            self.fields["key"] = forms.CharField(
                label="Key of the copy",
                max_length=100,
                required=False,
                validators=[key_validator],
                help_text="Used in code and addresses. Empty: the next free one.",
                widget=UnfoldAdminTextInputWidget(),
            )


def carry_out(
    request: HttpRequest, deed: Deed, experiments: Sequence[Experiment], values: Mapping[str, Any], now: datetime
) -> list[Experiment]:
    """Do the deed to each experiment by itself, tell what happened, and return the experiments it worked for."""
    assert isinstance(request.user, User)
    done = []
    for experiment in experiments:
        try:
            done.append(deed.run(experiment, now, request.user, values))
        except Refused as refusal:
            messages.error(request, f"“{experiment.name}” was not {deed.done}. {refusal.message} {refusal.advice}")
        except ValidationError as error:
            messages.error(request, f"“{experiment.name}” was not {deed.done}. {' '.join(error.messages)}")
        else:
            messages.success(request, f"“{experiment.name}” was {deed.done}.")
    return done
