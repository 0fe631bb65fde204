"""Re-tests wired: the earlier experiment's last answer is read, and one that is not finished keeps the new one from starting."""

from __future__ import annotations

from datetime import timedelta

import pytest

from experiments import services as experiments
from experiments.core.readiness import StartRefused
from experiments.models import Experiment, Metric
from experiments.selectors.plans import plan_of
from reports import services
from tests.reports import documents
from tests.reports.factories import NOW, START, make_draft, make_run, make_site

pytestmark = pytest.mark.django_db


def with_windows(experiment: Experiment) -> Experiment:
    Metric.objects.filter(key="add_to_cart").update(window_hours=24)
    return Experiment.objects.get(pk=experiment.pk)


def test_start__retest_of_a_running_experiment__is_refused_with_the_reason() -> None:
    site = make_site()
    first = experiments.start_experiment(experiment=with_windows(make_draft("first", site=site)), now=START)
    again = with_windows(make_draft("again", site=site, retest_of=first))
    with pytest.raises(StartRefused) as refused:
        experiments.start_experiment(experiment=again, now=NOW)
    assert [o.code for o in refused.value.obstacles] == ["retest_impossible"]
    assert "'first' is not finished" in refused.value.message
    experiments.stop_experiment(experiment=first, reason="Over.", now=NOW)
    assert plan_of(experiments.start_experiment(experiment=again, now=NOW)).retest_of == "first"


def test_read_inputs__retest__carries_what_the_first_run_measured() -> None:
    site = make_site()
    first = experiments.start_experiment(experiment=with_windows(make_draft("first", site=site)), now=START)
    first = experiments.stop_experiment(experiment=first, reason="Over.", now=NOW - timedelta(days=1))
    effects = [{"key": key, "log_lift": 0.1, "variance": 0.01} for key in ("add_to_cart", "purchase")]
    proxy = {"prior": {}, "treatments": [{"variant": "banner", "step_effects": effects, "quality": []}]}
    make_run(first, documents.document(proxy=proxy))
    again = experiments.start_experiment(
        experiment=with_windows(make_draft("again", site=site, retest_of=first)), now=NOW - timedelta(hours=2)
    )
    inputs = services.read_inputs(experiment=again, plan=plan_of(again), as_of=NOW)
    assert inputs.earlier is not None
    assert inputs.earlier.experiment == "first" and inputs.earlier.steps == ("add_to_cart", "purchase")
    assert inputs.earlier.effects["banner"] == ((0.1, 0.1), (0.01, 0.01))
    other = experiments.start_experiment(
        experiment=with_windows(make_draft("other", site=site)), now=NOW - timedelta(hours=2)
    )
    assert services.read_inputs(experiment=other, plan=plan_of(other), as_of=NOW).earlier is None
