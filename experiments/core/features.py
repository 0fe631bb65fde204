"""GrowthBook's features and inline experiments, evaluated by the same engine as our own assignments.

It reads the payload that GrowthBook SDKs read, so the official case file proves the engine, and a ruleset published in
that form can be checked here before any SDK sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from experiments.core.bucketing import bucket, bucket_ranges, hash_text
from experiments.core.layers import Filter, namespace_filter
from experiments.core.targeting import SavedGroups, compile_condition
from experiments.core.trial import Trial, compile_trial

_EXPERIMENT_FIELDS = (
    *("key", "name", "phase", "variations", "weights", "coverage", "ranges", "meta", "seed", "namespace", "filters"),
    *("hashAttribute", "hashVersion", "fallbackAttribute", "disableStickyBucketing", "bucketVersion"),
    *("minBucketVersion", "condition"),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """A visitor as an SDK describes him, with what his page or test bench overrides."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""
    forced_variations: Mapping[str, int] = field(default_factory=dict)
    is_enabled: bool = True
    is_qa: bool = False


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """Which variation of an inline experiment a visitor got. `bucket` is None unless the hash decided."""

    key: str
    variation_id: int
    value: Any
    in_experiment: bool
    hash_used: bool
    hash_attribute: str
    hash_value: Any
    bucket: float | None
    is_passthrough: bool
    feature_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureResult:
    """The value of a feature and where it came from; `experiment` and `result` are set when an experiment gave it."""

    value: Any
    source: str
    rule_id: str = ""
    experiment: Mapping[str, Any] | None = None
    result: ExperimentResult | None = None


class Features:
    """A payload of features and saved groups, ready to be evaluated for any number of visits."""

    def __init__(self, features: Mapping[str, Any], saved_groups: SavedGroups | None = None) -> None:
        self._features = features
        self._groups = saved_groups or {}

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._features)

    def evaluate(self, key: str, visit: Visit) -> tuple[FeatureResult, list[tuple[str, ExperimentResult]]]:
        """Return the feature's value for the visit, and the exposures (experiment key, result) that it caused."""
        exposures: list[tuple[str, ExperimentResult]] = []
        return self._evaluate(key, visit, exposures, ()), exposures

    def run(self, experiment: Mapping[str, Any], visit: Visit, feature_id: str | None = None) -> ExperimentResult:
        """Return the variation of an inline experiment for the visit.

        Source: GrowthBook, "Build your own SDK", section on running experiments; the order of its steps.
        """
        return self._run(experiment, visit, feature_id, [], ())

    def _evaluate(
        self, key: str, visit: Visit, exposures: list[tuple[str, ExperimentResult]], path: tuple[str, ...]
    ) -> FeatureResult:
        if key in path:
            return FeatureResult(None, "cyclicPrerequisite")
        feature = self._features.get(key)
        if feature is None:
            return FeatureResult(None, "unknownFeature")
        path = (*path, key)
        for rule in feature.get("rules") or ():
            gate = self._gate(rule.get("parentConditions"), visit, exposures, path)
            if gate in ("cyclicPrerequisite", "prerequisite"):
                return FeatureResult(None, gate)
            if gate == "skip":
                continue
            if "force" in rule:
                if self._is_forced_by(rule, visit, key):
                    return FeatureResult(rule["force"], "force", rule.get("id", ""))
                continue
            if not rule.get("variations"):
                continue
            experiment = {name: rule[name] for name in _EXPERIMENT_FIELDS if name in rule}
            experiment.setdefault("key", key)
            result = self._run(experiment, visit, key, exposures, path)
            if result.in_experiment and not result.is_passthrough:
                return FeatureResult(result.value, "experiment", rule.get("id", ""), experiment, result)
        return FeatureResult(feature.get("defaultValue"), "defaultValue")

    def _gate(
        self,
        parents: Sequence[Mapping[str, Any]] | None,
        visit: Visit,
        exposures: list[tuple[str, ExperimentResult]],
        path: tuple[str, ...],
    ) -> str:
        """Say what prerequisites mean for a rule: `pass`, `skip`, `prerequisite` (the feature is off) or a cycle."""
        for parent in parents or ():
            result = self._evaluate(parent["id"], visit, exposures, path)
            if result.source == "cyclicPrerequisite":
                return result.source
            if not compile_condition(parent.get("condition", {}), self._groups)({"value": result.value}):
                return "prerequisite" if parent.get("gate") else "skip"
        return "pass"

    def _is_forced_by(self, rule: Mapping[str, Any], visit: Visit, key: str) -> bool:
        if not all(f.lets_through(visit.attributes) for f in _filters(rule)):
            return False
        if rule.get("condition") and not compile_condition(rule["condition"], self._groups)(visit.attributes):
            return False
        window, coverage = rule.get("range"), rule.get("coverage")
        if window is None and coverage is None:
            return True
        value = hash_text(visit.attributes.get(rule.get("hashAttribute") or "id"))
        spot = bucket(rule.get("seed") or key, value, rule.get("hashVersion") or 1) if value else None
        if spot is None:
            return False
        if window is not None:
            return bool(window[0] <= spot < window[1])
        # The SDKs compare a rollout's coverage with "up to and including", and coverage 0 lets nobody in.
        return coverage is not None and bool(coverage > 0 and spot <= coverage)

    def _run(
        self,
        experiment: Mapping[str, Any],
        visit: Visit,
        feature_id: str | None,
        exposures: list[tuple[str, ExperimentResult]],
        path: tuple[str, ...],
    ) -> ExperimentResult:
        variations = experiment["variations"]
        key = experiment["key"]
        attribute = experiment.get("hashAttribute") or "id"
        value = visit.attributes.get(attribute) or ""

        def result(index: int, *, by_hash: bool = False, spot: float | None = None) -> ExperimentResult:
            is_in = 0 <= index < len(variations)
            index = index if is_in else 0
            meta = (experiment.get("meta") or [{}] * len(variations))[index]
            return ExperimentResult(
                key=meta.get("key") or str(index),
                variation_id=index,
                value=variations[index],
                in_experiment=is_in,
                hash_used=by_hash and is_in,
                hash_attribute=attribute,
                hash_value=value,
                bucket=spot,
                is_passthrough=bool(meta.get("passthrough")),
                feature_id=feature_id,
                name=meta.get("name"),
            )

        if len(variations) < 2 or not visit.is_enabled:
            return result(-1)
        chosen = query_string_override(key, visit.url, len(variations))
        if chosen is None:
            chosen = visit.forced_variations.get(key)
        if chosen is not None:
            return result(chosen)
        if experiment.get("active") is False:
            return result(-1)
        trial = trial_of(experiment, self._groups)
        placement = compile_trial(trial)(visit.attributes)
        if placement < 0 or self._gate(experiment.get("parentConditions"), visit, exposures, path) != "pass":
            return result(-1)
        if "force" in experiment:
            return result(experiment["force"])
        if visit.is_qa:
            return result(-1)
        outcome = result(placement, by_hash=True, spot=trial.bucket_of(visit.attributes))
        if (key, outcome) not in exposures:  # several rules may ask the same prerequisite; it is one exposure
            exposures.append((key, outcome))
        return outcome


def trial_of(experiment: Mapping[str, Any], saved_groups: SavedGroups) -> Trial:
    """Read an experiment of the payload as the engine's own value."""
    ranges = experiment.get("ranges")
    coverage = experiment.get("coverage")
    condition = experiment.get("condition")
    return Trial(
        seed=experiment.get("seed") or experiment["key"],
        ranges=tuple((low, high) for low, high in ranges)
        if ranges
        else bucket_ranges(
            len(experiment["variations"]), 1.0 if coverage is None else coverage, experiment.get("weights")
        ),
        hash_attribute=experiment.get("hashAttribute") or "id",
        hash_version=experiment.get("hashVersion") or 1,
        layers=_filters(experiment),
        condition=compile_condition(condition, saved_groups) if condition else None,
    )


def _filters(rule: Mapping[str, Any]) -> tuple[Filter, ...]:
    if rule.get("filters"):
        return tuple(
            Filter(
                seed=f["seed"],
                ranges=tuple((low, high) for low, high in f["ranges"]),
                attribute=f.get("attribute") or "id",
                hash_version=f.get("hashVersion") or 2,
            )
            for f in rule["filters"]
        )
    if rule.get("namespace"):
        name, start, end = rule["namespace"]
        return (namespace_filter(name, start, end, rule.get("hashAttribute") or "id"),)
    return ()


def query_string_override(key: str, url: str, variations: int) -> int | None:
    """Return the variation that `?key=index` in the address asks for, or None when it asks for none that exists."""
    for pair in urlsplit(url).query.split("&"):
        name, _, value = pair.partition("=")
        if name == key and value.isascii() and value.isdigit() and len(value) < 10 and int(value) < variations:
            return int(value)
    return None
