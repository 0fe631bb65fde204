"""Where the real data sets lie: a folder `shared/` beside the project, which a plain clone does not have."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def shared_path(name: str) -> Path:
    """Return a file or folder of `shared/`; the calling test is skipped, with the reason, where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real data set {name} is not beside this project (looked for a folder shared/)")
    return path
