"""Identities joined by aliases."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tracking.core.identity import Link, resolve


def links(*pairs: tuple[str, str]) -> list[Link]:
    return [Link(number, f"e{number}", one, other) for number, (one, other) in enumerate(pairs)]


def test_resolve__chains__are_one_group_under_the_smallest_id() -> None:
    found = resolve(links(("d", "c"), ("b", "a"), ("c", "b"), ("x", "y")))
    assert {found.of(one) for one in "abcd"} == {"a"}
    assert found.group("c") == {"a", "b", "c", "d"}
    assert found.group("y") == {"x", "y"}
    assert found.group("alone") == {"alone"}
    assert found.ignored == 0


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=8), st.randoms())
def test_resolve__any_order_of_arrival__gives_the_same_groups(pairs: list[tuple[str, str]], chance: object) -> None:
    there = links(*pairs)
    shuffled = list(there)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    for most in (2, 50):
        assert resolve(shuffled, max_links=most) == resolve(there, max_links=most)


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")), max_size=10))
def test_resolve__two_ids__are_joined_exactly_when_a_path_of_links_leads_there(pairs: list[tuple[str, str]]) -> None:
    reachable = {one: {one} for one in "abcdefg"}
    for _ in range(7):
        for one, other in pairs:
            union = reachable[one] | reachable[other]
            for member in union:
                reachable[member] = union
    found = resolve(links(*pairs))
    for one, other in itertools.product("abcdefg", repeat=2):
        assert (found.of(one) == found.of(other)) is (other in reachable[one])
        assert found.group(one) == reachable[one]


def test_resolve__a_shared_device__keeps_its_first_links_and_counts_the_rest() -> None:
    there = links(*((f"user{n:02}", "kiosk") for n in range(60)))
    found = resolve(reversed(there), max_links=50)
    assert found.ignored == 10
    assert len(found.group("kiosk")) == 51
    assert found.group("user55") == {"user55"}


def test_resolve__repeated_links__count_once_against_the_cap() -> None:
    assert resolve(links(*[("a", "b"), ("b", "a")] * 40), max_links=1).ignored == 0


def known(*triples: tuple[str, str, str]) -> list[Link]:
    return [Link(number, f"e{number}", one, other, user) for number, (one, other, user) in enumerate(triples)]


def test_resolve__two_known_users_of_one_device__stay_apart_and_the_device_stays_with_the_first() -> None:
    found = resolve(known(("phone", "ann", "ann"), ("phone", "bob", "bob"), ("laptop", "ann", "ann")))
    assert found.group("ann") == {"ann", "phone", "laptop"}
    assert found.group("bob") == {"bob"}
    assert (found.kept_apart, found.ignored) == (1, 0)


def test_resolve__two_devices_met_through_an_anonymous_link__never_join_two_users() -> None:
    found = resolve(known(("phone", "ann", "ann"), ("tablet", "bob", "bob"), ("phone", "tablet", "")))
    assert found.of("ann") != found.of("bob")
    assert found.kept_apart == 1


def test_resolve__user_id_changed__joins_the_two_that_the_link_names() -> None:
    found = resolve(known(("phone", "ann", "ann"), ("new-ann", "laptop", "new-ann"), ("new-ann", "ann", "new-ann")))
    assert found.group("ann") == {"ann", "new-ann", "phone", "laptop"}
    assert found.kept_apart == 0


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz"), st.booleans()), max_size=10), st.randoms())
def test_resolve__devices_and_users_in_any_order__one_user_a_group(
    rows: list[tuple[str, str, bool]], chance: object
) -> None:
    # Devices a to d, users w to z; every user is known from some link.
    there = known(*((device, user, user) for device, user, _ in rows))
    shuffled = list(there)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    found = resolve(shuffled)
    assert found == resolve(there)
    for one in "wxyz":
        assert found.group(one) & set("wxyz") == {one}
