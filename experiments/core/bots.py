"""Robots that say so in their user agent. Finding those that hide is for the analysis, not for assignment.

The list is that of crawler-user-agents (Monperrus and others), which is kept up for years by now; what it does not know yet mostly
still calls itself a bot.
"""

from __future__ import annotations

import re
from functools import lru_cache

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

# Tools are left out on purpose: servers and tests call with them for people.
TOOLS = frozenset({"http-library", "browser-automation"})

# Cubot makes telephones.
_SAYS_BOT = re.compile(r"(?<!cu)bot(?![a-z])|crawler|spider", re.IGNORECASE)


@lru_cache(maxsize=1)
def _listed() -> re.Pattern[str]:
    return re.compile("|".join(one["pattern"] for one in CRAWLER_USER_AGENTS_DATA if not TOOLS & set(one["tags"])))


@lru_cache(maxsize=4096)  # a site's visitors share few user agents
def declares_bot(user_agent: str) -> bool:
    """Say whether a user agent names itself a robot, such as Googlebot."""
    return _SAYS_BOT.search(user_agent) is not None or _listed().search(user_agent) is not None
