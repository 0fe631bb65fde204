"""What the data tests share."""

from __future__ import annotations

import pytest

from tracking import services
from tracking.recent import RecentIds


@pytest.fixture(autouse=True)
def forgetful_intake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an intake that has seen nothing: what this process accepted lately lies in another test's folder."""
    monkeypatch.setattr(services, "_recent", RecentIds())
