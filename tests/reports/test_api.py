"""Results for programs: server keys only, one site each, errors in one envelope, JSON and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from experiments import services as experiments
from experiments.models import Site
from experiments.selectors import live
from reports.core.wire import CSV_COLUMNS
from tests.reports import documents
from tests.reports.factories import NOW, make_draft, make_run, make_running, make_site

pytestmark = pytest.mark.django_db
LIST = "/api/v1/experiments"
REPORT = "/api/v1/experiments/free-shipping/report"


def key_of(site: Site, kind: str = "server") -> str:
    _, secret = experiments.create_api_key(site=site, kind=kind, name="test")
    live.refresh()
    return secret


def get(path: str, key: str | None = None, **headers: str) -> HttpResponse:
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return Client().get(path, headers=headers)  # type: ignore[return-value]


def error_of(response: HttpResponse) -> dict[str, str]:
    document = response.json()  # type: ignore[attr-defined]
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "advice"}
    assert all(document["error"].values())
    return dict(document["error"])


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def key(site: Site) -> str:
    return key_of(site)


@pytest.mark.parametrize("path", [LIST, REPORT, "/api/v1/experiments/free-shipping/runs/1"])
def test_api__no_key_or_a_wrong_one__is_401_and_names_the_scheme(path: str, site: Site) -> None:
    make_run(make_running(site=site), documents.document())
    for key in (None, "nonsense", ""):
        response = get(path, key)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Bearer"
        error_of(response)


def test_api__client_key__is_403(site: Site) -> None:
    make_run(make_running(site=site), documents.document())
    response = get(REPORT, key_of(site, "client"))
    assert response.status_code == 403
    error_of(response)


def test_api__revoked_key__is_401(site: Site) -> None:
    row, secret = experiments.create_api_key(site=site, kind="server", name="old")
    experiments.revoke_api_key(key=row, now=NOW)
    live.refresh()
    assert get(LIST, secret).status_code == 401


def test_list__experiments_of_two_sites__shows_those_of_the_keys_site_with_their_verdicts(site: Site, key: str) -> None:
    make_run(make_running(site=site), documents.document())
    make_running("no-answer-yet", site=site)
    make_draft("draft", site=site)
    make_running("hidden", site=make_site("other"))

    rows = {row["key"]: row for row in get(LIST, key).json()["experiments"]}  # type: ignore[attr-defined]

    assert set(rows) == {"free-shipping", "no-answer-yet"}
    assert rows["free-shipping"]["verdict"]["state"] == "ship"
    assert rows["free-shipping"]["visitors"] == 1403 + 1397
    assert rows["no-answer-yet"]["verdict"] is None


def test_list__status_asked_for__is_followed_and_an_unknown_one_is_400(site: Site, key: str) -> None:
    make_running(site=site)
    assert len(get(f"{LIST}?status=running", key).json()["experiments"]) == 1  # type: ignore[attr-defined]
    assert get(f"{LIST}?status=stopped", key).json()["experiments"] == []  # type: ignore[attr-defined]
    response = get(f"{LIST}?status=<b>", key)
    assert (response.status_code, error_of(response)["code"]) == (400, "unknown_status")


def test_report__good_run__is_the_stored_document_and_which_run_it_is(site: Site, key: str) -> None:
    run = make_run(make_running(site=site), documents.document())
    document = get(REPORT, key).json()  # type: ignore[attr-defined]
    assert run.result is not None
    assert {name: document[name] for name in run.result} == run.result
    assert document["run"]["id"] == run.pk
    assert document["run"]["code_version"] == run.code_version


def test_report__newer_run_failed__is_the_last_good_one(site: Site, key: str) -> None:
    experiment = make_running(site=site)
    good = make_run(experiment, documents.document())
    make_run(experiment, None)
    assert get(REPORT, key).json()["run"]["id"] == good.pk  # type: ignore[attr-defined]


@pytest.mark.parametrize("ask", [{"path": f"{REPORT}?format=csv"}, {"path": REPORT, "Accept": "text/csv"}])
def test_report__csv__has_one_line_per_metric_and_variant(ask: dict[str, str], site: Site, key: str) -> None:
    make_run(make_running(site=site), documents.document())
    headers = dict(ask)
    response = get(headers.pop("path"), key, **headers)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [(r["metric"], r["variant"]) for r in rows] == [
        (metric, variant) for metric in documents.METRIC_KEYS for variant in ("control", "banner")
    ]
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert rows[1]["converted"] == "478"
    assert float(rows[1]["lift"]) == pytest.approx(0.14)


def test_report__csv_of_a_key_that_starts_a_formula__is_not_run_by_a_spreadsheet(site: Site, key: str) -> None:
    document = documents.document()
    document["metrics"][0]["key"] = '=HYPERLINK("http://evil.example")'
    make_run(make_running(site=site), document)
    cells = [cell for row in csv.reader(io.StringIO(get(f"{REPORT}?format=csv", key).content.decode())) for cell in row]
    assert not [cell for cell in cells if cell.startswith("=")]
    # A negative number stays a number.
    assert "-0.0047" in cells


def test_report__unknown_format__is_400_and_names_the_known_ones(site: Site, key: str) -> None:
    make_run(make_running(site=site), documents.document())
    response = get(f"{REPORT}?format=xml", key)
    assert response.status_code == 400
    error = error_of(response)
    assert error["code"] == "unknown_format"
    assert "csv" in error["advice"]


def test_report__error_while_csv_was_asked_for__is_json(site: Site, key: str) -> None:
    response = get("/api/v1/experiments/nothing/report?format=csv", key)
    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert error_of(response)["code"] == "unknown_experiment"


def test_report__nearly_right_key__is_404_and_guesses(site: Site, key: str) -> None:
    make_running(site=site)
    response = get("/api/v1/experiments/free-shiping/report", key)
    assert response.status_code == 404
    error = error_of(response)
    assert "free-shiping" in error["message"]
    assert "free-shipping" in error["advice"]


def test_report__experiment_of_another_site__does_not_exist_and_is_not_guessed(key: str) -> None:
    make_run(make_running(site=make_site("other")), documents.document())
    response = get(REPORT, key)
    assert response.status_code == 404
    error = error_of(response)
    assert error["code"] == "unknown_experiment"
    assert "Did you mean" not in error["advice"]


def test_report__not_analysed_failed_or_not_started__is_404_with_a_code_of_its_own(site: Site, key: str) -> None:
    make_draft("draft", site=site)
    make_running("fresh", site=site)
    make_run(make_running("failing", site=site), None)
    codes = {
        name: error_of(get(f"/api/v1/experiments/{name}/report", key))["code"] for name in ("draft", "fresh", "failing")
    }
    assert codes == {"draft": "not_started", "fresh": "no_report_yet", "failing": "analysis_failed"}


def test_run__earlier_one__is_still_what_it_was(site: Site, key: str) -> None:
    experiment = make_running(site=site)
    first = make_run(experiment, documents.document())
    make_run(experiment, documents.document(verdict={"state": "harm", "summary": "Worse.", "reasons": []}))
    document = get(f"/api/v1/experiments/free-shipping/runs/{first.pk}", key).json()  # type: ignore[attr-defined]
    assert document["verdict"]["state"] == "ship"


def test_run__of_another_experiment__is_404(site: Site, key: str) -> None:
    make_running(site=site)
    other = make_run(make_running("other", site=site), documents.document())
    response = get(f"/api/v1/experiments/free-shipping/runs/{other.pk}", key)
    assert (response.status_code, error_of(response)["code"]) == (404, "unknown_run")


def test_run__failed_one__says_why_without_a_trace(site: Site, key: str) -> None:
    failed = make_run(make_running(site=site), None)
    response = get(f"/api/v1/experiments/free-shipping/runs/{failed.pk}", key)
    assert (response.status_code, error_of(response)["code"]) == (404, "analysis_failed")


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_api__other_methods__are_405_in_the_envelope(method: str, site: Site, key: str) -> None:
    call: Any = getattr(Client(), method)
    response = call(LIST, headers={"Authorization": f"Bearer {key}"})
    assert response.status_code == 405
    assert error_of(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/api/v1/experiments/a/b/c"])
def test_api__unknown_address__is_404_in_the_envelope(path: str) -> None:
    response = get(path)
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"
