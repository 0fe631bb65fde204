"""A site with keys and a published ruleset, for the tests of the client API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.core.flags import Flag
from experiments.core.lifecycle import Status
from experiments.core.protocol import ClientRequest
from experiments.core.ruleset import ExperimentRule, Ruleset, RuleVariant
from experiments.models import ApiKey, PublishedRuleset, Site
from experiments.services.sites import create_api_key, create_site

VARIANTS = (
    RuleVariant("control", 5_000, is_control=True, payload={"colour": "blue"}),
    RuleVariant("treatment", 5_000, payload={"colour": "green"}, forced_visitors=("tester",)),
)


@dataclass(frozen=True, slots=True)
class LiveSite:
    site: Site
    client_key: str
    server_key: str
    client_row: ApiKey
    server_row: ApiKey


def rule(key: str, **changes: Any) -> ExperimentRule:
    values: dict[str, Any] = {
        "key": key,
        "status": Status.RUNNING,
        "seed": f"{key}-salt",
        "variants": VARIANTS,
        **changes,
    }
    return ExperimentRule(**values)


def publish(site: Site, version: int, *rules: ExperimentRule, flags: tuple[Flag, ...] = ()) -> Ruleset:
    """Publish rules as they are given, past the services that would make them from rows."""
    ruleset = Ruleset(site.key, version, rules, flags=flags)
    PublishedRuleset.objects.create(
        site=site, version=version, document=ruleset.to_document(), content_hash=ruleset.content_hash()
    )
    return ruleset


def make_site(key: str = "shop", **fields: Any) -> LiveSite:
    site = create_site(key=key, name=key, **fields)
    client_row, client_key = create_api_key(site=site, kind="client", name="pages")
    server_row, server_key = create_api_key(site=site, kind="server", name="back end")
    return LiveSite(site, client_key, server_key, client_row, server_row)


def request(
    body: Any = b"",
    key: str | None = None,
    *,
    method: str = "POST",
    path: str = "/api/v1/assignments",
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> ClientRequest:
    """Return a request; a body that is not bytes is sent as JSON."""
    return ClientRequest(
        method=method,
        path=path,
        headers={**({"authorization": f"Bearer {key}"} if key else {}), **(headers or {})},
        query=query or {},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )
