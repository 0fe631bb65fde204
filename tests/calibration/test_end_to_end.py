"""A/A experiments through the doors of a running instance: the reports hold what was sent, and claim no more than chance."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.calibration import end_to_end
from tests.calibration.end_to_end import SHARE, Outcome, visits
from tests.calibration.harness import HORIZON, limits

EXPERIMENTS, PER_DAY = 20, 20


@pytest.mark.processes
def test_instance__twenty_experiments_of_four_weeks__reports_exactly_what_was_sent(tmp_path: Path) -> None:
    found = end_to_end.run(EXPERIMENTS, PER_DAY, tmp_path)
    assert found.wrong_counts == []
    assert found.refused == 0
    # Each visitor is exposed to every experiment once, and some order.
    assert found.events > EXPERIMENTS * PER_DAY * HORIZON
    assert len(found.claims) / EXPERIMENTS <= limits(0.05, EXPERIMENTS)[1]
    assert len(found.doubted_splits) / EXPERIMENTS <= limits(0.011, EXPERIMENTS)[1]


def test_visits__four_weeks__lie_within_them_and_order_as_often_as_said() -> None:
    started = datetime(2026, 3, 2, tzinfo=UTC)
    found = visits(100, started)
    assert len({visit.visitor for visit in found}) == 100 * HORIZON
    assert all(0 <= visit.met - started.timestamp() < 86_400 * HORIZON for visit in found)
    orders = [visit.order - visit.met for visit in found if visit.order is not None]
    assert all(0 < lag < 86_400 for lag in orders)
    error = (SHARE * (1 - SHARE) / len(found)) ** 0.5
    assert len(orders) / len(found) == pytest.approx(SHARE, abs=4 * error)


def test_judge__one_visitor_too_many__is_a_wrong_count() -> None:
    sent = {"control": [10, 9, 2], "treatment": [11, 10, 1]}
    document = {
        "variants": [{"key": "control", "visitors": 10}, {"key": "treatment", "visitors": 11}],
        "metrics": [
            {
                "values": [
                    {"variant": key, "exposed": n[0], "visitors": n[1], "converted": n[2]} for key, n in sent.items()
                ],
                "comparisons": [{"claim": "open"}],
            }
        ],
        "health": [{"code": "sample_ratio", "severity": "ok"}],
    }
    outcome = Outcome(1, 21, 21)
    end_to_end.judge(outcome, "aa-001", document, sent)
    assert (outcome.wrong_counts, outcome.claims, outcome.doubted_splits) == ([], [], [])
    end_to_end.judge(outcome, "aa-001", document, {**sent, "control": [10, 9, 3]})
    assert len(outcome.wrong_counts) == 1
