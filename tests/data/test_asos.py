"""The study of 46 real experiments: what the raw numbers flatter, independent halves do not."""

from __future__ import annotations

import re

from benchmarks.asos_learning import study
from tests.shared_data import shared_path


def test_asos__raw_correlations__do_not_survive_independent_errors() -> None:
    lines = study(shared_path("data/asos/asos_dev_even.parquet"))
    for metric in (2, 3, 4):
        row = next(line for line in lines if line.startswith(f"| {metric} "))
        (raw, *_), (apart, low, high) = (
            [float(number) for number in re.findall(r"[+-]\d\.\d\d", cell)] for cell in row.split("|")[5:7]
        )
        assert raw > 0.6 > apart
        assert low < 0 < high


def test_asos__effects_of_half_a_per_cent__are_no_gains_to_the_engine() -> None:
    (line,) = (line for line in study(shared_path("data/asos/asos_dev_even.parquet")) if line.startswith("Learned"))
    assert "from 46 experiments" in line and "win 10%" in line
