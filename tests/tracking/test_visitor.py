"""Sites that are Django projects: the request's visitor, the template tags, the override of tests, and the demo shop that uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils.safestring import mark_safe

from experiments.core.assign import assign
from experiments.core.lifecycle import Status
from experiments.selectors import live
from tests.experiments.live_site import LiveSite, make_site, publish, rule
from tests.experiments.test_flags import FLAGS
from tracking.middleware import VisitorMiddleware, device_of
from tracking.selectors import event_store
from tracking.visitor import COOKIE, Visitor, override_variant

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(settings: Any) -> Iterator[LiveSite]:
    settings.INKLING_SITE = "shop"
    live.forget()
    made = make_site()
    publish(made.site, 1, rule("button"), rule("resting", status=Status.PAUSED), flags=FLAGS)
    yield made
    live.forget()


def ask(view: Any, **headers: str) -> tuple[HttpRequest, HttpResponse]:
    request = RequestFactory().get("/cart", headers=headers)
    cookies = headers.pop("Cookie", "")
    if cookies:
        request.COOKIES = dict(one.split("=", 1) for one in cookies.split("; "))
    return request, VisitorMiddleware(view)(request)


def page(request: HttpRequest) -> HttpResponse:
    visitor = request.visitor  # type: ignore[attr-defined]
    visitor.track("cart", value=3, kind="full")
    return HttpResponse(str(visitor.variant("button")))


def count(name: str, visitor: str | None = None) -> int:
    return event_store().count_events(site="shop", event=name, visitor=visitor)


# --- the request's visitor ----------------------------------------------------------------------------------------------


def test_middleware__first_request__gives_an_id_a_variant_and_stores_what_was_done(shop: LiveSite) -> None:
    _, response = ask(page)
    cookie = response.cookies[COOKIE]
    visitor = cookie.value
    ruleset = live.ruleset("shop")
    assert ruleset is not None
    assert response.content.decode() == assign(ruleset, visitor, {}, ["button"])["button"].variant
    assert (cookie["samesite"], cookie["httponly"], cookie["max-age"]) == ("Lax", "", 400 * 86_400)
    assert count("cart", visitor) == 1
    assert event_store().count_exposures(site="shop", experiment="button", visitor=visitor) == 1
    assert response.headers["Cache-Control"] == "private"


def test_middleware__visitor_who_returns__stays_and_a_page_that_never_asks_sets_nothing(shop: LiveSite) -> None:
    _, response = ask(page, Cookie=f"{COOKIE}=me")
    assert response.cookies[COOKIE].value == "me" and count("cart", "me") == 1
    _, quiet = ask(lambda request: HttpResponse("nothing"))
    assert COOKIE not in quiet.cookies and "Cache-Control" not in quiet.headers


@pytest.mark.parametrize(
    "headers",
    [{"Sec-GPC": "1"}, {"Cookie": "_abc=0; _ab=me"}, {"User-Agent": "Googlebot/2.1"}],
    ids=["privacy control", "consent refused", "robot"],
)
def test_middleware__who_is_not_to_be_counted__leaves_no_trace(shop: LiveSite, headers: dict[str, str]) -> None:
    _, response = ask(page, **headers)
    assert response.status_code == 200 and COOKIE not in response.cookies
    assert count("cart") == 0 and count("$exposure") == 0


def test_middleware__consent__is_needed_where_the_site_says_so_and_a_yes_is_enough(
    shop: LiveSite, settings: Any
) -> None:
    settings.INKLING_CONSENT = "required"
    ask(page)
    assert count("cart") == 0
    ask(page, Cookie="_abc=1; _ab=me", **{"Sec-GPC": "1"})
    assert count("cart", "me") == 1


def test_middleware__without_a_site__says_what_is_missing(settings: Any) -> None:
    settings.INKLING_SITE = ""
    with pytest.raises(ImproperlyConfigured, match="INKLING_SITE"):
        VisitorMiddleware(page)


def test_visitor__values_flags_and_what_does_not_exist(shop: LiveSite) -> None:
    visitor = Visitor("shop", "a", attributes={"plan": "pro"})
    assert visitor.value("new-nav") is True and visitor.value("page-size") == 20
    assert visitor.value("nothing", "mine") == "mine" and visitor.variant("nothing") is None
    assert visitor.value("button") in ({"colour": "blue"}, {"colour": "green"})
    assert visitor.variant("resting") is None and visitor.value("resting") == {"colour": "blue"}
    assert set(visitor.met) == {"nothing", "button", "resting"} - {"button"}


def test_track__values_of_any_type__are_stored_as_json(shop: LiveSite) -> None:
    visitor = Visitor("shop", "a")
    visitor.track(
        mark_safe("cart"), Decimal("2.50"), price=Decimal("2.50"), label=mark_safe("<b>"), when=date(2026, 1, 2)
    )  # type: ignore[arg-type]
    visitor.record()
    found = {one.name: one.kind for one in event_store().event_properties(site="shop")}
    assert found == {"price": "text", "label": "text", "when": "text"} and count("cart", "a") == 1


def test_identify__login__keeps_the_first_variant_and_joins_what_was_done(shop: LiveSite) -> None:
    visitor = Visitor("shop", "device")
    variant = visitor.variant("button")
    visitor.track("cart")
    visitor.identify("ann")
    assert visitor.variant("button") == variant
    visitor.record()
    assert count("cart", "ann") == 1
    assert event_store().count_exposures(site="shop", experiment="button") == 1


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (iPhone) Mobile/15E148", "mobile"),
        ("Mozilla/5.0 (iPad) Mobile/15E148", "tablet"),
        ("Mozilla/5.0 (Linux; Android 14; SM-X210)", "tablet"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "desktop"),
    ],
)
def test_device_of__agents__are_told_apart_as_in_the_browser(agent: str, device: str) -> None:
    assert device_of(agent) == device


# --- tests of people's own ----------------------------------------------------------------------------------------------


def test_override_variant__context_and_decorator__everybody_gets_it_and_nobody_is_counted(shop: LiveSite) -> None:
    with override_variant("button", "treatment"), override_variant("resting", "treatment"):
        request, response = ask(page)
        assert response.content == b"treatment"
        assert request.visitor.value("button") == {"colour": "green"}  # type: ignore[attr-defined]
        assert request.visitor.variant("resting") == "treatment"  # type: ignore[attr-defined]
    assert count("$exposure") == 0

    @override_variant("cta", "bold")
    def decorated() -> str | None:
        return Visitor("nowhere", "a").variant("cta")

    assert decorated() == "bold" and Visitor("nowhere", "a").variant("cta") is None


# --- templates ----------------------------------------------------------------------------------------------------------


def rendered(text: str, **headers: str) -> str:
    found: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        request.csp_nonce = "n0nce"  # type: ignore[attr-defined]
        found.append(Template("{% load inkling %}" + text).render(Context({"request": request})))
        return HttpResponse()

    ask(view, **headers)
    return found[0]


def test_tags__variant_and_value__are_the_visitors(shop: LiveSite) -> None:
    with override_variant("button", "treatment"):
        text = '{% variant "button" as b %}{% value "button" as v %}{% value "page-size" as n %}{{ b }} {{ v.colour }} {{ n }}'
        assert rendered(text) == "treatment green 20"


def test_script__carries_rules_that_cannot_break_out_of_it_and_the_nonce(shop: LiveSite) -> None:
    evil = FLAGS[3].__class__("evil", FLAGS[3].kind, {"x": "</script><b>&"}, "s9")
    publish(shop.site, 2, rule("button"), flags=(evil,))
    live.forget()
    text = rendered('{% inkling_script consent="required" %}')
    assert text.count("</script>") == 2 and "<b>" not in text
    payload = json.loads(text.split("abPayload=", 1)[1].split("</script>", 1)[0])
    assert payload["features"]["evil"]["value"] == {"x": "</script><b>&"}
    assert (
        f'data-key="{shop.client_key}"' in text
        and 'data-consent="required"' in text
        and text.count('nonce="n0nce"') == 2
    )


def test_script__site_without_a_client_key__is_empty(shop: LiveSite) -> None:
    from django.utils import timezone

    from experiments.services.sites import revoke_api_key

    revoke_api_key(key=shop.client_row, now=timezone.now())
    live.forget()
    assert rendered("{% inkling_script %}") == ""


# --- the demo shop ------------------------------------------------------------------------------------------------------


@pytest.fixture
def demo() -> Iterator[LiveSite]:
    live.forget()
    made = make_site("demo")
    publish(made.site, 1, *(rule(key) for key in ("urgency-countdown", "new-landing-page", "trust-badges")))
    yield made
    live.forget()


def test_demo_shop__bought_as_a_visitor__every_step_is_counted(demo: LiveSite, admin_client: Client) -> None:
    client = Client()
    home = client.get("/demo/")
    visitor = home.cookies[COOKIE].value
    assert home.status_code == 200 and "/demo/product/kettle/" in home.content.decode()
    product = client.get("/demo/product/kettle/").content.decode()
    ruleset = live.ruleset("demo")
    assert ruleset is not None
    variant = assign(ruleset, visitor, {}, ["urgency-countdown"])["urgency-countdown"].variant
    assert ("Order within" in product) is (variant == "treatment")
    assert 'data-ab-click="add_to_cart"' in product
    assert client.post("/demo/product/kettle/add/", follow=True).status_code == 200
    assert "96.00" not in client.get("/demo/cart/").content.decode()
    assert client.get("/demo/checkout/").status_code == 200
    thanks = client.post("/demo/buy/", follow=True)
    assert "has been counted" in thanks.content.decode()
    store = event_store()
    for name in ("page_view", "view_product", "checkout_start", "purchase"):
        assert store.count_events(site="demo", event=name, visitor=visitor) == 1, name
    assert store.count_events(site="demo", event="$exposure", visitor=visitor) == 3
    arrived = admin_client.get("/tracking/?site=demo").content.decode()
    assert "purchase" in arrived and visitor in arrived


def test_demo_shop__bad_requests__are_refused_and_store_nothing(demo: LiveSite) -> None:
    client = Client()
    assert client.get("/demo/product/nothing/").status_code == 404
    assert client.get("/demo/buy/").status_code == 405
    assert client.post("/demo/buy/").url == "/demo/cart/"  # type: ignore[attr-defined]
    assert client.get("/demo/checkout/").url == "/demo/cart/"  # type: ignore[attr-defined]
    assert event_store().count_events(site="demo", event="purchase") == 0


def test_demo_shop__somebody_else__is_a_new_visitor(demo: LiveSite) -> None:
    client = Client()
    first = client.get("/demo/").cookies[COOKIE].value
    client.post("/demo/somebody-else/")
    assert client.get("/demo/").cookies[COOKIE].value != first


def test_demo_shop__without_the_demo__is_not_there() -> None:
    live.forget()
    assert Client().get("/demo/").status_code == 404
