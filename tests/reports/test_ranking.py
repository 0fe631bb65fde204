"""Ranking wired: a site's own events to pages, API and command; keen visitors must not make a newsletter look like a cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from benchmarks.decision.worlds import DEFAULT
from experiments import services as experiments
from experiments.core.refusal import Refused
from experiments.models import Site
from experiments.selectors import live
from reports import ranking, tasks
from reports.core.proxy.learning.wire import evidence_document
from reports.learning import families_of
from reports.models import ProxyEvidence, ProxyRanking
from tests.reports.core.proxy.test_learning import past_of
from tests.reports.factories import make_person, make_site
from tracking.core.events import Event
from tracking.core.timestamps import DAY_US
from tracking.stores.memory import MemoryStore

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
MINUTE = 60_000_000


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    monkeypatch.setattr(ranking, "event_store", lambda: made)
    return made


@pytest.fixture
def site() -> Site:
    site = make_site()
    for order, key in enumerate(("view", "cart"), start=1):
        experiments.ensure_metric(
            site=site,
            key=key,
            event_name=key,
            conversion="milestone",
            name=key.title(),
            funnel_order=order,
            window_hours=24,
        )
    experiments.ensure_metric(site=site, key="news", event_name="news", conversion="secondary", name="Newsletter")
    experiments.ensure_metric(
        site=site, key="buy", event_name="buy", conversion="macro", name="Bought", window_hours=168
    )
    return site


@pytest.fixture
def past(store: MemoryStore, site: Site) -> None:
    """Visitors of four weeks: how far they come drives both the newsletter and the purchase, and nothing else does."""
    rng = np.random.default_rng(4)
    today = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    begin = (today - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) - 43 * DAY_US
    events = []
    for n in range(6_000):
        time = begin + int(rng.integers(28 * DAY_US))
        seen = [("page", 0)]
        views, carts = rng.random() < 0.6, False
        if views:
            seen.append(("view", MINUTE))
            carts = rng.random() < 0.4
        if carts:
            seen.append(("cart", 3 * MINUTE))
        depth = views + carts
        if rng.random() < (0.02, 0.05, 0.35)[depth]:
            seen.append(("news", 10 * MINUTE))
        if rng.random() < (0.0, 0.002, 0.35)[depth]:
            seen.append(("buy", 26 * 60 * MINUTE))
        events += [
            Event(event_id=f"{n}-{name}", name=name, visitor_id=f"v{n}", time=time + later, received=time)
            for name, later in seen
        ]
    store.load("shop", events)


@pytest.fixture
def reader() -> Iterator[Client]:
    client = Client()
    client.force_login(make_person())
    yield client


@pytest.mark.usefixtures("past")
def test_rank__keen_visitors_subscribe_and_buy__milestone_leads_and_the_newsletter_is_doubted() -> None:
    row = ranking.rank_site(site_key="shop", now=NOW)
    micros = {m["key"]: m for m in row.document["micros"]}
    assert [m["key"] for m in row.document["micros"]] == ["cart", "view", "news"]
    assert row.visitors == row.of_visitors == 6_000
    assert micros["cart"]["reach"]["value"] == pytest.approx(0.24, abs=0.02)
    news = micros["news"]
    assert news["risk_ratio"] > 2.5 and "depth_explains_it" in news["doubts"]
    assert abs(news["adjusted"]["risk_difference"]) < abs(news["risk_difference"]) / 2
    assert micros["cart"]["doubts"] == []
    assert ranking.grades_of("shop", row.document["micros"]) == {"cart": "D", "view": "D", "news": "E"}


@pytest.mark.usefixtures("past")
def test_rank__very_many_visitors__looks_at_a_part_of_them_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MOST_VISITORS", 2_000)
    row = ranking.rank_site(site_key="shop", now=NOW)
    assert (row.visitors, row.of_visitors) == (2_000, 6_000)
    again = ranking.rank_site(site_key="shop", now=NOW)
    assert again.document == row.document


@pytest.mark.usefixtures("store")
def test_rank__nothing_to_rank_by__is_refused_with_the_reason(site: Site) -> None:
    with pytest.raises(Refused) as refused:
        ranking.rank_site(site_key="shop", now=NOW)
    assert refused.value.code == "no_history"
    other = make_site("other")
    with pytest.raises(Refused) as without:
        ranking.rank_site(site_key=other.key, now=NOW)
    assert without.value.code == "no_macro"
    assert tasks.rank_proxies() == 0


@pytest.mark.usefixtures("past")
def test_pages__ranked_site__show_order_grades_doubts_and_that_it_is_no_cause(reader: Client) -> None:
    empty = reader.get("/reports/proxies/").content.decode()
    assert "Nothing has been ranked yet" in empty
    unranked = reader.get("/reports/proxies/news/", follow=True)
    assert unranked.redirect_chain == [("/reports/proxies/?site=shop", 302)]
    assert "is not ranked yet" in unranked.content.decode()
    ranking.rank_site(site_key="shop", now=NOW)
    page = reader.get("/reports/proxies/").content.decode()
    assert page.index("Cart") < page.index("Newsletter")
    assert "not what causes what" in page and "keenness explains it" in page
    one = reader.get("/reports/proxies/news/").content.decode()
    assert "Grade E" in one and "More than half of it disappears" in one and "E-value" in one
    assert "1,000 redraws" in one
    milestone = reader.get("/reports/proxies/cart/").content.decode()
    assert "Grade D" in milestone and "Three finished experiments" in milestone
    assert "Rules tried" not in page
    assert reader.get("/reports/proxies/nothing/").status_code == 404
    assert reader.get("/reports/proxies/?site=nowhere").status_code == 404


@pytest.mark.usefixtures("past")
def test_pages_and_api__forty_five_finished_experiments__show_the_rules_tried_on_them(
    site: Site, reader: Client
) -> None:
    ranking.rank_site(site_key="shop", now=NOW)
    ProxyEvidence.objects.create(
        site=site,
        as_of=NOW,
        inputs_hash="0" * 64,
        comparisons=45,
        document=evidence_document(families_of(past_of(DEFAULT, 45))),
        code_version="test",
    )
    page = reader.get("/reports/proxies/").content.decode()
    assert "Rules tried on your finished experiments" in page and "The goal alone" in page
    assert "each cut in two at random" in page
    _, secret = experiments.create_api_key(site=site, kind="server", name="test")
    live.refresh()
    found = Client().get("/api/v1/proxies", headers={"Authorization": f"Bearer {secret}"}).json()
    tried = next(one["back_test"] for one in found["learned"] if "" in one["kinds"])
    assert [one["rule"] for one in tried["rules"]] == ["engine", "learned", "goal", "first_micro", "composite"]
    assert next(one for one in found["learned"] if "promo" in one["kinds"])["back_test"] is None


@pytest.mark.usefixtures("past")
def test_rank_now__button__hands_it_to_a_worker(reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(tasks.rank_proxies, "delay", sent.append)
    assert reader.post("/reports/proxies/rank/?site=shop").status_code == 302
    assert sent == ["shop"]
    assert tasks.rank_proxies("shop") == 1


@pytest.mark.usefixtures("past")
def test_api__server_key__answers_the_ranking_and_one_micro(site: Site) -> None:
    _, secret = experiments.create_api_key(site=site, kind="server", name="test")
    live.refresh()
    headers = {"Authorization": f"Bearer {secret}"}
    nothing = Client().get("/api/v1/proxies", headers=headers)
    assert nothing.status_code == 404 and nothing.json()["error"]["code"] == "not_ranked"
    ranking.rank_site(site_key="shop", now=NOW)
    found: dict[str, Any] = Client().get("/api/v1/proxies", headers=headers).json()
    assert found["label"].startswith("association") and found["micros"][0]["grade"] == "D"
    one = Client().get("/api/v1/proxies/news", headers=headers).json()
    assert one["grade"] == "E" and one["learned"] is None
    unknown = Client().get("/api/v1/proxies/nothing", headers=headers)
    assert unknown.status_code == 404 and "cart" in unknown.json()["error"]["advice"]
    assert Client().get("/api/v1/proxies").status_code == 401


@pytest.mark.usefixtures("past")
def test_command__site__prints_the_ranking_and_refuses_an_unknown_one() -> None:
    out = StringIO()
    call_command("rank_proxies", "--site", "shop", stdout=out)
    assert "Milestones" in out.getvalue() and "doubts: keenness explains it" in out.getvalue()
    with pytest.raises(CommandError, match="unknown_site"):
        call_command("rank_proxies", "--site", "nowhere")


@pytest.mark.usefixtures("past")
def test_ranking__stored__is_never_changed() -> None:
    row = ranking.rank_site(site_key="shop", now=NOW)
    with pytest.raises(TypeError, match="append-only"):
        row.save()
    assert ProxyRanking.objects.count() == 1
