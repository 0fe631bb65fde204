"""The OpenAPI document: valid, whole, and true for what the API really answers."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from config.client_api import ROUTES
from reports import services
from reports.urls import urlpatterns
from tests.reports import documents
from tests.reports.factories import NOW, START, make_run, make_running
from tests.reports.test_api import key_of
from tracking import services as tracking

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema() -> dict[str, Any]:
    response = Client().get("/api/schema/")
    assert response.status_code == 200
    document: dict[str, Any] = yaml.safe_load(response.content)
    return document


def validator(schema: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    resource = Resource(contents=schema, specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)
    return jsonschema.Draft202012Validator({"$ref": f"urn:openapi#/components/schemas/{name}"}, registry=registry)


def test_schema__validated_by_drf_spectacular__has_neither_fault_nor_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_schema__every_address_of_the_api__is_described(schema: dict[str, Any]) -> None:
    rest = {f"/{p.pattern}".replace("<str:", "{").replace("<int:", "{").replace(">", "}") for p in urlpatterns}
    # Protocols of others (Segment, GrowthBook, OpenFeature) have their own descriptions.
    expected = {path for path in {*ROUTES, *rest} if path.startswith("/api/v1/")}
    assert set(schema["paths"]) == expected


def test_schema__references__all_lead_somewhere(schema: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    missing = [
        ref
        for ref in references(schema)
        if ref.removeprefix("#/components/schemas/") not in schema["components"]["schemas"]
    ]
    assert not missing


def test_schema__answers_of_the_list_and_of_errors__follow_it(schema: dict[str, Any]) -> None:
    experiment = make_running()
    make_run(experiment, documents.document())
    key = key_of(experiment.site)
    listed = Client().get("/api/v1/experiments", headers={"Authorization": f"Bearer {key}"}).json()
    validator(schema, "Experiments").validate(listed)
    refused = Client().get("/api/v1/experiments").json()
    validator(schema, "Error").validate(refused)


def test_schema__report_of_a_real_analysis__follows_it(schema: dict[str, Any]) -> None:
    experiment = make_running()
    for n in range(60):
        tracking.record_exposures(
            site="shop",
            exposures=[(f"v{n}", "free-shipping", ("control", "banner")[n % 2])],
            now_us=int(START.timestamp() * 1e6) + n,
        )
    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)
    assert run.status == "done", run.error
    key = key_of(experiment.site)
    headers = {"Authorization": f"Bearer {key}"}
    document = Client().get("/api/v1/experiments/free-shipping/report", headers=headers).json()
    assert sum(v["visitors"] for v in document["variants"]) == 60
    validator(schema, "Report").validate(document)


def test_docs__page__asks_no_other_host_for_anything() -> None:
    html = Client().get("/api/docs/").content.decode()
    assert "swagger-ui" in html
    assert "//cdn" not in html
    assert "https://" not in html
