"""A ruleset in the form that our browser client evaluates: as little as possible left to be done there.

Ranges are worked out, shares of flags are gates, saved groups stand where they are used, and of each pair of operators such as
`$in` and `$nin` only one remains, so that the client is small. What it answers is what the server answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.core.bucketing import GRID, bucket_ranges
from experiments.core.flags import Flag, FlagRule
from experiments.core.layers import Filter, holdout_filter, layer_filter
from experiments.core.lifecycle import Status
from experiments.core.payload import safe_condition
from experiments.core.ruleset import ExperimentRule, Ruleset
from experiments.core.targeting import SavedGroups

# Operator -> the one whose denial it is.
DENIALS = {
    "$ne": "$eq",
    "$vne": "$veq",
    "$nin": "$in",
    "$nini": "$ini",
    "$notRegex": "$regex",
    "$notRegexi": "$regexi",
}


def browser_features(ruleset: Ruleset) -> dict[str, Any]:
    """Return every experiment that may be shown to a client, and every flag, by key."""
    groups = ruleset.saved_groups
    experiments = {rule.key: _experiment(rule, groups) for rule in ruleset.experiments if rule.is_client_safe}
    return experiments | {flag.key: _flag(flag, groups) for flag in ruleset.flags}


def _experiment(rule: ExperimentRule, groups: SavedGroups) -> dict[str, Any]:
    rules: list[dict[str, Any]] = [
        {"if": {"id": {"$in": list(variant.forced_visitors)}}, "in": [], "force": variant.payload}
        for variant in rule.variants
        if variant.forced_visitors
    ]
    if rule.status is Status.RUNNING:
        gates = []
        if rule.holdout is not None:
            gates.append(holdout_filter(rule.holdout.seed, rule.holdout.share, rule.hash_attribute))
        if rule.layer is not None:
            gates.append(layer_filter(rule.layer.seed, rule.layer.start, rule.layer.end, rule.hash_attribute))
        rules.append(
            {
                "if": small_condition(safe_condition(rule.audience), groups),
                "in": [_gate(one) for one in gates],
                "seed": rule.seed,
                "by": rule.hash_attribute,
                "ranges": [list(r) for r in bucket_ranges(len(rule.variants), rule.traffic / GRID, rule.weights)],
                "values": [variant.payload for variant in rule.variants],
                "variants": [variant.key for variant in rule.variants],
                "experiment": rule.key,
            }
        )
    if rule.shipped_variant is not None:
        audience = small_condition(safe_condition(rule.audience), groups)
        rules.append({"if": audience, "in": [], "force": rule.shipped_variant.payload})
    return {"value": rule.variants[rule.control_index].payload, "rules": rules}


def _gate(one: Filter) -> dict[str, Any]:
    return {"seed": one.seed, "by": one.attribute, "ranges": [list(part) for part in one.ranges]}


def _flag(flag: Flag, groups: SavedGroups) -> dict[str, Any]:
    return {"value": flag.value, "rules": [_forced(flag, rule, groups) for rule in flag.rules]}


def _forced(flag: Flag, rule: FlagRule, groups: SavedGroups) -> dict[str, Any]:
    share = {"seed": flag.seed, "by": "id", "ranges": [[0, rule.share / GRID]]}
    return {
        "if": small_condition(safe_condition(rule.audience), groups),
        "in": [share] if rule.share < GRID else [],
        "force": rule.value,
    }


def small_condition(condition: Mapping[str, Any], groups: SavedGroups) -> dict[str, Any]:
    """Return a condition that means the same and needs fewer operators."""
    parts: list[dict[str, Any]] = []
    for name, wanted in condition.items():
        if name in ("$and", "$or"):
            parts.append({name: [small_condition(one, groups) for one in wanted]})
        elif name == "$nor":
            parts.append({"$not": {"$or": [small_condition(one, groups) for one in wanted]}})
        elif name == "$not":
            parts.append({"$not": small_condition(wanted, groups)})
        else:
            parts.append({name: _small_test(wanted, groups)})
    # Names come once each, but for `$not`, which two entries may have become.
    names = [name for part in parts for name in part]
    if len(set(names)) == len(names):
        return {name: value for part in parts for name, value in part.items()}
    return {"$and": parts}


def _small_test(wanted: Any, groups: SavedGroups) -> Any:
    if not (isinstance(wanted, Mapping) and wanted and all(str(name).startswith("$") for name in wanted)):
        return wanted
    found: dict[str, Any] = {}
    denied: list[Any] = []
    for name, operand in wanted.items():
        if name == "$inGroup":
            found.setdefault("$in", list(groups.get(operand, ())))
        elif name == "$notInGroup":
            denied.append({"$in": list(groups.get(operand, ()))})
        elif name in DENIALS:
            denied.append({DENIALS[name]: operand})
        elif name == "$not":
            denied.append(_small_test(operand, groups))
        elif name == "$size":
            found[name] = _small_test(operand, groups)
        elif name == "$elemMatch" and isinstance(operand, Mapping):
            is_test = bool(operand) and all(str(one).startswith("$") for one in operand)
            found[name] = _small_test(operand, groups) if is_test else small_condition(operand, groups)
        elif name in ("$all", "$alli") and isinstance(operand, list):
            found[name] = [_small_test(one, groups) for one in operand]
        else:
            found[name] = operand
    if denied:
        # One `$not` takes a list: none of these may hold.
        found["$not"] = denied
    return found
