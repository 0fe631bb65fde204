"""The recipes of CONTRIBUTING.md, followed in a copy of the project: one file and one line each, and the report shows it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.platform.processes import PROJECT, instance

RECIPES = PROJECT / "tests" / "platform" / "recipes"

# What to write, where it goes, the list's file, the list's first line, and the line put under it with its import.
FOLLOWED = [
    (
        "metric_kind.py",
        "experiments/core/metric_kinds/repeat.py",
        "experiments/core/metric_kinds/__init__.py",
        "_KINDS: tuple[MetricKind, ...] = (\n",
        "    RepeatKind(),\n",
        "from experiments.core.metric_kinds.repeat import RepeatKind\n",
    ),
    (
        "method.py",
        "reports/core/methods/wald.py",
        "reports/core/methods/__init__.py",
        "METHODS: tuple[Method, ...] = (\n",
        "    WaldMethod(),\n",
        "from reports.core.methods.wald import WaldMethod\n",
    ),
    (
        "health_check.py",
        "reports/core/health/round_number.py",
        "reports/core/health/__init__.py",
        "HEALTH_CHECKS: tuple[HealthCheck, ...] = (\n",
        "    round_number,\n",
        "from reports.core.health.round_number import round_number\n",
    ),
    (
        "store.py",
        "tracking/stores/store.py",
        "tracking/selectors.py",
        "STORES: dict[str, Callable[[], EventStore]] = {",
        '"remembering": lambda: RememberingStore(parquet_store()), ',
        "from tracking.stores.store import RememberingStore\n",
    ),
    (
        "section.py",
        "reports/sections/tally.py",
        "reports/sections/__init__.py",
        "SECTIONS: tuple[Section, ...] = (",
        "TALLY, ",
        "from reports.sections.tally import TALLY\n",
    ),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes") / "project"
    folder.mkdir()
    for package in ("experiments", "tracking", "reports", "config", "templates"):
        shutil.copytree(PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("manage.py", "pyproject.toml"):
        shutil.copy(PROJECT / file, folder)
    for written, place, list_file, list_start, line, import_line in FOLLOWED:
        shutil.copy(RECIPES / written, folder / place)
        text = (folder / list_file).read_text()
        assert text.count(list_start) == 1, f"{list_file} has no list that starts with {list_start!r}"
        text = text.replace(list_start, list_start + line)
        first_import = text.index("\nfrom ", text.index("from __future__") + 1 if "from __future__" in text else 0) + 1
        (folder / list_file).write_text(text[:first_import] + import_line + text[first_import:])
    shutil.copy(RECIPES / "section.html", folder / "templates/reports/sections/tally.html")
    return folder


@pytest.fixture(scope="module")
def result(copy: Path) -> Any:
    ran = subprocess.run(
        [sys.executable, str(RECIPES / "walk.py")],
        cwd=copy,
        env=instance(copy / "var", PYTHONPATH=str(copy), INKLING_EVENT_STORE="remembering"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout.splitlines()[-1])
    assert document["error"] is None, document["error"]
    return document


def the_metric(result: Any) -> Any:
    (metric,) = result["document"]["metrics"]
    return metric


def test_recipe__metric_kind__counts_those_who_did_it_twice(result: Any) -> None:
    metric = the_metric(result)
    assert metric["kind"] == "repeat"
    values = {row["variant"]: (row["visitors"], row["converted"]) for row in metric["values"]}
    assert values == {"control": (200, 40), "treatment": (200, 60)}


def test_recipe__method__compares_with_numbers_worked_by_hand(result: Any) -> None:
    (comparison,) = the_metric(result)["comparisons"]
    error = math.sqrt(0.3 * 0.7 / 200 + 0.2 * 0.8 / 200)
    assert comparison["method"] == "wald"
    assert comparison["effect"] == pytest.approx(60 / 200 - 40 / 200)
    assert comparison["standard_error"] == pytest.approx(error)
    assert comparison["z"] == pytest.approx(0.1 / error)
    assert comparison["lift_not_computable"]["detail"] == "This method gives no lift."


def test_recipe__health_check__is_among_the_findings(result: Any) -> None:
    (finding,) = [f for f in result["document"]["health"] if f["code"] == "round_number"]
    assert finding["detail"] == "Exactly 400 visitors."
    assert "A round number" in result["page"]


def test_recipe__event_store__is_asked(result: Any) -> None:
    assert "visitor_totals" in result["asked"]


def test_recipe__section__is_on_the_page(result: Any) -> None:
    assert "1 metrics, counted by the recipe" in result["page"]


def test_recipes__all_followed__keep_the_walls(copy: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=copy,
        env={"PYTHONPATH": str(copy), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
