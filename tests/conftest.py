"""What every test gets: a data folder of its own, the order of the run, and no quiet skips where all must run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import services

# What a test needs, in the order in which tests run: a broken calculation shows before a browser has started.
NEEDS = ("database", "postgres", "redis", "processes", "browser")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if item.get_closest_marker("django_db") or {"db", "transactional_db"} & set(fixtures):
            item.add_marker("database")
    items.sort(key=lambda item: max((NEEDS.index(need) + 1 for need in _needs(item)), default=0))


def _needs(item: pytest.Item) -> list[str]:
    return [need for need in NEEDS if item.get_closest_marker(need)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for need in _needs(item):
        if need in services.FINDERS:
            try:
                services.FINDERS[need]()
            except services.Absent as reason:
                pytest.skip(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """Under CI nothing that needs a server may be skipped: there the skip is the failure."""
    report: Any = yield
    if report.skipped and not hasattr(report, "wasxfail") and services.is_ci() and _needs(item):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} must run when CI=true. {reason}"
    return report


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def data_dir(settings: Any, data_root: Path) -> Iterator[Path]:
    """Give each test an empty data folder, so that no test meets another's events or the developer's own."""
    folder = Path(tempfile.mkdtemp(dir=data_root))
    settings.DATA_DIR = folder
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url() -> str:
    return services.redis_url()


@pytest.fixture
def postgres_url() -> str:
    return services.postgres_url()


@pytest.fixture
def chromium_path() -> str:
    return services.chromium_path()
