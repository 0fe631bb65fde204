"""The other half of the worlds with a known truth, in a file of its own so that two processes share them."""

from __future__ import annotations

import pytest

from tests.calibration.harness import World, measure
from tests.calibration.scenarios import WORLDS


@pytest.mark.parametrize("world", WORLDS[1::2], ids=lambda world: world.name.replace(" ", "_"))
def test_world__through_the_whole_analysis__is_within_its_limits(world: World) -> None:
    # One reading in a thousand lies outside by chance; the seeds are fixed, so this checks code and not luck.
    found = measure(world, world.in_tests, seed=world.seed)
    assert [(f.reading.name, f.rate, f.limits) for f in found if not f.is_inside] == []
