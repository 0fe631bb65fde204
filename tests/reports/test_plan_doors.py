"""The planner's doors: command, API and page answer alike, from the site's own events."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from experiments import services as experiments
from experiments.models import Experiment, Site
from experiments.selectors import live
from reports import planning
from tests.reports.factories import make_draft, make_person, make_site
from tracking.core.events import Event
from tracking.core.timestamps import DAY_US
from tracking.stores.memory import MemoryStore

pytestmark = pytest.mark.django_db
API = "/api/v1/plan"
PAGE = "/reports/planner/"
A_DAY = 150


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def draft(site: Site) -> Experiment:
    return make_draft(site=site)


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    monkeypatch.setattr(planning, "event_store", lambda: made)
    return made


@pytest.fixture
def past(store: MemoryStore, draft: Experiment) -> dict[str, int]:
    """Five weeks of 150 new visitors a day; one in eight takes something into the cart, one in fifty buys."""
    chance = random.Random(7)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    midnight = (today - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    events = []
    counts = {"add_to_cart": 0}
    for day in range(1, 36):
        for n in range(A_DAY):
            time = midnight - day * DAY_US + chance.randrange(DAY_US)
            visitor = f"v{day}-{n}"
            seen = [("page_view", time)]
            if n % 8 == 0:
                seen.append(("add_to_cart", time + 10))
                counts["add_to_cart"] += 1
            if n % 50 == 0:
                seen.append(("purchase", time + 20))
            events += [
                Event(event_id=f"{visitor}-{name}", name=name, visitor_id=visitor, time=at, received=at, value=n / 3)
                for name, at in seen
            ]
    store.load("shop", events)
    return counts


def server_key(site: Site, kind: str = "server") -> str:
    _, secret = experiments.create_api_key(site=site, kind=kind, name="test")
    live.refresh()
    return secret


def ask_api(site: Site, query: str = "", kind: str = "server") -> Any:
    return Client().get(f"{API}?{query}", headers={"Authorization": f"Bearer {server_key(site, kind)}"})


def command(*args: str) -> str:
    out = StringIO()
    call_command("plan", *args, stdout=out)
    return out.getvalue()


@pytest.fixture
def reader() -> Iterator[Client]:
    person: User = make_person("erin", "experimenter", "a-long-enough-password")
    client = Client()
    client.force_login(person)
    yield client


def test_plan__own_events__traffic_and_rates_are_those_that_happened(past: dict[str, int]) -> None:
    document = json.loads(command("--site", "shop", "--metric", "add_to_cart", "--json"))
    assert document["traffic"]["visitors_per_week"] == 7 * A_DAY
    assert document["traffic"]["full_weeks"] == 5
    (cart,) = document["metrics"]
    assert cart["baseline"]["visitors"] == 35 * A_DAY
    assert cart["baseline"]["value"] == pytest.approx(past["add_to_cart"] / (35 * A_DAY))
    assert cart["baseline"]["low"] < cart["baseline"]["value"] < cart["baseline"]["high"]
    assert [row["weeks"] for row in cart["detectable"]] == [2, 4, 6, 8]


def test_plan__command_api_and_page__say_the_same(site: Site, past: dict[str, int], reader: Client) -> None:
    printed = json.loads(command("--site", "shop", "--lift", "0.2", "--json"))
    answered = ask_api(site, "lift=0.2")
    assert answered.status_code == 200
    assert answered.json() == printed
    page = reader.get(PAGE, {"site": "shop", "lift_percent": "20"}).content.decode()
    assert printed["recommendation"]["title"] in page
    for one in printed["metrics"]:
        assert f"{one['size']['visitors']:,}" in page
    text = command("--site", "shop", "--lift", "0.2")
    assert printed["recommendation"]["title"] in text
    assert f"{printed['metrics'][0]['size']['visitors']:,}" in text


def test_plan__of_an_experiment__takes_its_roles_margins_and_weights(site: Site, past: dict[str, int]) -> None:
    document = json.loads(command("--experiment", "free-shipping", "--json"))
    assert {m["key"]: m["role"] for m in document["metrics"]} == {"add_to_cart": "proxy", "purchase": "guardrail"}
    assert document["question"]["weights"] == [0.5, 0.5]
    assert document["horizon_weeks"] == 4
    assert next(m for m in document["metrics"] if m["key"] == "purchase")["guardrail"]["margin"] == 0.1


def test_plan__numbers_given__need_no_history(site: Site, draft: Experiment) -> None:
    document = json.loads(
        command("--metric", "add_to_cart", "--visitors-per-week", "2100", "--rate", "12%", "--lift", "15%", "--json")
    )
    assert document["traffic"]["source"] == "given"
    assert document["metrics"][0]["baseline"]["source"] == "given"
    assert document["metrics"][0]["size"]["days"] > 0


@pytest.mark.parametrize(
    ("query", "code", "value"),
    [
        ("lift=loads", "lift_not_allowed", "loads"),
        ("weeks=0", "weeks_not_allowed", "0"),
        ("metric=add_to_kart", "unknown_metric", "add_to_kart"),
        ("experiment=nothing", "unknown_experiment", "nothing"),
        ("entry=pageview", "unknown_event", "pageview"),
        ("lfit=0.1", "unknown_parameter", "lfit"),
        ("rate=0.1", "rate_not_allowed", "metrics"),
        ("until=2999-01-01", "until_not_allowed", "2999-01-01"),
    ],
)
def test_plan__bad_input__is_told_alike_through_every_door(
    site: Site, past: dict[str, int], reader: Client, query: str, code: str, value: str
) -> None:
    answered = ask_api(site, query)
    assert answered.status_code in (400, 404)
    error = answered.json()["error"]
    assert error["code"] == code
    assert value in error["message"]
    assert error["advice"]
    name, _, text = query.partition("=")
    page = reader.get(PAGE, {"site": "shop", name: text})
    assert page.status_code == 200
    assert value in page.content.decode()
    if name != "lfit":
        with pytest.raises(CommandError, match=code) as refused:
            command("--site", "shop", f"--{name}", text)
        assert value in str(refused.value)


def test_plan__no_event_yet__says_so_and_what_to_do(site: Site, draft: Experiment, reader: Client) -> None:
    answered = ask_api(site)
    assert answered.status_code == 400
    assert answered.json()["error"]["code"] == "no_history"
    page = reader.get(PAGE).content.decode()
    assert "has sent no event yet" in page
    with pytest.raises(CommandError, match="no_history"):
        command("--site", "shop")


def test_plan__site_without_metrics_or_no_site__says_so(store: MemoryStore) -> None:
    with pytest.raises(CommandError, match="no_site"):
        command()
    make_site()
    with pytest.raises(CommandError, match="no_metric"):
        command()
    make_site("second")
    with pytest.raises(CommandError, match="site_missing"):
        command()


def test_api__client_key_or_another_site__is_refused(site: Site, past: dict[str, int]) -> None:
    assert ask_api(site, kind="client").status_code == 403
    assert Client().get(API).status_code == 401
    answered = ask_api(site, "site=second")
    assert answered.status_code == 400
    assert answered.json()["error"]["code"] == "site_not_allowed"


def test_page__experiment__shows_its_figures_and_a_form_that_keeps_what_was_said(
    past: dict[str, int], reader: Client
) -> None:
    page = reader.get(PAGE, {"experiment": "free-shipping", "lift_percent": "12.5"}).content.decode()
    assert "Free shipping banner" in page
    assert 'value="12.5"' in page
    assert "<script" not in page
    assert f'href="{PAGE}"' in page


def test_page__without_permission_or_signing_in__is_closed(draft: Experiment) -> None:
    assert Client().get(PAGE).status_code == 302
    stranger = Client()
    stranger.force_login(User.objects.create_user("stranger"))
    assert stranger.get(PAGE).status_code == 403
