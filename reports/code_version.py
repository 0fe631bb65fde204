"""Which code computed an answer: the product's version and a fingerprint of everything that can change a number."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPUTING = ("experiments/core", "tracking/core", "tracking/stores", "reports/core")


@cache
def code_version() -> str:
    """Return `<version>+<first 12 hex digits of the sha256 over the computing modules>`.

    Two runs with the same version, plan and `as_of` over the same events give the same numbers. It is taken once per
    process, because a process goes on running the code that it loaded.
    """
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    digest = hashlib.sha256()
    for folder in COMPUTING:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{version}+{digest.hexdigest()[:12]}"
