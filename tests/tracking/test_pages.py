"""The pages for people who set up tracking: what arrives now, the event dictionary, and the first event."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from config.client_api import answer, find
from experiments.selectors import live
from experiments.services import ensure_metric
from tests.experiments.admin_client import Person
from tests.experiments.live_site import LiveSite, make_site, publish, rule
from tracking import journal, services
from tracking.clients.browser import script
from tracking.selectors import event_store, events_root

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Iterator[LiveSite]:
    live.forget()
    journal._journal.__init__()  # type: ignore[misc]
    made = make_site()
    publish(made.site, 1, rule("button"))
    ensure_metric(site=made.site, key="cart", name="Cart", event_name="add_to_cart", conversion="secondary")
    ensure_metric(
        site=made.site,
        key="big",
        name="Big cart",
        event_name="add_to_cart",
        conversion="secondary",
        property_filters=[{"name": "price", "comparator": "gt", "value": 50}],
    )
    yield made
    live.forget()


@pytest.fixture
def reader() -> Client:
    return Person("viewer").client


def post(shop: LiveSite, body: bytes, address: str = "/api/v1/events", key: str | None = None) -> int:
    methods = find(address)
    assert methods is not None
    headers = {"authorization": f"Bearer {key or shop.client_key}"}
    return answer(methods, method="POST", address=address, headers=headers, query="", body=body).status


def send(shop: LiveSite, *events: dict[str, Any]) -> None:
    now = time.time_ns() // 1000
    services.ingest(site=shop.site.key, events=list(events), now_us=now, source="native")


def test_debugger__accepted_rejected_and_refused__each_with_its_reason(shop: LiveSite, reader: Client) -> None:
    body = b"""{"events": [
        {"name": "add_to_cart", "visitor_id": "v1", "event_id": "e1", "value": 2, "properties": {"price": 80}},
        {"name": "add_to_cart", "visitor_id": "v1", "event_id": "e1"},
        {"name": "add_to_cart", "visitor_id": ""},
        {"name": "$exposure", "visitor_id": "v1", "properties": {"experiment": "button", "variant": "typo"}},
        {"name": "$exposure", "visitor_id": "v1", "properties": {"experiment": "nothing", "variant": "a"}},
        {"name": "$exposure", "visitor_id": "v1", "properties": {"experiment": "button", "variant": "control"}},
        {"name": "$alias", "visitor_id": "v1", "properties": {"alias": "ann", "user": "ann"}},
        {"name": "wave", "visitor_id": "v1"}]}"""
    assert post(shop, body) == 202
    assert post(shop, b"{") == 400
    assert post(shop, b"{}", key="ink_client_wrong") == 401
    page = reader.get("/tracking/").content.decode()
    for text in (
        "feeds Big cart, Cart",
        "feeds no metric",
        "counts nothing: &#x27;button&#x27; has no variant &#x27;typo&#x27;, it has control, treatment",
        "counts nothing: there is no experiment &#x27;nothing&#x27;",
        "button: control",
        "v1 and ann are one visitor, a known user is ann",
        "counted once",
        "Rejected",
        "The event has no visitor.",
        "native, pages",
        "not JSON",
        "This API key is not known.",
        "value 2",
    ):
        assert text in page, text
    assert "ink_client_wrong" not in page
    problems = reader.get("/tracking/rows/?show=problems").content.decode()
    assert "feeds" not in problems and "typo" in problems and "Request refused" in problems
    assert shop.client_key not in page


def test_debugger__another_site_and_another_process__are_told_apart_and_brought_together(
    shop: LiveSite, reader: Client
) -> None:
    other = make_site("other")
    send(shop, {"name": "ours", "visitor_id": "a"})
    send(other, {"name": "theirs", "visitor_id": "b"})
    journal.write()
    mine = journal.folder(events_root()) / "elsewhere.json"
    (written,) = journal.folder(events_root()).glob("[0-9]*.json")
    mine.write_bytes(written.read_bytes().replace(b"ours", b"also"))
    page = reader.get("/tracking/?site=shop").content.decode()
    assert "<code>ours</code>" in page and "<code>also</code>" in page and "theirs" not in page
    assert "theirs" in reader.get("/tracking/?site=other").content.decode()
    assert reader.get("/tracking/?site=nowhere").status_code == 404


def test_journal__full_folder_gone_and_old__costs_nothing_but_the_page(shop: LiveSite) -> None:
    for n in range(journal.KEPT + 50):
        send(shop, {"name": f"e{n}", "visitor_id": "a"})
    journal.write()
    now = time.time_ns() // 1000
    entries = journal.lately(events_root(), now_us=now, site="shop")
    assert len(entries) == journal.KEPT and entries[0].name == f"e{journal.KEPT + 49}"
    assert journal.lately(events_root(), now_us=now, site="shop", since=now) == []
    broken = journal.folder(events_root()) / "1.json"
    broken.write_text("{")
    later = now + int(2 * journal.OLD_SECONDS * 1e6)
    journal.lately(events_root(), now_us=later)
    assert [path.name for path in journal.folder(events_root()).glob("*.json")] == ["1.json"]


def test_dictionary__names_types_doors_and_what_is_missing(shop: LiveSite, reader: Client) -> None:
    ensure_metric(site=shop.site, key="paid", name="Paid", event_name="purchase", conversion="macro")
    send(
        shop,
        {"name": "add_to_cart", "visitor_id": "a", "properties": {"price": 3, "tag": "x"}},
        {"name": "add_to_cart", "visitor_id": "b", "properties": {"price": "3", "new": True}},
        {"name": "purchased", "visitor_id": "b"},
    )
    page = reader.get("/tracking/events/").content.decode()
    assert "new: boolean, price: number or text, tag: text" in page
    assert (
        "<strong>Paid</strong> counts <code>purchase</code>, which was never seen. Did you mean <code>purchased</code>?"
        in page
    )
    assert "native" in page
    assert f"/admin/experiments/metric/add/?site={shop.site.pk}&amp;event_name=purchased&amp;name=Purchased" in page
    form = Person("experimenter").client.get(
        f"/admin/experiments/metric/add/?site={shop.site.pk}&event_name=purchased&name=Purchased&key=purchased"
    )
    initial = form.context["adminform"].form.initial
    assert initial["event_name"] == "purchased" and initial["key"] == "purchased"


def test_first_event__snippets__hold_the_sites_own_key_and_work(shop: LiveSite, reader: Client) -> None:
    page = reader.get("/tracking/first-event/").content.decode()
    assert page.count(shop.client_key) >= 6
    assert script().integrity in page.replace("&#x3D;", "=").replace("&#43;", "+")
    assert (
        post(shop, b'{"events": [{"name": "first_event", "visitor_id": "me", "properties": {"from": "curl"}}]}') == 202
    )
    assert event_store().count_events(site="shop", event="first_event") == 1


@pytest.mark.parametrize("address", ["/tracking/", "/tracking/rows/", "/tracking/events/", "/tracking/first-event/"])
def test_pages__stranger_or_no_site__are_sent_to_the_login_or_told(address: str) -> None:
    assert Client().get(address).status_code == 302
    found = Person("viewer").client.get(address)
    assert found.status_code == 200


@pytest.mark.parametrize("consent", [True, False])
def test_privacy_control__of_a_browser__stores_nothing_unless_the_page_says_that_he_agreed(
    shop: LiveSite, reader: Client, consent: bool
) -> None:
    def ask(address: str, body: bytes) -> int:
        methods = find(address)
        assert methods is not None
        headers = {"authorization": f"Bearer {shop.client_key}", "sec-gpc": "1"}
        query = f"client_key={shop.client_key}&writeKey={shop.client_key}{'&consent=1' if consent else ''}"
        if address.startswith("/v1"):
            headers.pop("authorization")
        return answer(methods, method="POST", address=address, headers=headers, query=query, body=body).status

    assert ask("/api/v1/events", b'{"events": [{"name": "cart", "visitor_id": "a"}]}') == 202
    assert ask("/v1/track", b'{"event": "cart", "userId": "a"}') == 200
    assert ask("/track", b'[{"event_name": "cart", "user_id": "a"}]') == 200
    assert ask("/api/v1/assignments", b'{"visitor_id": "a", "expose": true}') == 200
    assert ask("/ofrep/v1/evaluate/flags/button", b'{"context": {"targetingKey": "a"}}') == 200
    count = event_store().count_events(site="shop", visitor="a")
    assert count == (5 if consent else 0)
    assert ("Global Privacy Control" in reader.get("/tracking/").content.decode()) is not consent
