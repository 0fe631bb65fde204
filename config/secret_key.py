"""A secret key for development that outlives a restart, so that nobody is logged out by one."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path


def kept_secret_key(folder: Path) -> str:
    """Return the key kept in a folder, readable for its owner only; the first call makes it.

    Several processes may start at once: all return the same key.
    """
    path = folder / "secret_key"
    if not path.exists():
        descriptor, fresh = tempfile.mkstemp(dir=folder, prefix="secret_key.")
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(64))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            Path(fresh).unlink()
    return path.read_text()
