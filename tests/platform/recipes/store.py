"""A store in front of another one, which remembers what it was asked."""

from __future__ import annotations

from typing import Any

asked: list[str] = []


class RememberingStore:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        asked.append(name)
        return getattr(self._inner, name)
