"""The pages, in every state that an experiment can be in, through Django's client."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from experiments import services as experiments
from reports import services
from reports.models import AnalysisRun
from reports.sections import SECTIONS
from reports.sections.base import Section
from tests.reports import documents
from tests.reports.factories import make_draft, make_person, make_run, make_running, make_site

pytestmark = pytest.mark.django_db
REPORT = "/reports/free-shipping/"


@pytest.fixture
def viewer() -> Client:
    client = Client()
    client.force_login(make_person())
    return client


@pytest.fixture
def experimenter() -> Client:
    client = Client()
    client.force_login(make_person("erin", "experimenter"))
    return client


def text_of(response: Any) -> str:
    """Return what a reader sees: tags gone, white space joined, the page's narrow spaces made plain."""
    html = re.sub(r"<(style|script|svg).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    plain = re.sub(r"<[^>]+>", "", html)
    return re.sub(r"\s+", " ", plain.replace("&#x27;", "'"))


def page(client: Client, path: str = REPORT, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return text_of(response)


# --- Who may come in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/reports/", REPORT, "/reports/free-shipping/report.json"])
def test_pages__nobody_signed_in__are_sent_to_the_sign_in_and_back(path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/login/?next=")


def test_pages__signed_in_without_any_group__is_403_with_advice() -> None:
    client = Client()
    client.force_login(User.objects.create_user("nobody"))
    make_running()
    assert "An administrator can put you into the group" in page(client, status=403)


def test_sign_in__viewer__lands_on_the_reports() -> None:
    make_person(password="a-long-enough-password")
    client = Client()
    response = client.post("/login/", {"username": "vera", "password": "a-long-enough-password"})
    assert (response.status_code, response["Location"]) == (302, "/reports/")
    assert client.post("/logout/").status_code == 302
    assert client.get("/reports/").status_code == 302


def test_root__anyone__leads_to_the_reports() -> None:
    assert Client().get("/")["Location"] == "/reports/"


# --- The list ------------------------------------------------------------------------------------------------------------


def test_list__nothing_yet__says_what_to_do(viewer: Client) -> None:
    assert "No experiment has started yet." in page(viewer, "/reports/")


def test_list__with_verdict_and_without__shows_both_and_leaves_drafts_and_the_archive_out(viewer: Client) -> None:
    make_run(make_running(), documents.document())
    make_running("fresh", name="Fresh one")
    make_draft("draft", name="A draft")
    gone = experiments.stop_experiment(
        experiment=make_running("gone", name="Gone one"), reason="Done.", now=timezone.now()
    )
    experiments.archive_experiment(experiment=gone, now=timezone.now())

    text = page(viewer, "/reports/")

    assert "Free shipping banner on the product page" in text
    assert "Ship it" in text
    assert "Visitors 2,800" in text
    assert "Fresh one" in text and "Waiting for the first answer" in text
    assert "A draft" not in text and "Gone one" not in text
    assert "Gone one" in page(viewer, "/reports/?status=archived")


def test_list__search__finds_words_of_name_or_key_and_says_when_nothing_matches(viewer: Client) -> None:
    make_running()
    make_running("other", name="Another question")
    text = page(viewer, "/reports/?q=banner+FREE")
    assert "Free shipping banner" in text and "Another question" not in text
    assert "Nothing matches." in page(viewer, "/reports/?q=<script>alert(1)</script>")


def test_list__sixty_experiments__comes_in_pages_with_few_queries(
    viewer: Client, django_assert_max_num_queries: Any
) -> None:
    for n in range(60):
        make_run(make_running(f"e{n}"), documents.document())
    with django_assert_max_num_queries(15):
        text = page(viewer, "/reports/?page=2")
    assert "Page 2 of 3" in text


# --- One report ----------------------------------------------------------------------------------------------------------


def test_report__good_run__has_verdict_health_metrics_exposures_and_method(viewer: Client) -> None:
    make_run(make_running(planned_visitors=3000), documents.document())
    text = page(viewer)
    assert "Verdict: Ship it" in text
    assert "2,800 of 3,000 planned" in text
    assert "1 warning to read" in text
    # 421/1403 = 30.007 %, 62/1403 = 4.419 %, 2412.5/1403 = 1.7195
    for number in ("30.01 %", "4.42 %", "1.720", "+14.0 %", "+5.9 % to +22.1 %", "0.017"):
        assert number in text
    assert "Safe" in text
    assert "Show the working" in text
    assert "Miettinen" in text
    assert "sha256 of the whole plan" in text
    assert "Analysed when" in text


def test_report__drawn_intervals__are_named_for_those_who_do_not_see_them(viewer: Client) -> None:
    make_run(make_running(), documents.document())
    html = viewer.get(REPORT).content.decode().replace("\u202f", " ")
    assert 'role="img" aria-label="banner: +14.0 %, +5.9 % to +22.1 %"' in html
    assert "<script" not in html


def test_report__five_variants_open_interval_and_not_computable__shows_sentences_not_numbers(viewer: Client) -> None:
    names = [v["key"] for v in documents.five_variants()["variants"]]
    make_run(make_running(variants=names), documents.five_variants())
    text = page(viewer)
    assert text.count("Too few conversions yet: 3, and 10 are needed") >= 4
    assert "above +21.0 %" in text
    assert "−17.9 %" in text and "Worse" in text


def test_report__text_from_outside__is_never_markup(viewer: Client) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    document = documents.document()
    document["verdict"]["summary"] = document["health"][0]["title"] = document["variants"][1]["key"] = nasty
    document["exposures"]["variants"] = ["control", nasty]
    make_run(make_running(name=nasty), document)
    html = viewer.get(REPORT).content.decode()
    assert "<img" not in html
    assert "&lt;img" in html


def test_report__draft__says_it_has_not_started(viewer: Client) -> None:
    make_draft()
    text = page(viewer)
    assert "Not started" in text and "no visitor has met it yet" in text
    assert "JSON" not in text


def test_report__draft_without_variants__is_no_error(viewer: Client) -> None:
    make_draft(variants=("control",))
    assert "Not started" in page(viewer)


def test_report__running_not_analysed_yet__says_when(viewer: Client) -> None:
    make_running(at=timezone.now())
    text = page(viewer)
    assert "The first analysis is on its way." in text
    assert "Within 15 minutes." in text


def test_report__failed_and_nothing_before__says_why_without_a_trace(viewer: Client) -> None:
    make_run(make_running(), None)
    text = page(viewer)
    assert "The analysis failed. The analysis stopped. It is tried again." in text
    assert "No answer" in text


def test_report__failed_after_a_good_one__shows_the_good_one_with_its_age(viewer: Client) -> None:
    now = timezone.now()
    experiment = make_running(at=now - timedelta(days=20))
    make_run(experiment, documents.document(), at=now - timedelta(hours=3))
    make_run(experiment, None, at=now - timedelta(minutes=5))
    text = page(viewer)
    assert "The latest analysis failed, 5 minutes ago" in text
    assert "the last good answer, from 3 hours ago" in text
    assert "Ship it" in text


def test_report__analysis_overdue__says_that_the_numbers_are_old(viewer: Client) -> None:
    now = timezone.now()
    make_run(make_running(at=now - timedelta(days=20)), documents.document(), at=now - timedelta(hours=2))
    assert "These numbers are old" in page(viewer)


def test_report__stopped_and_archived__say_so_with_the_reason(viewer: Client) -> None:
    experiment = make_running()
    make_run(experiment, documents.document())
    stopped = experiments.stop_experiment(experiment=experiment, reason="Legal asked.", now=timezone.now())
    text = page(viewer)
    assert "Stopped on" in text and "Reason: Legal asked." in text
    experiments.archive_experiment(experiment=stopped, now=timezone.now())
    assert "Archived" in page(viewer)


def test_report__paused__says_that_visitors_are_still_followed(viewer: Client) -> None:
    experiment = make_running()
    make_run(experiment, documents.document())
    experiments.pause_experiment(experiment=experiment, now=timezone.now())
    assert "those who met one are still followed" in page(viewer)


def test_report__imported__says_that_no_plan_was_made_beforehand(viewer: Client) -> None:
    site = make_site()
    metric = experiments.ensure_metric(site=site, key="purchase", event_name="purchase", conversion="macro")
    now = timezone.now()
    experiment = experiments.ensure_imported_experiment(
        site=site,
        key="old-mail",
        control="control",
        variants=["control", "banner"],
        metrics=[metric],
        started_at=now - timedelta(days=60),
        ended_at=now - timedelta(days=30),
    )
    make_run(experiment, documents.document())
    text = page(viewer, "/reports/old-mail/")
    assert "Imported" in text and "one look at finished data" in text
    assert "These numbers are old" not in text


def test_report__earlier_run__shows_what_it_said_then(viewer: Client) -> None:
    experiment = make_running()
    first = make_run(experiment, documents.document())
    make_run(experiment, documents.document(verdict={"state": "harm", "summary": "Worse now.", "reasons": []}))
    assert "Worse now." in page(viewer)
    text = page(viewer, f"/reports/free-shipping/runs/{first.pk}/")
    assert "Ship banner." in text and "An earlier answer" in text
    page(viewer, "/reports/free-shipping/runs/999999/", status=404)


def test_report__run_of_another_experiment__is_404(viewer: Client) -> None:
    make_running()
    other = make_run(make_running("other"), documents.document())
    page(viewer, f"/reports/free-shipping/runs/{other.pk}/", status=404)


def test_report__unknown_key__is_404_with_the_key(viewer: Client) -> None:
    assert "There is no experiment 'nothing'." in page(viewer, "/reports/nothing/", status=404)


def test_report__key_on_two_sites__asks_which_one(viewer: Client) -> None:
    for site in ("one", "two"):
        make_run(make_running(site=make_site(site)), documents.document())
    assert "Several sites have an experiment" in page(viewer)
    assert "Ship it" in page(viewer, f"{REPORT}?site=two")


def test_report__one_section_breaks__the_others_and_the_verdict_stay(viewer: Client, caplog: Any) -> None:
    broken = documents.document()
    broken["exposures"] = {"days": ["not a day"], "counts": [[1, 2]], "variants": ["control", "banner"]}
    make_run(make_running(), broken)
    text = page(viewer)
    assert "This part could not be shown." in text
    assert "Ship it" in text and "Method and plan" in text
    assert "Section exposures" in caplog.text


def test_report__days__follow_the_zone_of_the_site(viewer: Client) -> None:
    # 2026-03-30 06:00 UTC is 30 March, 15:00 in Tokyo.
    make_run(make_running(site=make_site(time_zone="Asia/Tokyo")), documents.document())
    assert "30 Mar 2026, 15:00" in page(viewer)


def test_sections__each__has_a_template_and_a_key_of_its_own() -> None:
    assert len({s.key for s in SECTIONS}) == len(SECTIONS)
    assert len({s.template for s in SECTIONS}) == len(SECTIONS)


# --- Downloads and the button --------------------------------------------------------------------------------------------


def test_downloads__viewer__get_the_document_and_the_table(viewer: Client) -> None:
    run = make_run(make_running(), documents.document())
    assert viewer.get("/reports/free-shipping/report.json").json()["run"]["id"] == run.pk
    csv = viewer.get("/reports/free-shipping/report.csv")
    assert csv["Content-Type"].startswith("text/csv")
    assert csv["Content-Disposition"] == 'attachment; filename="free-shipping.csv"'
    assert csv.content.decode().count("\r\n") == 1 + 6


def test_analyse_now__experimenter__runs_at_once_and_comes_back(
    experimenter: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_compute", lambda experiment, plan, as_of: documents.document())
    make_running()
    response = experimenter.post("/reports/free-shipping/analyse/", follow=True)
    assert "Analysed just now" in text_of(response)
    assert AnalysisRun.objects.count() == 1


def test_analyse_now__failing__says_so_and_keeps_the_page(
    experimenter: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(experiment: object, plan: object, as_of: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(services, "_compute", broken)
    make_run(make_running(), documents.document())
    text = text_of(experimenter.post("/reports/free-shipping/analyse/", follow=True))
    assert "The analysis failed; the last good answer is still shown." in text
    assert "inside" not in text


def test_analyse_now__viewer__is_403_and_sees_no_button(viewer: Client) -> None:
    make_run(make_running(), documents.document())
    assert "Analyse now" not in page(viewer)
    assert viewer.post("/reports/free-shipping/analyse/").status_code == 403


def test_analyse_now__get_or_no_token__does_nothing(experimenter: Client) -> None:
    make_running()
    assert experimenter.get("/reports/free-shipping/analyse/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="erin"))
    response = strict.post("/reports/free-shipping/analyse/")
    assert response.status_code == 403
    assert "This form is too old." in text_of(response)
    assert not AnalysisRun.objects.exists()


def test_error_page__breaking_view__tells_nothing_of_the_inside(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr("reports.selectors.reportable_experiments", broken)
    viewer.raise_request_exception = False
    text = page(viewer, "/reports/", status=500)
    assert "Something broke on our side." in text
    assert "inside" not in text


def test_admin__runs__can_be_read_and_not_changed() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    run = make_run(make_running(), documents.document())
    assert client.get("/admin/reports/analysisrun/").status_code == 200
    assert client.get(f"/admin/reports/analysisrun/{run.pk}/change/").status_code == 200
    assert client.post(f"/admin/reports/analysisrun/{run.pk}/change/", {"code_version": "x"}).status_code == 403
    assert client.get("/admin/reports/analysisrun/add/").status_code == 403
    assert client.post(f"/admin/reports/analysisrun/{run.pk}/delete/", {"post": "yes"}).status_code == 403


def test_recipe__a_section_of_ones_own__is_one_value_in_the_list_and_one_template(
    viewer: Client, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any
) -> None:
    (tmp_path / "weather.html").write_text("<h2>{{ title }}</h2><p>{{ view }}</p>")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [*settings.TEMPLATES[0]["DIRS"], tmp_path]}]
    weather = Section("weather", "Weather", "weather.html", lambda report: f"Sunny for {report.experiment.key}.")
    monkeypatch.setattr("reports.views.pages.SECTIONS", (*SECTIONS, weather))
    make_run(make_running(), documents.document())
    text = page(viewer)
    assert "Weather" in text and "Sunny for free-shipping." in text
