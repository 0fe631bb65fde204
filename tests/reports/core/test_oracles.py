"""Every published or independently computed number, by its id, to its tolerance."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import oracles
from tests.shared_data import SHARED, shared_path

FILE = "data/oracles.json"


def _asserts() -> list[Any]:
    path = SHARED / FILE
    if not path.exists():
        return [pytest.param(None, id="absent")]
    cases = json.loads(path.read_text())["cases"]
    found = []
    for case in cases:
        inputs: Any = None
        for number, check in enumerate(case["asserts"]):
            inputs = _inputs(check["inputs"], inputs)
            found.append(
                pytest.param(check | {"inputs": inputs}, id=f"{case['id']}-{number}-{check['fn'].replace(' ', '_')}")
            )
    return found


def _inputs(given: Any, before: Any) -> Any:
    """Resolve "same", and a second group (`time2`) that is given on top of the first."""
    if given == "same":
        return before
    return before | given if "time2" in given else given


def _close(got: Any, expected: Any, check: dict[str, Any], where: str) -> None:
    if isinstance(expected, dict):
        for key, value in expected.items():
            _close(got[key], value, check, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(got) == len(expected), where
        for index, value in enumerate(expected):
            _close(got[index], value, check, f"{where}[{index}]")
    elif expected == "inf":
        assert got == math.inf, where
    elif "rtol" in check:
        assert got == pytest.approx(expected, rel=check["rtol"], abs=0), where
    else:
        assert got == pytest.approx(expected, abs=check["tol"], rel=0), where


@pytest.mark.parametrize("check", _asserts())
def test_oracle__each_published_number__is_met(check: dict[str, Any] | None) -> None:
    if check is None:
        shared_path(FILE)
        return
    _close(oracles.evaluate(check), check["expected"], check, check["fn"])


def test_door__a_file_of_cases__is_answered_one_by_one_and_errors_hide_nothing(tmp_path: Path) -> None:
    cases = [
        {"fn": "srm_p", "inputs": {"counts": [502, 498], "weights": [1, 1]}},
        {"fn": "no_such_function", "inputs": {}},
        {"fn": "ratio_ci", "method": "koopman", "inputs": {"x_t": 3, "n_t": 10, "x_c": 0, "n_c": 10, "alpha": 0.05}},
    ]
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(cases))
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracles", str(file)], capture_output=True, text=True, check=True
    )
    answers = json.loads(done.stdout)
    assert answers[0]["got"] == pytest.approx(0.89934319, abs=1e-7)
    assert "no_such_function" in answers[1]["error"]
    assert answers[2]["got"][1] == "inf"
