"""Robots that say so themselves in their user agent. Finding those that hide is for the analysis, not for assignment."""

from __future__ import annotations

import re
from functools import lru_cache

# Tools (curl, HTTP libraries, headless browsers) are left out on purpose: servers and tests call with them for people.
_DECLARED = re.compile(
    r"(?<!cu)bot(?![a-z])|crawler|spider|slurp|facebookexternalhit|bingpreview|mediapartners-google", re.IGNORECASE
)


@lru_cache(maxsize=4096)  # a site's visitors share few user agents
def declares_bot(user_agent: str) -> bool:
    """Say whether a user agent names itself a robot, such as Googlebot. (Cubot makes telephones.)"""
    return _DECLARED.search(user_agent) is not None
