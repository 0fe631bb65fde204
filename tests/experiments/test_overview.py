"""How many days an experiment has run, as the admin shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from experiments.models import Experiment
from experiments.selectors.overview import days_running

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("passed", "days"),
    [
        (timedelta(0), 1),
        (timedelta(hours=23), 1),
        (timedelta(days=1), 1),
        (timedelta(days=1, seconds=1), 2),
        (timedelta(days=27, hours=1), 28),
    ],
)
def test_days_running__running__counts_the_days_begun(passed: timedelta, days: int) -> None:
    assert days_running(Experiment(started_at=START), START + passed) == days


def test_days_running__ended_after_four_whole_weeks__is_28_however_late_one_looks() -> None:
    experiment = Experiment(started_at=START, ended_at=START + timedelta(weeks=4))
    assert days_running(experiment, START + timedelta(days=90)) == 28


def test_days_running__draft__is_none() -> None:
    assert days_running(Experiment(), START) is None
