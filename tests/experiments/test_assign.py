"""Rulesets and assignments, with GrowthBook's Python SDK as the other implementation."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from growthbook import GrowthBook
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.core.assign import Assignment, CompiledRuleset, assign, compile_ruleset
from experiments.core.bucketing import GRID
from experiments.core.lifecycle import Status
from experiments.core.payload import payload_of
from experiments.core.ruleset import ExperimentRule, HoldoutShare, LayerSlot, Ruleset, RuleVariant
from experiments.core.trial import Reason

CONTROL = RuleVariant("control", 5_000, is_control=True, payload={"colour": "blue"})
TREATMENT = RuleVariant("treatment", 5_000, payload={"colour": "green"})


def rule(key: str = "button", **changes: Any) -> ExperimentRule:
    values: dict[str, Any] = {
        "key": key,
        "status": Status.RUNNING,
        "seed": f"{key}-salt",
        "variants": (CONTROL, TREATMENT),
        **changes,
    }
    return ExperimentRule(**values)


def compiled(*rules: ExperimentRule, version: int = 7) -> CompiledRuleset:
    return compile_ruleset(Ruleset("shop", version, rules))


def one(rule_: ExperimentRule, visitor: str, attributes: dict[str, Any] | None = None, **more: Any) -> Assignment:
    return assign(compiled(rule_), visitor, attributes or {}, [rule_.key], **more)[rule_.key]


# --- Against GrowthBook's SDK -------------------------------------------------------------------------------------------


def random_rule(rng: random.Random, number: int) -> ExperimentRule:
    cuts = sorted(rng.sample(range(1, GRID), rng.randint(1, 3)))
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, GRID], strict=True)]
    start = rng.randrange(0, GRID - 1)
    audience: dict[str, Any] = rng.choice(
        [
            {},
            {"country": {"$in": ["PT", "ES"]}},
            {"age": {"$gte": rng.randint(0, 60)}},
            {"age": rng.randint(0, 60)},
            {"$or": [{"plan": "pro"}, {"country": {"$nin": ["DE"]}}]},
            {"$not": {"plan": {"$eq": "free"}}, "country": {"$ne": "FR"}},
            {"tags": {"$all": ["a"]}},
            {"id": {"$inGroup": "staff"}},
        ]
    )
    return rule(
        f"exp-{number}",
        status=rng.choice([Status.RUNNING, Status.RUNNING, Status.RUNNING, Status.PAUSED]),
        seed=f"salt{rng.randrange(10**9)}",
        variants=tuple(
            RuleVariant(f"v{i}", share, is_control=i == 0, payload={"place": i}) for i, share in enumerate(shares)
        ),
        traffic=rng.choice([GRID, rng.randint(0, GRID)]),
        hash_attribute=rng.choice(["id", "id", "company"]),
        audience=audience,
        layer=rng.choice([None, LayerSlot("l", "layer:l", start, rng.randint(start + 1, GRID))]),
        holdout=rng.choice([None, HoldoutShare("h", "holdout:h", rng.randint(1, 5_000))]),
    )


def random_visitor(rng: random.Random) -> tuple[str, dict[str, Any]]:
    attributes: dict[str, Any] = {}
    for name, choices in {
        "country": ["PT", "ES", "DE", "FR"],
        "plan": ["pro", "free"],
        "age": list(range(80)),
        "tags": [[], ["a"], ["a", "b"]],
        "company": ["acme", "globex", f"c{rng.randrange(1000)}"],
    }.items():
        if rng.random() < 0.8:
            attributes[name] = rng.choice(choices)
    return rng.choice(
        [f"user-{rng.randrange(10**6)}", str(rng.randrange(10**6)), f"{rng.getrandbits(128):032x}"]
    ), attributes


def test_assign__random_rulesets_and_visitors__same_variant_as_the_growthbook_sdk() -> None:
    rng = random.Random(20_261_122)
    seen: Counter[str] = Counter()
    for _ in range(60):
        groups = {"staff": tuple(f"user-{rng.randrange(10**6)}" for _ in range(3))}
        ruleset = Ruleset("shop", 1, tuple(random_rule(rng, n) for n in range(5)), groups)
        ours, theirs = compile_ruleset(ruleset), json.loads(payload_of(ruleset).body)
        for _ in range(12):
            visitor, attributes = random_visitor(rng)
            if rng.random() < 0.1:
                visitor = groups["staff"][0]
            sdk = GrowthBook(
                attributes={**attributes, "id": visitor},
                features=theirs["features"],
                savedGroups=theirs["savedGroups"],
            )
            for key, answer in assign(ours, visitor, attributes).items():
                result = sdk.eval_feature(key)
                in_experiment = result.source == "experiment" and result.experimentResult is not None
                assert (answer.payload, answer.in_experiment) == (result.value, in_experiment), (
                    key,
                    visitor,
                    attributes,
                )
                seen[answer.reason] += 1
            sdk.destroy()
    # The comparison means something only if every reason occurred.
    assert set(seen) == {
        Reason.ASSIGNED,
        Reason.NOT_IN_AUDIENCE,
        Reason.NOT_IN_TRAFFIC,
        Reason.EXCLUDED_BY_LAYER,
        Reason.HELD_OUT,
        Reason.NOT_RUNNING,
    }


# --- Laws ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(0, GRID), st.integers(0, GRID), st.integers(0, 10**9))
def test_assign__traffic_raised__nobody_who_was_in_is_moved_or_put_out(one_share: int, other: int, salt: int) -> None:
    low, high = sorted((one_share, other))
    variants = (CONTROL, replace(TREATMENT, weight=3_000), RuleVariant("third", 2_000))
    before = compiled(rule(seed=str(salt), variants=variants, traffic=low))
    after = compiled(rule(seed=str(salt), variants=variants, traffic=high))
    for n in range(50):
        was, is_ = (assign(c, f"v{n}", {})["button"] for c in (before, after))
        if was.in_experiment:
            assert (is_.variant, is_.in_experiment) == (was.variant, True)


def test_assign__two_experiments_share_a_layer__no_visitor_is_in_both_and_all_are_in_one() -> None:
    rules = compiled(
        rule("one", layer=LayerSlot("l", "layer-seed", 0, 3_000)),
        rule("two", layer=LayerSlot("l", "layer-seed", 3_000, GRID)),
    )
    counts: Counter[str] = Counter()
    for n in range(5_000):
        answers = assign(rules, f"visitor-{n}", {})
        inside = [key for key, answer in answers.items() if answer.in_experiment]
        assert len(inside) == 1
        outside = next(answer for answer in answers.values() if not answer.in_experiment)
        assert outside.reason is Reason.EXCLUDED_BY_LAYER
        counts[inside[0]] += 1
    assert abs(counts["one"] - 1_500) < 4 * math.sqrt(5_000 * 0.3 * 0.7)


def test_assign__experiments_share_a_holdout__the_same_visitors_are_kept_out_of_all() -> None:
    holdout = HoldoutShare("h", "holdout-seed", 1_000)
    rules = compiled(rule("one", holdout=holdout), rule("two", holdout=holdout), rule("three"))
    held = 0
    for n in range(5_000):
        answers = assign(rules, f"visitor-{n}", {})
        reasons = {answers["one"].reason, answers["two"].reason}
        assert reasons in ({Reason.HELD_OUT}, {Reason.ASSIGNED})
        assert answers["three"].in_experiment
        held += reasons == {Reason.HELD_OUT}
    assert abs(held - 500) < 4 * math.sqrt(5_000 * 0.1 * 0.9)


def test_assign__weights_of_a_running_experiment__are_met_within_chance() -> None:
    variants = (replace(CONTROL, weight=7_000), replace(TREATMENT, weight=3_000))
    rules = compiled(rule(variants=variants))
    count = sum(assign(rules, f"visitor-{n}", {})["button"].variant == "control" for n in range(10_000))
    assert abs(count - 7_000) < 4 * math.sqrt(10_000 * 0.7 * 0.3)


def test_assign__attributes_say_another_id__the_visitor_id_wins() -> None:
    assert one(rule(), "visitor-1", {"id": "visitor-2"}) == one(rule(), "visitor-1")


# --- Reasons ------------------------------------------------------------------------------------------------------------


def test_assign__visitor_takes_part__variant_payload_and_version_are_told() -> None:
    answer = one(rule(), "visitor-1")
    expected = CONTROL if answer.variant == "control" else TREATMENT
    assert answer == Assignment(
        expected.key, [CONTROL, TREATMENT].index(expected), expected.payload, Reason.ASSIGNED, True, 7
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"audience": {"country": "PT"}}, Reason.NOT_IN_AUDIENCE),
        ({"hash_attribute": "company"}, Reason.NOT_IN_AUDIENCE),
        ({"traffic": 0}, Reason.NOT_IN_TRAFFIC),
        ({"layer": LayerSlot("l", "s", 0, 1)}, Reason.EXCLUDED_BY_LAYER),
        ({"holdout": HoldoutShare("h", "s", GRID - 1)}, Reason.HELD_OUT),
        ({"status": Status.PAUSED}, Reason.NOT_RUNNING),
        ({"status": Status.STOPPED}, Reason.NOT_RUNNING),
        ({"status": Status.DRAFT}, Reason.NOT_RUNNING),
    ],
)
def test_assign__visitor_takes_no_part__control_is_served_with_the_reason(
    changes: dict[str, Any], reason: Reason
) -> None:
    assert one(rule(**changes), "visitor-1") == Assignment("control", 0, CONTROL.payload, reason, False, 7)


def test_assign__control_is_not_the_first_variant__it_is_still_what_outsiders_get() -> None:
    answer = one(rule(variants=(TREATMENT, CONTROL), traffic=0), "visitor-1")
    assert (answer.variant, answer.index, answer.payload) == ("control", 1, CONTROL.payload)


def test_assign__experiment_does_not_exist__says_so_without_a_variant() -> None:
    answers = assign(compiled(rule()), "v", {}, ["button", "nothing"])
    assert answers["nothing"] == Assignment(None, None, {}, Reason.UNKNOWN_EXPERIMENT, False, 7)
    assert answers["button"].in_experiment


def test_assign__declared_bot__gets_control_and_is_not_in() -> None:
    answer = one(rule(), "visitor-1", is_bot=True)
    assert (answer.variant, answer.reason, answer.in_experiment) == ("control", Reason.BOT, False)


@pytest.mark.parametrize("status", list(Status))
def test_assign__visitor_on_the_list_of_a_variant__gets_it_in_any_status_and_is_not_counted(status: Status) -> None:
    forced = rule(status=status, traffic=0, variants=(CONTROL, replace(TREATMENT, forced_visitors=("tester",))))
    assert one(forced, "tester", is_bot=True) == Assignment("treatment", 1, TREATMENT.payload, Reason.FORCED, False, 7)
    assert one(forced, "someone").reason is not Reason.FORCED


def test_assign__preview__wins_over_the_list_and_the_status() -> None:
    forced = rule(status=Status.DRAFT, variants=(CONTROL, replace(TREATMENT, forced_visitors=("tester",))))
    answer = one(forced, "tester", forced={"button": "control"})
    assert (answer.variant, answer.reason, answer.in_experiment) == ("control", Reason.FORCED, False)


def test_assign__no_experiments_named__drafts_are_left_out_unless_forced() -> None:
    draft = rule("draft", status=Status.DRAFT, variants=(CONTROL, replace(TREATMENT, forced_visitors=("tester",))))
    rules = compiled(rule(), draft)
    assert set(assign(rules, "visitor", {})) == {"button"}
    assert set(assign(rules, "tester", {})) == {"button", "draft"}
    assert assign(rules, "visitor", {}, forced={"draft": "treatment"})["draft"].variant == "treatment"
    assert assign(rules, "visitor", {}, ["draft"])["draft"].reason is Reason.NOT_RUNNING


# --- The document -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**9))
def test_ruleset_document__through_json_and_back__is_the_same_ruleset(seed: int) -> None:
    rng = random.Random(seed)
    ruleset = Ruleset("shop", 3, tuple(random_rule(rng, n) for n in range(3)), {"staff": ("a", 1)})
    assert Ruleset.from_document(json.loads(json.dumps(ruleset.to_document()))) == ruleset


def test_ruleset_document__draft__is_marked_as_not_for_clients() -> None:
    document = Ruleset("shop", 1, (rule(), rule("secret", status=Status.DRAFT))).to_document()
    assert {r["key"]: r["client_safe"] for r in document["experiments"]} == {"button": True, "secret": False}


def test_content_hash__only_the_version_differs__is_equal_and_else_is_not() -> None:
    ruleset = Ruleset("shop", 1, (rule(),))
    assert ruleset.content_hash() == replace(ruleset, version=2).content_hash()
    assert ruleset.content_hash() != replace(ruleset, experiments=(rule(traffic=9_999),)).content_hash()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"variants": (CONTROL, replace(TREATMENT, weight=4_999))}, "add up to 9999"),
        ({"variants": (CONTROL, replace(TREATMENT, is_control=True))}, "exactly one control"),
        ({"variants": (CONTROL, replace(CONTROL, is_control=False))}, "twice"),
        ({"variants": ()}, "no variants"),
        ({"seed": ""}, "no seed"),
        ({"traffic": 10_001}, "traffic 10001"),
    ],
)
def test_experiment_rule__nonsense__is_refused_with_the_value(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(ValueError, match=part):
        rule(**changes)


def test_experiment_rule__draft_not_finished_yet__is_taken() -> None:
    draft = rule(status=Status.DRAFT, seed="", variants=(replace(CONTROL, is_control=False, weight=10),))
    assert one(draft, "visitor").variant == "control"


def test_ruleset__schema_of_another_version__is_refused() -> None:
    with pytest.raises(ValueError, match="schema 99"):
        Ruleset.from_document({**Ruleset("shop", 1).to_document(), "schema": 99})
