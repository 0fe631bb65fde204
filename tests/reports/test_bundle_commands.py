"""From the event store to a file, and from the file back to every number, with and without a Django database."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from experiments import services as experiments
from experiments.models import Experiment
from reports import services
from reports.models import AnalysisRun
from tests.reports.factories import NOW, START, make_person, make_run, make_running
from tests.reports.test_run_analysis import expose, send
from tracking.selectors import event_store

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def experiment() -> Experiment:
    made = make_running()
    for n in range(12):
        expose(f"secret-visitor-{n}", "control" if n % 2 else "banner", START + n * HOUR)
        if n % 3 == 0:
            send(f"secret-visitor-{n}", "add_to_cart", START + (n + 1) * HOUR)
        if n % 4 == 0:
            send(f"secret-visitor-{n}", "purchase", START + (n + 2) * HOUR, value=19.99)
    return made


def analysed(experiment: Experiment) -> AnalysisRun:
    run = services.run_analysis(experiment=experiment, as_of=NOW, now=NOW)
    assert run.status == "done", run.error
    return run


def export(file: Path, *args: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("export_bundle", "free-shipping", str(file), *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def reproduce(file: Path) -> str:
    out = StringIO()
    call_command("reproduce", str(file), stdout=out)
    return out.getvalue()


def failed(file: Path) -> tuple[int, str, str]:
    out = StringIO()
    with pytest.raises(CommandError) as error:
        call_command("reproduce", str(file), stdout=out)
    return error.value.returncode, str(error.value), out.getvalue()


def test_reproduce__exported_run__agrees_and_names_no_visitor(experiment: Experiment, tmp_path: Path) -> None:
    run = analysed(experiment)
    said, warned = export(tmp_path / "b.json")
    assert f"Run {run.pk} of free-shipping, 12 visitors" in said
    assert warned == ""
    assert "agree to 1e-9" in reproduce(tmp_path / "b.json")
    assert "secret-visitor" not in (tmp_path / "b.json").read_text()


def test_reproduce__without_a_database__agrees_all_the_same(
    experiment: Experiment, tmp_path: Path, django_db_blocker: pytest.FixtureRequest
) -> None:
    analysed(experiment)
    export(tmp_path / "b.json")
    with django_db_blocker.block():  # type: ignore[attr-defined]
        assert "agree to 1e-9" in reproduce(tmp_path / "b.json")


def test_reproduce__changed_number__names_the_place_and_fails(experiment: Experiment, tmp_path: Path) -> None:
    analysed(experiment)
    file = tmp_path / "b.json"
    export(file)
    document = json.loads(file.read_text())
    document["result"]["metrics"][0]["values"][0]["converted"] += 1
    file.write_text(json.dumps(document))
    status, message, said = failed(file)
    assert (status, message.split()[0]) == (1, "1")
    assert "bundle_tampered" in said
    assert "metrics[0].values[0].converted: stored" in said


def test_reproduce__of_another_code_version__says_so(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed(experiment)
    export(tmp_path / "b.json")
    monkeypatch.setattr("reports.management.commands.reproduce.code_version", lambda: "9.9.9+def")
    said = reproduce(tmp_path / "b.json")
    assert "Another code version" in said and "9.9.9+def" in said


def test_reproduce__what_is_no_bundle__is_status_2_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("{}")
    assert failed(tmp_path / "b.json")[:1] == (2,)
    assert failed(tmp_path / "b.json")[1].startswith("bundle_malformed: ")
    assert failed(tmp_path / "none.json")[1].startswith("file_unreadable: ")


def test_reproduce__columns_that_the_plan_does_not_know__is_status_2(experiment: Experiment, tmp_path: Path) -> None:
    analysed(experiment)
    file = tmp_path / "b.json"
    export(file)
    document = json.loads(file.read_text())
    document["totals"]["columns"] = {}
    file.write_text(json.dumps(document))
    status, message, _ = failed(file)
    assert (status, message.split(":")[0]) == (2, "bundle_not_computable")


def test_export__event_arrived_after_the_run__says_that_the_inputs_changed(
    experiment: Experiment, tmp_path: Path
) -> None:
    analysed(experiment)
    send("secret-visitor-1", "add_to_cart", START + 5 * HOUR)
    _, warned = export(tmp_path / "b.json")
    assert "The events changed since this run" in warned
    status, _, said = failed(tmp_path / "b.json")
    assert status == 1
    assert "inputs_hash: stored" in said
    assert "The events had changed between the run and the export" in said


def test_export__visitor_erased_after_the_run__says_that_the_inputs_changed(
    experiment: Experiment, tmp_path: Path
) -> None:
    analysed(experiment)
    assert event_store().erase_visitor(site="shop", visitor="secret-visitor-3")
    assert "erased visitors" in export(tmp_path / "b.json")[1]


def test_export__events_after_the_moment_of_the_run__change_nothing(experiment: Experiment, tmp_path: Path) -> None:
    run = services.run_analysis(experiment=experiment, as_of=START + 100 * HOUR, now=NOW)
    send("secret-visitor-1", "add_to_cart", START + 200 * HOUR)
    analysed(experiment)
    _, warned = export(tmp_path / "b.json", "--run", str(run.pk))
    assert warned == ""
    assert "agree to 1e-9" in reproduce(tmp_path / "b.json")


def test_export__stopped_and_given_a_metric_after_the_run__leaves_both_out(
    experiment: Experiment, tmp_path: Path
) -> None:
    run = services.run_analysis(experiment=experiment, as_of=START + 200 * HOUR, now=NOW)
    extra = experiments.ensure_metric(site=experiment.site, key="extra", event_name="extra")
    experiments.add_exploratory_metric(experiment=experiment, metric=extra)
    experiments.stop_experiment(experiment=experiment, reason="Enough.", now=NOW)
    export(tmp_path / "b.json", "--run", str(run.pk))
    assert "agree to 1e-9" in reproduce(tmp_path / "b.json")


@pytest.mark.parametrize(("args", "code"), [(("--run", "999999"), "unknown_run"), ((), "unknown_run")])
def test_export__run_that_is_not_there__is_refused(tmp_path: Path, args: tuple[str, ...], code: str) -> None:
    make_running()
    with pytest.raises(CommandError, match=f"{code}: .*free-shipping"):
        export(tmp_path / "b.json", *args)


def test_export__failed_run__is_refused(tmp_path: Path) -> None:
    run = make_run(make_running(), None)
    with pytest.raises(CommandError, match="run_without_result"):
        export(tmp_path / "b.json", "--run", str(run.pk))


def test_report_page__offers_the_bundle_and_the_download_reproduces(experiment: Experiment, tmp_path: Path) -> None:
    run = analysed(experiment)
    client = Client()
    client.force_login(make_person())
    page = client.get("/reports/free-shipping/").content.decode()
    assert "Reproduce bundle" in page and "bundle.json?site=shop" in page
    answer = client.get("/reports/free-shipping/bundle.json?site=shop")
    assert answer["Content-Disposition"] == f'attachment; filename="free-shipping-run-{run.pk}.bundle.json"'
    (tmp_path / "b.json").write_bytes(answer.content)
    assert "agree to 1e-9" in reproduce(tmp_path / "b.json")
    assert client.get("/reports/free-shipping/bundle.json?run=999999").status_code == 404
    assert Client().get("/reports/free-shipping/bundle.json").status_code == 302
