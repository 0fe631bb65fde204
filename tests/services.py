"""The servers and programs that some tests need: where they are, or why not.

`python -m tests.services postgres` prints the address for the Makefile and leaves with 1 when there is none.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from urllib.parse import urlsplit

REDIS_DEFAULT = "redis://127.0.0.1:6379/15"
POSTGRES_DEFAULT = "postgres://root@127.0.0.1:5432/test"


class Absent(Exception):
    """The service is not to be had here; the message says what was looked for."""


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), timeout=2):
            return True
    except OSError:
        return False


def redis_url() -> str:
    url = os.environ.get("TEST_REDIS_URL", REDIS_DEFAULT)
    if not _answers(url):
        raise Absent("no Redis server answers (set TEST_REDIS_URL, for example redis://127.0.0.1:6379/15)")
    return url


def postgres_url() -> str:
    """Return the address of a PostgreSQL database whose owner may create databases."""
    url = os.environ.get("TEST_DATABASE_URL", POSTGRES_DEFAULT)
    if not _answers(url):
        raise Absent(
            "no PostgreSQL server answers (set TEST_DATABASE_URL, for example postgres://me@127.0.0.1:5432/test)"
        )
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.Error as error:
        raise Absent(
            f"PostgreSQL refuses the login of TEST_DATABASE_URL: {str(error).strip().splitlines()[-1]}"
        ) from error
    return url


def chromium_path() -> str:
    named = os.environ.get("CHROMIUM")
    for candidate in [named] if named else ["chromium", "chromium-browser", "google-chrome"]:
        found = shutil.which(candidate)
        if found:
            return found
    raise Absent("no Chromium is installed (set CHROMIUM to its program)")


FINDERS = {"redis": redis_url, "postgres": postgres_url, "browser": chromium_path}


def main(name: str) -> int:
    try:
        print(FINDERS[name]())
    except Absent as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
