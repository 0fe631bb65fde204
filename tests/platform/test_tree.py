"""The committed files name no place that exists only on somebody's machine, and the pins are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]

# Written in pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "/tmp/" + "team", "/home/" + "[a-z]+/"]
REGISTRY_HOSTS = [
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "npm" + r"js\.(org|com)",
    "deb" + r"ian\.org",
    "--index" + "-url",
]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    return [PROJECT / name for name in listed.stdout.decode().split("\0") if name and (PROJECT / name).is_file()]


@pytest.mark.parametrize("pattern", MACHINE_PATHS + REGISTRY_HOSTS)
def test_tree__committed_text__names_no_machine_and_no_registry(pattern: str) -> None:
    wanted = re.compile(pattern)
    found = []
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(PROJECT)}: {line.strip()[:120]}" for line in text.splitlines() if wanted.search(line)
        ]
    assert found == []


def pinned(name: str) -> dict[str, str]:
    lines = (PROJECT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def wanted(name: str) -> list[Requirement]:
    lines = (PROJECT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def closure(roots: list[Requirement]) -> set[str]:
    """Return the names of all packages that some need, by what the installed ones declare."""
    found: set[str] = set()
    todo = list(roots)
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        found.add(name)
        for line in distribution(name).requires or []:
            needed = Requirement(line)
            extras = ["", *requirement.extras]
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(needed)
    return found


where_pins_are_made = pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info[:2] != (3, 11), reason="the pins are made on Linux with Python 3.11"
)


@where_pins_are_made
def test_pins__requirements__are_the_whole_closure_and_nothing_else() -> None:
    assert closure(wanted("requirements.in")) == set(pinned("requirements.txt"))


@where_pins_are_made
def test_pins__development__add_the_rest() -> None:
    everything = set(pinned("requirements.txt")) | set(pinned("requirements-dev.txt"))
    assert closure(wanted("requirements.in") + wanted("requirements-dev.in")) == everything


def test_pins__installed_here__are_the_pinned_versions() -> None:
    for name, version in {**pinned("requirements.txt"), **pinned("requirements-dev.txt")}.items():
        assert distribution(name).version == version, name
