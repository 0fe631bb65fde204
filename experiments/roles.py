"""The three roles and what each may do, as one table; granted after every migrate.

Permissions come into being only after migrations have run (Django's `post_migrate`), and later versions add models. So the
migration creates the groups with what it can see, and `grant_roles` completes them after every migrate. It only ever adds:
what an administrator grants on top stays. Rules for a person of your own making belong into a group of your own.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed_apps

VIEWER, EXPERIMENTER, ADMIN = "viewer", "experimenter", "admin"

_VIEW = ("view",)
_EDIT = ("view", "add", "change", "delete")

# Role -> app label -> model name ("*": every model) -> verbs. `run_experiment` is a permission of its own.
ROLES: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    VIEWER: {
        "experiments": dict.fromkeys(
            (
                "site",
                "metric",
                "layer",
                "holdout",
                "experiment",
                "variant",
                "experimentmetric",
                "flag",
                "flagrule",
                "frozenplan",
                "publishedruleset",
            ),
            _VIEW,
        ),
        "reports": {"*": _VIEW},
        "auditlog": {"*": _VIEW},
    },
    EXPERIMENTER: {
        "experiments": {
            "site": _VIEW,
            "frozenplan": _VIEW,
            "publishedruleset": _VIEW,
            "metric": _EDIT,
            "layer": _EDIT,
            "holdout": _EDIT,
            "experiment": (*_EDIT, "run"),
            "variant": _EDIT,
            "experimentmetric": _EDIT,
            "flag": _EDIT,
            "flagrule": _EDIT,
        },
        "reports": {"*": _VIEW},
        "auditlog": {"*": _VIEW},
    },
    ADMIN: {
        "experiments": {
            "*": _EDIT,
            "experiment": (*_EDIT, "run"),
            "apikey": ("view", "add", "change"),  # revoked, never deleted: the trail must know it
            "frozenplan": _VIEW,
            "publishedruleset": _VIEW,
        },
        "tracking": {"*": _VIEW},
        "reports": {"*": _VIEW},
        "auditlog": {"*": _VIEW},
        "auth": {"user": _EDIT, "group": _VIEW},
    },
}


def permission_codes(role: str, app_label: str, models: list[str]) -> set[str]:
    """Return the code names that `role` has on `models` of one app."""
    table = ROLES[role].get(app_label, {})
    codes = set()
    for model in models:
        verbs = table.get(model, table.get("*", ()))
        codes |= {f"{verb}_{model}" for verb in verbs}
    return codes


def grant_roles(
    app_config: AppConfig | None = None, using: str = "default", apps: Any = installed_apps, **_: Any
) -> None:
    """Give every role its permissions on the models of one app that has just been migrated."""
    if app_config is None or not any(app_config.label in table for table in ROLES.values()):
        return
    try:
        group_model = apps.get_model("auth", "Group")
        permission_model = apps.get_model("auth", "Permission")
        models = [str(model._meta.model_name) for model in apps.get_app_config(app_config.label).get_models()]
    except LookupError:  # migrated so far, or so far back, that these tables are not there
        return
    for role in ROLES:
        codes = permission_codes(role, app_config.label, models)
        found = permission_model.objects.using(using).filter(
            content_type__app_label=app_config.label, codename__in=codes
        )
        group, _created = group_model.objects.using(using).get_or_create(name=role)
        missing = found.exclude(pk__in=group.permissions.using(using).values_list("pk", flat=True))
        group.permissions.add(*missing)
