"""A harness that cannot see a mistake is blind: each mistake, made on purpose, must be read outside the limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.calibration.mutations import MUTATIONS, Mutation, seen


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name.replace(" ", "_"))
def test_mutation__made_on_purpose__is_read_outside_the_limits(mutation: Mutation) -> None:
    found = seen(mutation)
    low, high = found.limits
    assert not low <= found.rate <= high
    if mutation.known is not None:
        assert mutation.known[0] <= found.rate <= mutation.known[1]


def test_mutation__over__leaves_the_product_as_it_was() -> None:
    mutation = next(m for m in MUTATIONS if m.name == "spending switched off")
    before = mutation.shown_in.analyses(40, seed=3)
    seen(replace(mutation, replicates=5))
    assert mutation.shown_in.analyses(40, seed=3) == before
