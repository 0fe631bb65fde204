"""Read settings from environment variables; every fault is told at once, with the name, the value and what was expected."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import dj_database_url
from environs import Env, EnvError

PREFIX = "INKLING_"
T = TypeVar("T")


class ConfigurationError(Exception):
    """The environment cannot be used; one sentence a fault."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("; ".join(self.faults))


class Environment:
    """The variables of this process.

    A variable that is unset or empty takes its default. Faults are collected while reading; `finish` raises them together.
    """

    def __init__(self) -> None:
        self._env = Env()
        self._faults: list[str] = []
        self._known: set[str] = set()

    def text(self, name: str, default: str) -> str:
        return self._read(name, default, self._env.str, "text")

    def flag(self, name: str, default: bool) -> bool:
        return self._read(name, default, self._env.bool, "true or false")

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        expected = f"a whole number from {low:,} to {high:,}"
        value = self._read(name, default, self._env.int, expected)
        if not low <= value <= high:
            self._refuse(name, expected)
            return default
        return value

    def port(self, name: str, default: int) -> int:
        return self.number(name, default, low=1, high=65_535)

    def items(self, name: str, default: list[str]) -> list[str]:
        values = self._read(name, default, self._env.list, "names separated by commas")
        return [value.strip() for value in values if value.strip()]

    def origins(self, name: str) -> list[str]:
        origins = self.items(name, [])
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
                self._refuse(name, "origins separated by commas, each like https://tests.example.com")
        return origins

    def choice(self, name: str, default: str, allowed: Iterable[str]) -> str:
        allowed = list(allowed)
        value = self.text(name, default)
        if value not in allowed:
            self._refuse(name, "one of " + ", ".join(allowed))
            return default
        return value

    def folder(self, name: str, default: Path) -> Path:
        """Return an absolute folder, created if it is missing."""
        path = Path(self.text(name, str(default))).expanduser().resolve()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._refuse(name, f"a folder that can be created and written ({error.strerror})", value=str(path))
            return default
        return path

    def secret(self, name: str, *, at_least: int) -> str | None:
        """Return a secret, or None when it is not set. Its value is never part of a message."""
        value = self._read(name, "", self._env.str, "text") or None
        if value is not None and len(value) < at_least:
            self._refuse(name, f"at least {at_least} characters", value=f"{len(value)} characters long")
        return value

    def address(self, name: str, default: str, schemes: Mapping[str, str]) -> str:
        """Return a URL. `schemes` holds the allowed schemes with an example of each; a password in it is never shown."""
        value = self.text(name, default)
        parts = _split(value)
        if parts is None or parts.scheme not in schemes:
            self._refuse(name, "an address like " + " or ".join(schemes.values()), value=without_password(value))
            return default
        return value

    def database(self, name: str, default: str) -> dict[str, Any]:
        """Return Django's settings of one database, PostgreSQL or SQLite."""
        schemes = {
            "sqlite": "sqlite:////srv/inkling/inkling.sqlite3",
            "postgres": "postgres://user:password@host:5432/name",
            "postgresql": "postgresql://…",
        }
        value = self.address(name, default, schemes)
        try:
            return dict(dj_database_url.parse(value))
        except ValueError as error:
            self._refuse(name, f"an address like {schemes['postgres']} ({error})", value=without_password(value))
            return dict(dj_database_url.parse(default))

    def demand(self, name: str, reason: str) -> None:
        """Note that a variable must be set."""
        if not os.environ.get(name):
            self._faults.append(f"{name} is not set; {reason}")

    def also_known(self, *names: str) -> None:
        """Name variables that others read, so that they do not count as misspelt."""
        self._known.update(names)

    def finish(self) -> None:
        """Raise all faults found, misspelt names included.

        Raises: ConfigurationError.
        """
        for name in sorted(os.environ):
            if name.startswith(PREFIX) and name not in self._known:
                near = difflib.get_close_matches(name, self._known, n=1)
                hint = f"did you mean {near[0]}?" if near else "known are " + ", ".join(sorted(self._known))
                self._faults.append(f"{name} is not a setting of Inkling; {hint}")
        if self._faults:
            raise ConfigurationError(self._faults)

    def _read(self, name: str, default: T, parse: Callable[[str], T], expected: str) -> T:
        self._known.add(name)
        if not os.environ.get(name, "").strip():
            return default
        try:
            return parse(name)
        except EnvError:
            self._refuse(name, expected)
            return default

    def _refuse(self, name: str, expected: str, *, value: str | None = None) -> None:
        shown = value if value is not None else repr(os.environ.get(name, ""))
        self._faults.append(f"{name} is {shown}; expected {expected}")


def without_password(address: str) -> str:
    """Return an address for people to read, its password replaced."""
    parts = _split(address)
    if parts is None:
        return "(not an address)"
    if parts.password:
        return repr(address.replace(f":{parts.password}@", ":***@", 1))
    return repr(address)


def _split(address: str) -> Any:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts
