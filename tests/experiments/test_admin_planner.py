"""The way from an experiment's form to the planner."""

from __future__ import annotations

import pytest

from tests.experiments.admin_client import Person
from tests.experiments.shop import make_draft, make_with_status

pytestmark = pytest.mark.django_db
CHANGE = "experiments_experiment_change"


def test_page__of_a_draft__leads_to_the_planner_for_this_experiment() -> None:
    draft = make_draft()
    page = Person("experimenter").get(CHANGE, draft.pk).content.decode()
    assert f'href="/reports/planner/?experiment={draft.key}&amp;site={draft.site.key}"' in page


def test_page__of_a_running_experiment__has_its_plan_frozen_and_no_planner() -> None:
    running = make_with_status("running")
    assert "/reports/planner/?" not in Person("experimenter").get(CHANGE, running.pk).content.decode()
