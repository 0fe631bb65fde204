"""Kill -9 at any point: every acknowledged event is in the store exactly once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.processes
def test_kills__of_writers_and_compactors_at_random__lose_and_double_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "INKLING_DATA_DIR": str(tmp_path)}
    environment.pop("DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.tracking.kill_program", "20261125", "80"],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    balance = json.loads(done.stdout)
    assert balance["acknowledged"] > 0
    assert (balance["lost"], balance["doubled"], balance["segments_left"]) == (0, 0, 0), balance
    # Counting gave the same before anything was left to take over.
    assert balance["counted_before"] == balance["counted"] == balance["stored"], balance
