"""`manage.py analyse`: the same run, for a terminal."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from experiments.models import Experiment
from reports import services
from reports.models import AnalysisRun
from tests.reports import documents
from tests.reports.factories import make_draft, make_running, make_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def document(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    made = documents.document()
    monkeypatch.setattr(services, "_compute", lambda experiment, plan, as_of: {**made, "as_of": as_of.isoformat()})
    return made


def run(*args: str) -> str:
    out = StringIO()
    call_command("analyse", *args, stdout=out)
    return out.getvalue()


def test_analyse__json__prints_the_document_and_which_run_it_is(document: dict[str, Any]) -> None:
    make_running()
    printed = json.loads(run("free-shipping", "--json"))
    stored = AnalysisRun.objects.get()
    assert printed["metrics"] == document["metrics"]
    assert printed["run"]["id"] == stored.pk
    assert printed["schema"] == 1


def test_analyse__plain__says_verdict_values_and_intervals() -> None:
    make_running()
    text = run("free-shipping")
    assert "Ship it  [ship]" in text
    # 421 of 1,403 visitors is 30.007 %.
    assert "30.01" in text
    assert "+14.0" in text and "p = 0.017" in text
    assert "WARNING: 3 visitors met both variants" in text


def test_analyse__as_of_a_day__means_midnight_in_the_zone_of_the_site() -> None:
    make_running(site=make_site(time_zone="Asia/Tokyo"))
    run("free-shipping", "--as-of", "2026-03-20", "--json")
    # Midnight of 20 March in Tokyo (UTC+9) is 15:00 the day before in UTC.
    assert AnalysisRun.objects.get().as_of.isoformat() == "2026-03-19T15:00:00+00:00"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("free-shiping",), "unknown_experiment", "Did you mean free-shipping?"),
        (("zzzzzz",), "unknown_experiment", "There are: free-shipping."),
        (("free-shipping", "--site", "nowhere"), "unknown_experiment", "nowhere"),
        (("free-shipping", "--as-of", "yesterday"), "as_of_malformed", "'yesterday'"),
        (("free-shipping", "--as-of", "2999-01-01"), "as_of_in_future", "2999"),
        (("a-draft",), "not_started", "a-draft"),
    ],
)
def test_analyse__what_cannot_be_done__says_so_with_code_value_and_advice(
    args: tuple[str, ...], code: str, words: str
) -> None:
    make_running()
    make_draft("a-draft")
    with pytest.raises(CommandError) as error:
        run(*args)
    assert str(error.value).startswith(f"{code}: ")
    assert words in str(error.value)


def test_analyse__key_on_two_sites__asks_for_the_site_and_takes_it() -> None:
    make_running(site=make_site("one"))
    make_running(site=make_site("two"))
    with pytest.raises(CommandError, match="ambiguous_experiment"):
        run("free-shipping")
    run("free-shipping", "--site", "two", "--json")
    assert AnalysisRun.objects.get().experiment.site.key == "two"


def test_analyse__failed_run__is_an_error_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(experiment: Experiment, plan: object, as_of: object) -> dict[str, object]:
        raise OSError("disk gone")

    monkeypatch.setattr(services, "_compute", broken)
    make_running()
    with pytest.raises(CommandError, match="event_store_unavailable"):
        run("free-shipping", "--json")
    assert AnalysisRun.objects.get().status == "failed"
