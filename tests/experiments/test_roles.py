"""Roles exist after `migrate` in a fresh database, with what each may do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User

from experiments.roles import ADMIN, EXPERIMENTER, ROLES, VIEWER, grant_roles

ROOT = Path(__file__).resolve().parents[2]
LIST_ROLES = (
    "import json; from django.contrib.auth.models import Group; "
    "print('ROLES=' + json.dumps({g.name: sorted(g.permissions.values_list('codename', flat=True)) for g in Group.objects.all()}))"
)


def _member(role: str) -> User:
    user = User.objects.create_user(role)
    user.groups.add(Group.objects.get(name=role))
    return User.objects.get(pk=user.pk)


def test_migrate__fresh_database__makes_the_three_roles_with_their_permissions(tmp_path: Path) -> None:
    environment = {**os.environ, "INKLING_DATA_DIR": str(tmp_path)}
    environment.pop("DATABASE_URL", None)
    program = (
        "from django.core.management import call_command\n"
        'call_command("migrate", "experiments", "0002", verbosity=0)\n'
        f"{LIST_ROLES}\n"
        'call_command("migrate", verbosity=0)\n'
        f"{LIST_ROLES}\n"
    )

    said = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", program],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    only_experiments, everything = (json.loads(part) for part in said.split("ROLES=")[1:])
    assert {"viewer", "experimenter", "admin"} <= set(only_experiments)
    assert "run_experiment" in only_experiments["experimenter"]
    assert "view_experiment" in only_experiments["viewer"]
    assert "view_analysisrun" in everything["viewer"]
    assert "view_logentry" in everything["viewer"]
    assert "add_user" in everything["admin"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (
            VIEWER,
            ["experiments.view_experiment", "experiments.view_metric", "reports.view_analysisrun"],
            [
                "experiments.change_experiment",
                "experiments.run_experiment",
                "experiments.view_apikey",
                "auth.view_user",
            ],
        ),
        (
            EXPERIMENTER,
            ["experiments.add_experiment", "experiments.run_experiment", "experiments.change_metric"],
            ["experiments.add_apikey", "experiments.change_site", "auth.add_user", "experiments.change_frozenplan"],
        ),
        (
            ADMIN,
            ["experiments.add_apikey", "experiments.change_site", "experiments.run_experiment", "auth.add_user"],
            ["experiments.delete_apikey", "experiments.change_publishedruleset", "auth.change_group"],
        ),
    ],
)
def test_role__of_a_person__gives_what_it_says_and_no_more(role: str, may: list[str], may_not: list[str]) -> None:
    person = _member(role)
    assert [p for p in may if not person.has_perm(p)] == []
    assert [p for p in may_not if person.has_perm(p)] == []


@pytest.mark.django_db
def test_viewer__every_permission__is_reading_only() -> None:
    codes = Group.objects.get(name=VIEWER).permissions.values_list("codename", flat=True)
    assert codes and all(code.startswith("view_") for code in codes)


@pytest.mark.django_db
def test_grant_roles__again__adds_nothing_and_keeps_what_was_granted_by_hand() -> None:
    group = Group.objects.get(name=VIEWER)
    extra = Permission.objects.get(codename="run_experiment")
    group.permissions.add(extra)
    before = set(group.permissions.values_list("pk", flat=True))
    for app_config in apps.get_app_configs():
        grant_roles(app_config=app_config)
    assert set(group.permissions.values_list("pk", flat=True)) == before


@pytest.mark.django_db
def test_grant_roles__groups_lost__brings_them_back() -> None:
    Group.objects.all().delete()
    for app_config in apps.get_app_configs():
        grant_roles(app_config=app_config)
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
    assert _member(EXPERIMENTER).has_perm("experiments.run_experiment")


def test_roles__every_named_model__exists() -> None:
    for table in ROLES.values():
        for app_label, models in table.items():
            for model in models:
                assert model == "*" or apps.get_model(app_label, model)
