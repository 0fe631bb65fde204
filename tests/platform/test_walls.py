"""The import walls hold, and a brick taken out of one is noticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walls")
    for package in ("experiments", "tracking", "reports", "config"):
        only_code = shutil.ignore_patterns("static", "__pycache__", "templates")
        shutil.copytree(PROJECT / package, folder / package, ignore=only_code)
    shutil.copy(PROJECT / "pyproject.toml", folder)
    return folder


def test_walls__as_committed__hold(copy: Path) -> None:
    ran = lint(copy)
    assert ran.returncode == 0, ran.stdout
    assert "0 broken" in ran.stdout


@pytest.mark.parametrize(
    ("planted", "code", "broken"),
    [
        ("reports/core/planted.py", "import django.db\n", "core and sections are pure"),
        ("reports/sections/planted.py", "from django.utils import timezone\n", "core and sections are pure"),
        ("tracking/core/planted.py", "import reports.core\n", "Apps point one way"),
        ("reports/sections/planted.py", "import tracking.stores\n", "Of tracking, only core and selectors"),
        ("tracking/stores/planted.py", "import tracking.services\n", "tracking: doors"),
        ("experiments/planted.py", "", "experiments: doors"),
        ("experiments/clients/planted.py", "import rest_framework\n", "The client API is quick"),
    ],
)
def test_walls__forbidden_import_planted__breaks_its_contract(copy: Path, planted: str, code: str, broken: str) -> None:
    (copy / planted).write_text(code)
    try:
        ran = lint(copy)
    finally:
        (copy / planted).unlink()
    assert ran.returncode == 1
    assert f"{broken}" in "".join(line for line in ran.stdout.splitlines() if line.endswith("BROKEN"))
