"""All looks of a comparison in one go: the same numbers as look by look."""

from __future__ import annotations

import numpy as np
import pytest

from reports.core.band import z_at_looks
from reports.core.methods import method_for
from reports.core.methods.base import Blocker, NotComputable
from reports.core.statistics import Mean, Proportion


def test_z_at_looks__every_method_and_empty_variants__equals_asking_look_by_look() -> None:
    rng = np.random.default_rng(5)
    treatment: list[Proportion | Mean] = [Proportion(0, 0), Proportion(40, 0), Proportion(30, 30)]
    control: list[Proportion | Mean] = [Proportion(10, 2), Proportion(50, 0), Proportion(90, 90)]
    for _ in range(20):
        n_t, n_c = (int(n) for n in rng.integers(20, 500, 2))
        treatment += [Proportion(n_t, int(rng.binomial(n_t, 0.1))), Mean(n_t, float(rng.normal(3, 1)), 2.0 * n_t)]
        control += [Proportion(n_c, int(rng.binomial(n_c, 0.1))), Mean(n_c, 3.0, 3.0 * n_c)]
    methods = [method_for(t, c) for t, c in zip(treatment, control, strict=True)]
    assert {m.key for m in methods} == {"score", "mid_p", "welch"}
    found = z_at_looks(treatment, control)
    assert isinstance(found[0], NotComputable) and found[0].blocker is Blocker.NO_VISITORS
    alone = [m.margin_z(t, c, ratio=1.0) for m, t, c in zip(methods, treatment, control, strict=True)]
    assert found[1:] == pytest.approx(alone[1:], abs=1e-10)
