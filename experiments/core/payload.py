"""A ruleset as the payload that GrowthBook's SDKs read, so that they evaluate locally what our server would answer.

Only the part of the format on which its SDKs agree is used: hash version 2, explicit seeds, weights on a grid, filters instead of
namespaces, and conditions without bare numbers and booleans.
Source: GrowthBook, "Build your own SDK". Checked against: our own engine and the Python SDK on random rulesets.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from experiments.core.bucketing import GRID
from experiments.core.flags import Flag, FlagRule
from experiments.core.layers import Filter, holdout_filter, layer_filter
from experiments.core.lifecycle import Status
from experiments.core.ruleset import ExperimentRule, Ruleset

# SDKs ignore a payload whose date they know already, so the date follows the version and nothing else.
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Payload:
    """The payload as it is sent: made once per published version."""

    body: bytes
    packed: bytes
    etag: str


def features_of(ruleset: Ruleset) -> dict[str, Any]:
    """Return every experiment that may be shown to a client, and every flag, as features by their keys."""
    experiments = {rule.key: feature_of(rule) for rule in ruleset.experiments if rule.is_client_safe}
    return experiments | {flag.key: feature_of_flag(flag) for flag in ruleset.flags}


def payload_of(ruleset: Ruleset) -> Payload:
    """Return the public payload of a ruleset; drafts are nobody's business and not in it."""
    document = {
        "status": 200,
        "dateUpdated": (BEGINNING + timedelta(seconds=ruleset.version)).isoformat().replace("+00:00", ".000Z"),
        "features": features_of(ruleset),
        "experiments": [],
        "savedGroups": {key: list(members) for key, members in ruleset.saved_groups.items()},
    }
    body = msgspec.json.encode(document)
    return Payload(body, gzip.compress(body, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def feature_of(rule: ExperimentRule) -> dict[str, Any]:
    """Return an experiment as a feature of the same key: the control by default, forced visitors first, then the experiment."""
    rules: list[dict[str, Any]] = [
        {
            "id": f"{rule.key}-{variant.key}-forced",
            "force": variant.payload,
            "condition": {"id": {"$in": list(variant.forced_visitors)}},
        }
        for variant in rule.variants
        if variant.forced_visitors
    ]
    if rule.status is Status.RUNNING:
        rules.append(_experiment(rule))
    if rule.shipped_variant is not None:
        shipped: dict[str, Any] = {"id": f"{rule.key}-shipped", "force": rule.shipped_variant.payload}
        rules.append({**shipped, "condition": safe_condition(rule.audience)} if rule.audience else shipped)
    return {"defaultValue": rule.variants[rule.control_index].payload, "rules": rules}


def feature_of_flag(flag: Flag) -> dict[str, Any]:
    """Return a flag as a feature: forced values for audiences, or for a share of them."""
    return {
        "defaultValue": flag.value,
        "rules": [_forced(flag, number, rule) for number, rule in enumerate(flag.rules, start=1)],
    }


def _forced(flag: Flag, number: int, rule: FlagRule) -> dict[str, Any]:
    found: dict[str, Any] = {"id": f"{flag.key}-{number}", "force": rule.value}
    if rule.audience:
        found["condition"] = safe_condition(rule.audience)
    if rule.share < GRID:
        # One seed for all rules of a flag: who is in at 10 % is in at 20 %.
        found |= {
            "seed": flag.seed,
            "hashAttribute": "id",
            "hashVersion": 2,
            "range": [0, rule.share / GRID],
        }
    return found


def _experiment(rule: ExperimentRule) -> dict[str, Any]:
    filters = []
    if rule.holdout is not None:
        filters.append(holdout_filter(rule.holdout.seed, rule.holdout.share, rule.hash_attribute))
    if rule.layer is not None:
        filters.append(layer_filter(rule.layer.seed, rule.layer.start, rule.layer.end, rule.hash_attribute))
    found: dict[str, Any] = {
        "id": f"{rule.key}-split",
        "key": rule.key,
        "phase": "0",
        "seed": rule.seed,
        "hashAttribute": rule.hash_attribute,
        "hashVersion": 2,
        "coverage": rule.traffic / GRID,
        "weights": list(rule.weights),
        "variations": [variant.payload for variant in rule.variants],
        "meta": [{"key": variant.key, "name": variant.key} for variant in rule.variants],
    }
    if filters:
        found["filters"] = [_filter(one) for one in filters]
    if rule.audience:
        found["condition"] = safe_condition(rule.audience)
    return found


def _filter(one: Filter) -> dict[str, Any]:
    return {
        "seed": one.seed,
        "attribute": one.attribute,
        "hashVersion": one.hash_version,
        "ranges": [list(part) for part in one.ranges],
    }


def safe_condition(condition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a condition in the form that every SDK reads alike: no bare number or boolean, no comparison of what is missing."""
    found: dict[str, Any] = {}
    for name, wanted in condition.items():
        if name in ("$and", "$or", "$nor"):
            found[name] = [safe_condition(one) for one in wanted]
        elif name == "$not":
            found[name] = safe_condition(wanted)
        elif isinstance(wanted, bool | int | float):
            found[name] = {"$eq": wanted}
        elif isinstance(wanted, Mapping) and any(_compares(operator) for operator in wanted):
            found[name] = {"$exists": True, **wanted}
        else:
            found[name] = wanted
    return found


def _compares(operator: str) -> bool:
    return operator in ("$gt", "$gte", "$lt", "$lte") or operator.startswith("$v")
