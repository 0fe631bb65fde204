"""Run in the copy that has followed the recipes: one experiment through the whole pipe; print what came of it as JSON."""

from __future__ import annotations

import datetime as dt
import json
import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402

from experiments import services  # noqa: E402
from experiments.models import Experiment, ExperimentMetric, Variant  # noqa: E402
from reports.services import run_analysis  # noqa: E402
from tracking.services import ingest  # noqa: E402
from tracking.stores import store  # noqa: E402  # the recipe's file

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
START = NOW - dt.timedelta(days=30)


def microseconds(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


call_command("migrate", verbosity=0)
site = services.ensure_site(key="shop")
metric = services.ensure_metric(
    site=site, key="again", name="Bought again", event_name="purchase", conversion="macro", kind="repeat"
)
draft = Experiment.objects.create(site=site, key="recipes", name="Recipes", hypothesis="They work.", horizon_weeks=4)
for position, key in enumerate(("control", "treatment")):
    Variant.objects.create(experiment=draft, key=key, position=position, is_control=not position, weight=5_000)
ExperimentMetric.objects.create(experiment=draft, metric=metric, role="primary")
experiment = services.start_experiment(experiment=draft, now=START)

events: list[dict[str, object]] = []
for number in range(400):
    variant = ("control", "treatment")[number % 2]
    visitor = f"v{number}"
    met = START + dt.timedelta(hours=1, minutes=number)

    def event(
        name: str, minutes: int, visitor: str = visitor, met: dt.datetime = met, **more: object
    ) -> dict[str, object]:
        moment = met + dt.timedelta(minutes=minutes)
        return {"name": name, "visitor_id": visitor, "timestamp": moment.isoformat(), **more}

    events.append(event("$exposure", 0, properties={"experiment": "recipes", "variant": variant}))
    # Everybody buys once; 40 of 200 in control and 60 of 200 in treatment buy twice.
    again = number // 2 < (60 if variant == "treatment" else 40)
    events += [event("purchase", 5), *([event("purchase", 9)] if again else [])]
for first in range(0, len(events), 500):
    ingest(
        site="shop",
        events=events[first : first + 500],
        sent_at=None,
        now_us=microseconds(NOW),
        retention_days=365,
        source="recipes",
    )

run = run_analysis(experiment=experiment, as_of=NOW, now=NOW)
get_user_model().objects.create_superuser("root", password="a-long-password-1")
browser = Client()
browser.login(username="root", password="a-long-password-1")
page = browser.get("/reports/recipes/", headers={"host": "localhost"})
print(json.dumps({"error": run.error, "document": run.result, "page": page.content.decode(), "asked": store.asked}))
