"""Assignments: which variant of each experiment a visitor gets, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from experiments.core.browser import browser_features
from experiments.core.bucketing import GRID, bucket_ranges
from experiments.core.features import Features
from experiments.core.flags import Flag
from experiments.core.layers import holdout_filter, layer_filter
from experiments.core.lifecycle import Status
from experiments.core.payload import Payload, features_of, payload_of, safe_condition
from experiments.core.ruleset import ExperimentRule, Ruleset
from experiments.core.targeting import SavedGroups, compile_condition
from experiments.core.trial import REFUSALS, Placement, Reason, Trial, compile_trial


class Assignment(msgspec.Struct, frozen=True, dict=True):
    """The variant that a visitor gets of one experiment.

    Outside the experiment the control is served with `in_experiment` false; only visitors with `in_experiment` true
    may be exposed and counted. `variant` and `index` are None for an experiment that does not exist.
    """

    variant: str | None
    index: int | None
    payload: Any
    reason: Reason
    in_experiment: bool
    ruleset_version: int

    @cached_property
    def wire(self) -> msgspec.Raw:
        """The assignment as the client API's JSON; encoded once, since one object answers very many requests."""
        return msgspec.Raw(
            msgspec.json.encode(
                {
                    "variant": self.variant,
                    "index": self.index,
                    "payload": self.payload,
                    "reason": self.reason,
                    "in_experiment": self.in_experiment,
                }
            )
        )


@dataclass(frozen=True, slots=True)
class CompiledExperiment:
    """One rule, with every possible answer made beforehand: an assignment only picks one.

    `place` is None while the experiment does not run; `shipped` then says what visitors get of one whose winner was shipped.
    """

    key: str
    is_client_safe: bool
    place: Callable[[Mapping[str, Any]], Placement] | None
    outcomes: Mapping[Placement, Assignment]
    not_running: Assignment
    bot: Assignment
    forced: Mapping[str, Assignment]
    previews: Mapping[str, Assignment]
    shipped: Callable[[Mapping[str, Any]], Assignment | None] | None = None


@dataclass(frozen=True, slots=True)
class CompiledRuleset:
    """A ruleset ready to assign from, and `payload`, what GrowthBook's SDKs read; immutable, so any number of threads share one.

    `browser` is what our browser client evaluates, as JSON; `features` evaluates everything in the payload, flags among them.
    """

    site: str
    version: int
    experiments: Mapping[str, CompiledExperiment]
    listed: tuple[CompiledExperiment, ...]
    forced_drafts: Mapping[str, tuple[CompiledExperiment, ...]]
    unknown: Assignment
    payload: Payload
    browser: bytes
    flags: Mapping[str, Flag]
    features: Features

    def has_variant(self, experiment: str, variant: str) -> bool:
        """Say whether the ruleset knows this variant of this experiment."""
        found = self.experiments.get(experiment)
        return found is not None and variant in found.previews


def trial_of_rule(rule: ExperimentRule, saved_groups: SavedGroups) -> Trial:
    """Read a rule as the engine's own value: ranges from weights and traffic, filters from layer and holdout."""
    attribute = rule.hash_attribute
    return Trial(
        seed=rule.seed,
        ranges=bucket_ranges(len(rule.variants), rule.traffic / GRID, rule.weights),
        hash_attribute=attribute,
        holdouts=(holdout_filter(rule.holdout.seed, rule.holdout.share, attribute),) if rule.holdout else (),
        layers=(layer_filter(rule.layer.seed, rule.layer.start, rule.layer.end, attribute),) if rule.layer else (),
        # The same form that clients get, or they would disagree about a visitor of whom an attribute is not known.
        condition=compile_condition(safe_condition(rule.audience), saved_groups) if rule.audience else None,
    )


def compile_ruleset(ruleset: Ruleset) -> CompiledRuleset:
    """Prepare a ruleset for assigning: once per published version."""
    compiled = [_compile_rule(rule, ruleset.saved_groups, ruleset.version) for rule in ruleset.experiments]
    drafts: dict[str, list[CompiledExperiment]] = {}
    for experiment in compiled:
        if not experiment.is_client_safe:
            for visitor_id in experiment.forced:
                drafts.setdefault(visitor_id, []).append(experiment)
    return CompiledRuleset(
        site=ruleset.site,
        version=ruleset.version,
        experiments={experiment.key: experiment for experiment in compiled},
        listed=tuple(experiment for experiment in compiled if experiment.is_client_safe),
        forced_drafts={visitor_id: tuple(found) for visitor_id, found in drafts.items()},
        unknown=Assignment(None, None, {}, Reason.UNKNOWN_EXPERIMENT, False, ruleset.version),
        payload=payload_of(ruleset),
        browser=msgspec.json.encode(browser_features(ruleset)),
        flags={flag.key: flag for flag in ruleset.flags},
        features=Features(features_of(ruleset), ruleset.saved_groups),
    )


def _compile_rule(rule: ExperimentRule, saved_groups: SavedGroups, version: int) -> CompiledExperiment:
    def answer(index: int, reason: Reason) -> Assignment:
        variant = rule.variants[index]
        return Assignment(variant.key, index, variant.payload, reason, reason is Reason.ASSIGNED, version)

    control = rule.control_index
    outcomes: dict[Placement, Assignment] = {i: answer(i, Reason.ASSIGNED) for i in range(len(rule.variants))}
    outcomes |= {placement: answer(control, reason) for placement, reason in REFUSALS.items()}
    return CompiledExperiment(
        key=rule.key,
        is_client_safe=rule.is_client_safe,
        place=compile_trial(trial_of_rule(rule, saved_groups)) if rule.status is Status.RUNNING else None,
        outcomes=outcomes,
        not_running=answer(control, Reason.NOT_RUNNING),
        bot=answer(control, Reason.BOT),
        forced={
            visitor_id: answer(i, Reason.FORCED)
            for i, variant in enumerate(rule.variants)
            for visitor_id in variant.forced_visitors
        },
        previews={variant.key: answer(i, Reason.FORCED) for i, variant in enumerate(rule.variants)},
        shipped=_shipped(rule, saved_groups, answer),
    )


def _shipped(
    rule: ExperimentRule, saved_groups: SavedGroups, answer: Callable[[int, Reason], Assignment]
) -> Callable[[Mapping[str, Any]], Assignment | None] | None:
    if rule.shipped_variant is None:
        return None
    everybody = answer(rule.variants.index(rule.shipped_variant), Reason.FORCED)
    if not rule.audience:
        return lambda attributes: everybody
    is_meant = compile_condition(safe_condition(rule.audience), saved_groups)
    return lambda attributes: everybody if is_meant(attributes) else None


def assign(
    compiled: CompiledRuleset,
    visitor_id: str,
    attributes: Mapping[str, Any],
    experiments: Iterable[str] | None = None,
    forced: Mapping[str, str] | None = None,
    *,
    is_bot: bool = False,
) -> dict[str, Assignment]:
    """Return an assignment for each of `experiments` (None: every experiment that has started).

    `forced` maps experiment keys to variant keys, as a checked preview link asks; like the visitors forced in the
    ruleset they see the variant whatever the status, and are never in the experiment. The attribute `id` is always
    `visitor_id`.
    """
    known = compiled.experiments
    answers: dict[str, Assignment] = {}
    chosen: list[CompiledExperiment] | tuple[CompiledExperiment, ...]
    if experiments is None:
        chosen = compiled.listed
        if visitor_id in compiled.forced_drafts:
            chosen = (*chosen, *compiled.forced_drafts[visitor_id])
        if forced:
            chosen = (*chosen, *(known[key] for key in forced if key in known and not known[key].is_client_safe))
    else:
        chosen = []
        for key in experiments:
            found = known.get(key)
            if found is None:
                answers[key] = compiled.unknown
            else:
                chosen.append(found)
    attributes = {**attributes, "id": visitor_id}
    for experiment in chosen:
        preview = experiment.previews.get(forced[experiment.key]) if forced and experiment.key in forced else None
        if preview is not None:
            answer = preview
        elif visitor_id in experiment.forced:
            answer = experiment.forced[visitor_id]
        elif experiment.place is None:
            shipped = experiment.shipped(attributes) if experiment.shipped is not None else None
            answer = shipped or experiment.not_running
        elif is_bot:
            answer = experiment.bot
        else:
            answer = experiment.outcomes[experiment.place(attributes)]
        answers[experiment.key] = answer
    return answers
