"""How the admin looks: name, colours, navigation. Read by django-unfold through `settings.UNFOLD`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _needs(permission: str) -> Callable[[HttpRequest], bool]:
    def has_permission(request: HttpRequest) -> bool:
        return bool(request.user.has_perm(permission))

    return has_permission


def _item(title: str, icon: str, view: str, permission: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(view), "permission": _needs(permission)}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Inkling",
    "SITE_HEADER": "Inkling",
    "SITE_SUBHEADER": "Know sooner, ship safely",
    "SITE_SYMBOL": "water_drop",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("experiments/inkling.svg")},
    ],
    "SITE_URL": "/reports/",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "experiments.admin.dashboard.dashboard",
    "STYLES": [lambda request: static("experiments/admin.css")],
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254)",
            "100": "oklch(93.2% .032 256)",
            "200": "oklch(88.2% .059 254)",
            "300": "oklch(80.9% .105 252)",
            "400": "oklch(70.7% .165 255)",
            "500": "oklch(60% .19 260)",
            "600": "oklch(50% .19 263)",
            "700": "oklch(44% .18 264)",
            "800": "oklch(39% .15 266)",
            "900": "oklch(34% .12 267)",
            "950": "oklch(26% .09 268)",
        },
    },
    "COMMAND": {"search_models": ["experiments.experiment", "experiments.metric"]},
    "SIDEBAR": {
        "show_search": False,
        "command_search": True,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "",
                "items": [
                    {"title": "Start", "icon": "home", "link": reverse_lazy("admin:index")},
                    {"title": "Reports", "icon": "query_stats", "link": "/reports/"},
                    {"title": "Planner", "icon": "calculate", "link": "/reports/planner/"},
                    {"title": "Tracking", "icon": "sensors", "link": "/tracking/"},
                ],
            },
            {
                "title": "Experiment",
                "separator": True,
                "items": [
                    _item(
                        "Experiments",
                        "science",
                        "admin:experiments_experiment_changelist",
                        "experiments.view_experiment",
                    ),
                    _item("Metrics", "straighten", "admin:experiments_metric_changelist", "experiments.view_metric"),
                    _item("Flags", "flag", "admin:experiments_flag_changelist", "experiments.view_flag"),
                    _item("Layers", "layers", "admin:experiments_layer_changelist", "experiments.view_layer"),
                    _item("Holdouts", "group_off", "admin:experiments_holdout_changelist", "experiments.view_holdout"),
                ],
            },
            {
                "title": "Set up",
                "separator": True,
                "items": [
                    _item("Sites", "public", "admin:experiments_site_changelist", "experiments.view_site"),
                    _item("API keys", "key", "admin:experiments_apikey_changelist", "experiments.view_apikey"),
                    _item("People", "person", "admin:auth_user_changelist", "auth.view_user"),
                    _item("Roles", "badge", "admin:auth_group_changelist", "auth.view_group"),
                ],
            },
            {
                "title": "Look back",
                "separator": True,
                "items": [
                    _item("Audit trail", "history", "admin:auditlog_logentry_changelist", "auditlog.view_logentry"),
                    _item(
                        "Rulesets",
                        "rule",
                        "admin:experiments_publishedruleset_changelist",
                        "experiments.view_publishedruleset",
                    ),
                ],
            },
        ],
    },
}
