"""A refusal that says what is wrong and what to do instead."""

from __future__ import annotations


class Refused(ValueError):
    """A request that breaks a rule. `code` is for machines, `message` says what is wrong, `advice` what to do instead."""

    def __init__(self, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.advice = advice
