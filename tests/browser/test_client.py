"""The browser client in Chromium, on the pages of a shop: what it decides, what it sends, and what it keeps to itself."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route
from pytest_django.live_server_helper import LiveServer

from experiments.core.assign import assign, compile_ruleset
from experiments.core.ruleset import ExperimentRule, Ruleset, RuleVariant
from experiments.models import Site
from experiments.selectors import live
from tests.experiments.live_site import LiveSite, make_site, publish, rule
from tests.experiments.test_assign import random_rule, random_visitor
from tests.experiments.test_flags import FLAGS
from tracking.clients.browser import BUILT, script
from tracking.selectors import event_store

SOURCES = BUILT.parent.parent.parent / "browser"
PERSON = "Object.defineProperty(navigator, 'webdriver', { get: () => false });"
LIMIT_BYTES = 6_000


# --- the file -----------------------------------------------------------------------------------------------------------


def test_built_client__is_made_of_these_sources_and_no_larger_than_promised() -> None:
    sources = b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.js")))
    noted = (BUILT.parent / "ab.sources").read_text().strip()
    assert hashlib.sha256(sources).hexdigest() == noted, "tracking/browser/ has changed: run `make browser`"
    assert len(gzip.compress(BUILT.read_bytes(), 9, mtime=0)) <= LIMIT_BYTES


# --- the shop -----------------------------------------------------------------------------------------------------------


@dataclass
class Shop:
    """A shop of another origin whose pages carry the client; `pages` are its bodies by path."""

    server: str
    live: LiveSite
    context: BrowserContext
    tag: str = ""
    pages: dict[str, str] = field(default_factory=lambda: {"/": "<h1>Shop</h1>"})
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def home(self) -> str:
        return self.at("shop")

    def at(self, host: str) -> str:
        """Return the address of one of the shop's hosts; browsers find every name under localhost on this machine."""
        return f"http://{host}.localhost:{self.port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = self.pages.get(request.path.split("?")[0])
        html = f"<!doctype html><html><head>{self.script}</head><body>{body}</body></html>".encode()
        request.send_response(200 if body is not None else 404)
        for name, value in {"Content-Type": "text/html", "Content-Length": str(len(html)), **self.headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(html)

    @property
    def script(self) -> str:
        return f'<script src="{self.server}/ab.js" data-key="{self.live.client_key}" {self.tag}></script>'

    def open(self, path: str = "/", host: str = "shop") -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.goto(self.at(host) + path)
        return page

    def events(self, name: str, visitor: str | None = None) -> int:
        return event_store().count_events(site=self.live.site.key, event=name, visitor=visitor)

    def exposures(self, experiment: str, variant: str | None = None) -> int:
        return event_store().count_exposures(
            site=self.live.site.key, experiment=experiment, visitor=None, variant=variant
        )

    def arrives(self, name: str, count: int = 1) -> None:
        """Wait until so many events of a name are counted; fail when there are more or they never come."""
        _until(self.context.pages[-1], lambda: self.events(name) >= count)
        assert self.events(name) == count

    def publish(self, *rules: ExperimentRule, version: int = 1) -> None:
        publish(self.live.site, version, *rules, flags=FLAGS)
        live.forget()


def _until(page: Page, holds: Callable[[], bool], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        page.wait_for_timeout(50)  # sleeping here would keep the routes of this file from answering
    assert holds()


@pytest.fixture
def shop(transactional_db: None, live_server: LiveServer, chromium: Browser) -> Iterator[Shop]:
    live.forget()
    made = make_site()
    context = chromium.new_context()
    context.add_init_script(PERSON)
    found = Shop(live_server.url, made, context)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.publish(rule("button"))
    yield found
    context.close()
    server.shutdown()
    server.server_close()
    live.forget()


browser_test = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def marked(test: Any) -> Any:
    for mark in browser_test:
        test = mark(test)
    return test


def ready(page: Page) -> None:
    page.evaluate("() => new Promise((done) => ab.ready(() => done()))")


# --- assignment ---------------------------------------------------------------------------------------------------------


@marked
def test_evaluate__fifty_random_rulesets__same_variant_as_the_server(chromium: Browser) -> None:
    rng = random.Random(7)
    questions: list[dict[str, Any]] = []
    answers: list[list[Any]] = []
    for _ in range(50):
        groups = {"staff": tuple(f"user-{rng.randrange(10**6)}" for _ in range(3))}
        compiled = compile_ruleset(Ruleset("shop", 1, tuple(random_rule(rng, n) for n in range(5)), groups, FLAGS))
        visitors = []
        for _ in range(40):
            visitor, attributes = random_visitor(rng)
            visitor = groups["staff"][0] if rng.random() < 0.1 else visitor
            visitors.append({**attributes, "id": visitor})
            for key, answer in assign(compiled, visitor, attributes).items():
                answers.append([key, answer.payload, answer.variant if answer.in_experiment else None])
        questions.append({"features": json.loads(compiled.browser), "visitors": visitors})
    page = chromium.new_page()
    page.route("http://source.test/**", _source)
    page.goto("http://source.test/")
    found = page.evaluate(
        """async (questions) => {
          const { evaluate } = await import("http://source.test/evaluate.js");
          return questions.flatMap(({ features, visitors }) => visitors.flatMap((attributes) =>
            Object.keys(features).filter((key) => key.startsWith("exp-")).map((key) => {
              const { value, variant } = evaluate(features[key], attributes);
              return [key, value, variant || null];
            })));
        }""",
        questions,
    )
    page.close()
    assert len(found) == len(answers) == 50 * 40 * 5
    assert found == answers
    assert {answer[2] for answer in answers} > {None, "v0", "v1"}


def _source(route: Route) -> None:
    name = route.request.url.rsplit("/", 1)[1]
    path = SOURCES / name
    if name and path.exists():
        route.fulfill(body=path.read_text(), content_type="text/javascript")
    else:
        route.fulfill(body="<!doctype html>", content_type="text/html")


@marked
def test_variant__asked_twice_and_after_a_reload__is_the_servers_and_counted_once(shop: Shop) -> None:
    page = shop.open()
    ready(page)
    variant = page.evaluate("ab.variant('button')")
    value = page.evaluate("ab.value('button', null)")
    visitor = page.evaluate("ab.id()")
    ruleset = live.ruleset(shop.live.site.key)
    assert ruleset is not None
    ours = assign(ruleset, visitor, {}, ["button"])["button"]
    assert (variant, value) == (ours.variant, ours.payload)
    page.reload()
    ready(page)
    assert page.evaluate("[ab.id(), ab.variant('button')]") == [visitor, variant]
    _until(page, lambda: shop.exposures("button", variant) == 1)
    assert page.evaluate("[ab.value('page-size', 0), ab.value('nothing', 'mine'), ab.variant('page-size')]") == [
        20,
        "mine",
        None,
    ]
    assert shop.exposures("button") == 1 and shop.faults == []


@marked
def test_stub__calls_made_before_the_client_is_there__are_not_lost(shop: Shop) -> None:
    shop.tag = "async"
    stub = "<script>window.ab = window.ab || function () { (ab.q = ab.q || []).push([].slice.call(arguments)); };"
    shop.pages["/"] = f"{stub} ab('track', 'early', {{ a: 1 }}, 2.5);</script>"
    shop.open()
    shop.arrives("early")


@marked
def test_robot__that_says_so__is_in_nothing_and_sends_nothing(shop: Shop, chromium: Browser) -> None:
    context = chromium.new_context()  # navigator.webdriver stays true
    page = context.new_page()
    page.goto(shop.home)
    ready(page)
    assert page.evaluate("[ab.variant('button'), ab.value('button', 'plain'), ab.track('x')]") == [None, "plain", False]
    assert page.evaluate("document.cookie") == ""
    context.close()


# --- changes of the page ------------------------------------------------------------------------------------------------


def visual(key: str = "hero", **payload: Any) -> ExperimentRule:
    """An experiment whose only visitors are in the treatment, so that the test sees it."""
    return rule(
        key,
        variants=(
            RuleVariant("control", 0, is_control=True),
            RuleVariant("treatment", 10_000, payload=payload),
        ),
    )


@marked
def test_changes__text_style_attribute_class__are_applied_and_undone_when_the_page_moves_on(shop: Shop) -> None:
    changes = [
        {"selector": "h1", "text": "Bold", "style": {"color": "rgb(1, 2, 3)"}, "add": "loud", "remove": "calm"},
        {"selector": "a.cta", "attr": {"title": "Go", "onclick": "evil()", "href": "javascript:evil()"}},
        {"selector": ":::", "text": "never"},
    ]
    shop.publish(visual(changes=changes, css="h1 { letter-spacing: 7px }", url="/product/*"), version=2)
    body = "<h1 class='calm'>Plain <b>words</b></h1><a class='cta' href='/x'>Buy</a>"
    shop.pages |= {"/product/1": body, "/": body}
    page = shop.open("/product/1")
    ready(page)
    look = """() => {
      const h1 = document.querySelector("h1"), cta = document.querySelector("a.cta");
      const style = getComputedStyle(h1);
      return [h1.innerHTML, h1.className, style.color, style.letterSpacing, cta.title, cta.getAttribute("href"), cta.hasAttribute("onclick")];
    }"""
    assert page.evaluate(look) == ["Bold", "loud", "rgb(1, 2, 3)", "7px", "Go", "/x", False]
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<h1 id=late>Late</h1>')")
    _until(page, lambda: page.text_content("#late") == "Bold")
    page.evaluate("history.pushState({}, '', '/about')")
    _until(page, lambda: page.evaluate("document.querySelector('h1').innerHTML") == "Plain <b>words</b>")
    plain = page.evaluate(look)
    assert plain[1] == "calm" and plain[3] == "normal" and plain[4] == ""
    page.evaluate("history.pushState({}, '', '/product/2')")
    _until(page, lambda: page.evaluate("document.querySelector('h1').textContent") == "Bold")
    _until(page, lambda: shop.exposures("hero", "treatment") == 1)
    assert shop.faults == []


@marked
def test_changes__nobody_who_sees_none_of_it__is_exposed_in_no_variant(shop: Shop) -> None:
    changes = [{"selector": "#offer", "text": "Now"}]
    everyone_control = rule(
        "hero",
        variants=(
            RuleVariant("control", 10_000, is_control=True),
            RuleVariant("treatment", 0, payload={"changes": changes}),
        ),
    )
    shop.publish(everyone_control, version=2)
    page = shop.open()
    ready(page)
    page.evaluate("ab.track('mark')")
    shop.arrives("mark")
    assert shop.exposures("hero") == 0
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=offer>Soon</p>')")
    _until(page, lambda: shop.exposures("hero", "control") == 1)
    assert page.text_content("#offer") == "Soon"


@marked
def test_redirect__keeps_the_query_and_the_exposure_and_never_turns_in_a_circle(shop: Shop) -> None:
    shop.publish(visual(redirect="/new", url="/"), version=2)
    shop.pages["/new"] = "<h1>New</h1>"
    page = shop.open("/?q=shoes")
    page.wait_for_url("**/new?q=shoes")
    ready(page)
    _until(page, lambda: shop.exposures("hero", "treatment") == 1)


@marked
def test_redirect__to_a_script_or_to_itself__stays(shop: Shop) -> None:
    shop.publish(visual(redirect="javascript:alert(1)"), visual("again", redirect="/"), version=2)
    page = shop.open("/")
    ready(page)
    assert page.url == f"{shop.home}/"


@marked
def test_hide__until_decided_and_a_late_answer__shows_the_page_and_counts_nobody(shop: Shop) -> None:
    shop.publish(visual(changes=[{"selector": "h1", "text": "Bold"}]), version=2)
    shop.tag = 'data-hide="h1" data-limit="300"'
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    shop.context.route("**/api/browser/**", hold)
    page = shop.context.new_page()
    page.clock.install(time=1_790_000_000)
    page.clock.pause_at(1_790_000_001)
    page.goto(shop.home)
    opacity = "getComputedStyle(document.querySelector('h1')).opacity"
    page.clock.run_for(290)
    assert page.evaluate(opacity) == "0"
    page.clock.run_for(20)
    assert page.evaluate(opacity) == "1"
    page.clock.resume()
    _until(page, lambda: bool(held))
    held[0].continue_()
    ready(page)
    assert page.text_content("h1") == "Shop"
    page.evaluate("ab.track('mark')")
    shop.arrives("mark")
    assert shop.exposures("hero") == 0
    shop.context.unroute("**/api/browser/**")
    page.reload()
    _until(page, lambda: page.text_content("h1") == "Bold")
    assert page.evaluate(opacity) == "1"


@marked
def test_policy__strict_with_a_nonce_and_integrity__everything_works(shop: Shop) -> None:
    shop.publish(visual(css="h1 { letter-spacing: 7px }"), version=2)
    found = script()
    shop.headers = {
        "Content-Security-Policy": f"default-src 'none'; script-src {shop.server}; connect-src {shop.server}; style-src 'nonce-abc'"
    }
    shop.tag = f'nonce="abc" data-hide="h1" integrity="{found.integrity}" crossorigin'
    page = shop.open()
    ready(page)
    _until(page, lambda: page.evaluate("getComputedStyle(document.querySelector('h1')).letterSpacing") == "7px")
    page.evaluate("ab.track('mark')")
    shop.arrives("mark")
    assert shop.faults == []


# --- consent ------------------------------------------------------------------------------------------------------------


@marked
def test_consent__required__nothing_is_kept_or_sent_before_it_and_after_it_is_taken_back(shop: Shop) -> None:
    shop.tag = 'data-consent="required"'
    sent: list[str] = []
    shop.context.on("request", lambda request: sent.append(request.url) if "/api/v1/events" in request.url else None)
    page = shop.open()
    ready(page)
    assert page.evaluate("ab.variant('button')") in ("control", "treatment")
    assert page.evaluate("ab.track('before')") is False
    assert page.evaluate("[document.cookie, Object.keys(localStorage).length]") == ["", 0]
    page.evaluate("ab.consent(true)")
    visitor = page.evaluate("ab.id()")
    page.evaluate("ab.variant('button')")
    page.evaluate("ab.track('after')")
    shop.arrives("after")
    assert visitor in page.evaluate("document.cookie") and shop.events("before") == 0
    page.evaluate("ab.track('lost')")
    page.evaluate("ab.consent(false)")
    assert page.evaluate("[document.cookie, Object.keys(localStorage)]") == ["_abc=0", []]
    assert page.evaluate("ab.id()") != visitor
    count = len(sent)
    page.wait_for_timeout(600)
    assert len(sent) == count and shop.events("lost") == 0


@marked
def test_global_privacy_control__is_a_no_until_the_visitor_says_yes(shop: Shop) -> None:
    shop.context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', { get: () => true });")
    shop.context.set_extra_http_headers({"Sec-GPC": "1"})
    page = shop.open()
    ready(page)
    assert page.evaluate("[ab.track('x'), document.cookie]") == [False, ""]
    page.evaluate("ab.consent(true)")
    page.evaluate("ab.track('yes')")
    shop.arrives("yes")


# --- delivery -----------------------------------------------------------------------------------------------------------


def waiting(page: Page) -> int:
    return int(page.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('_abe.')).length"))


@marked
def test_network_down__events_wait_over_reloads_and_come_once(shop: Shop) -> None:
    events = "**/api/v1/events**"
    shop.context.route(events, lambda route: route.abort())
    page = shop.open()
    ready(page)
    page.evaluate("for (let i = 0; i < 5; i++) ab.track('kept')")
    page.wait_for_timeout(700)
    assert waiting(page) == 5
    page.reload()
    ready(page)
    assert waiting(page) == 5
    shop.context.unroute(events)
    page.reload()
    shop.arrives("kept", 5)
    _until(page, lambda: waiting(page) == 0)


@marked
def test_answer_lost__the_same_events_are_sent_again_and_counted_once(shop: Shop) -> None:
    attempts: list[str] = []

    def lose(route: Route) -> None:
        attempts.append(route.request.post_data or "")
        if len(attempts) > 1:
            route.continue_()
            return
        route.fetch()  # the server has it, the browser never learns
        route.abort()

    shop.context.route("**/api/v1/events**", lose)
    page = shop.open()
    ready(page)
    page.evaluate("ab.track('once')")
    _until(page, lambda: len(attempts) > 1 and waiting(page) == 0)
    sent = [json.loads(body)["events"][0]["event_id"] for body in attempts]
    assert sent == [sent[0]] * len(sent)
    shop.arrives("once")


@marked
def test_server_busy__waits_as_long_as_it_is_asked_to(shop: Shop) -> None:
    asked: list[float] = []

    def busy(route: Route) -> None:
        asked.append(time.monotonic())
        if len(asked) > 1:
            route.continue_()
            return
        allow = {
            "Access-Control-Allow-Origin": shop.home,
            "Access-Control-Expose-Headers": "Retry-After",
            "Retry-After": "2",
        }
        route.fulfill(status=503, headers=allow, body="{}")

    shop.context.route("**/api/v1/events**", busy)
    page = shop.open()
    ready(page)
    page.evaluate("ab.track('patient')")
    shop.arrives("patient")
    assert asked[1] - asked[0] >= 1.9


@marked
def test_tab_closed_at_once__event_comes_with_the_leaving_page_or_the_next(shop: Shop) -> None:
    page = shop.open()
    ready(page)
    page.evaluate("ab.track('goodbye')")
    page.close(run_before_unload=True)
    again = shop.open()
    ready(again)
    shop.arrives("goodbye")


@marked
def test_two_tabs__share_what_waits_and_nothing_is_counted_twice(shop: Shop) -> None:
    first, second = shop.open(), shop.open()
    for page in (first, second):
        ready(page)
        page.evaluate("for (let i = 0; i < 20; i++) ab.track('shared')")
    shop.arrives("shared", 40)
    assert first.evaluate("ab.id()") == second.evaluate("ab.id()")


@marked
def test_storage_forbidden__still_decides_and_sends(shop: Shop) -> None:
    shop.context.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage']) "
        "Object.defineProperty(window, name, { get() { throw new Error('denied'); } });"
    )
    page = shop.open()
    ready(page)
    assert page.evaluate("ab.variant('button')") in ("control", "treatment")
    page.evaluate("ab.track('memory')")
    shop.arrives("memory")
    assert shop.faults == []


@marked
def test_back_forward_cache__page_that_returns__goes_on(shop: Shop) -> None:
    shop.context.route("**/api/v1/events**", lambda route: route.abort())
    page = shop.open()
    ready(page)
    page.evaluate("ab.track('frozen')")
    page.wait_for_timeout(500)
    shop.context.unroute("**/api/v1/events**")
    page.wait_for_timeout(1_800)
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    shop.arrives("frozen")


# --- identity -----------------------------------------------------------------------------------------------------------


@marked
def test_identify__login__keeps_the_variant_and_what_was_done_on_either_side(shop: Shop) -> None:
    page = shop.open()
    ready(page)
    before = page.evaluate("[ab.id(), ab.variant('button')]")
    page.evaluate("ab.track('browsed')")
    page.evaluate("ab.identify('ann@1')")
    assert page.evaluate("[ab.id(), ab.variant('button')]") == before
    shop.arrives("$alias")
    assert shop.events("browsed", "ann@1") == 1
    assert shop.exposures("button") == 1


@marked
def test_link_to_another_host__takes_the_visitor_along_and_cleans_the_address(shop: Shop) -> None:
    shop.tag = 'data-hosts="shop.localhost other.localhost"'
    there = f"{shop.at('other')}/"
    shop.pages["/"] = f"<a id=there href='{there}'>There</a><a id=away href='http://stranger.test/'>Away</a>"
    page = shop.open()
    ready(page)
    visitor = page.evaluate("ab.id()")
    page.evaluate("document.querySelector('#away').addEventListener('click', (event) => event.preventDefault())")
    page.click("#away")
    assert page.get_attribute("#away", "href") == "http://stranger.test/"
    page.click("#there")
    page.wait_for_url(there)
    ready(page)
    assert page.evaluate("ab.id()") == visitor and page.url == there
    stale = shop.open("/?_ab=" + "a" * 32 + ".1", host="other")
    ready(stale)
    assert stale.evaluate("ab.id()") == visitor


@marked
def test_documented_openfeature_subclass__tells_what_is_used_and_what_visitors_do(shop: Shop) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "clients.md").read_text()
    subclass = text.split("```js\nclass InklingProvider", 1)[1].split("```", 1)[0]
    page = shop.open()
    page.evaluate(
        """async ([subclass, baseUrl, clientKey]) => {
          const made = new Function("OFREPWebProvider", `class InklingProvider${subclass}; return InklingProvider;`);
          const Provider = made(class { constructor(options) { this.given = options; } });
          const provider = new Provider({ baseUrl, clientKey });
          const used = (details) => provider.hooks[0].after({ context: { targetingKey: "ann" } }, details);
          const split = { variant: "treatment", reason: "SPLIT", flagMetadata: { experiment: "button" } };
          used(split);
          used(split);
          used({ variant: "control", reason: "DEFAULT", flagMetadata: { experiment: "button" } });
          used({ variant: "rule-1", reason: "SPLIT", flagMetadata: {} });
          await provider.track("bought", { targetingKey: "ann" }, { value: 3, size: "M" });
        }""",
        [subclass, shop.server, shop.live.client_key],
    )
    shop.arrives("bought")
    _until(page, lambda: shop.exposures("button") == 1)
    assert shop.exposures("button", "treatment") == 1 and shop.events("$exposure") == 1


# --- micro conversions without code -------------------------------------------------------------------------------------

EVERYTHING = """
<div style="height: 400px"></div>
<form id="sign-up" onsubmit="return false"><input type="email" id="mail"><button>Join</button></form>
<form id="find" role="search" onsubmit="return false"><input id="term"><button>Find</button></form>
<form id="order" onsubmit="return false"><input id="street"><button>Order</button></form>
<a id="file" href="/catalogue.pdf">Catalogue</a>
<a id="out" href="http://elsewhere.test/">Elsewhere</a>
<a id="tell" href="https://www.facebook.com/sharer/sharer.php?u=x">Share</a>
<button class="add"><span id="add">Add</span></button><button class="wish" id="wish">Wish</button>
<button data-ab-click="size_guide" data-ab-props='{"size": "M"}' data-ab-value="3.5" id="guide">Sizes</button>
<form data-ab-submit="quiz" onsubmit="return false"><button id="quiz">Answer</button></form>
<video id="film"></video>
<div style="height: 3000px"></div><p data-ab-view="saw_reviews" id="reviews">Reviews</p>
"""


@marked
def test_recipes__all_ticked__each_small_step_is_sent_once_under_its_name(shop: Shop) -> None:
    Site.objects.filter(pk=shop.live.site.pk).update(
        autocapture={
            **dict.fromkeys(
                ("pages", "scroll", "forms", "search", "video", "download", "outbound", "newsletter", "share"), True
            ),
            "cart": ".add",
            "wishlist": ".wish",
        }
    )
    live.forget()
    shop.pages["/"] = EVERYTHING
    page = shop.open()
    ready(page)
    page.evaluate("document.addEventListener('click', (event) => event.target.closest('a') && event.preventDefault())")
    for selector in ("#add", "#wish", "#guide", "#quiz", "#file", "#out", "#tell"):
        page.click(selector)
    page.fill("#mail", "a@b.example")
    page.press("#mail", "Enter")
    page.fill("#term", "shoes")
    page.press("#term", "Enter")
    page.fill("#street", "Long road 1")
    page.evaluate(
        """() => {
          const film = document.querySelector("#film");
          Object.defineProperty(film, "duration", { value: 100 });
          Object.defineProperty(film, "currentTime", { value: 60 });
          for (const name of ["play", "play", "timeupdate", "timeupdate", "ended"]) film.dispatchEvent(new Event(name));
        }"""
    )
    page.evaluate("document.querySelector('#reviews').scrollIntoView()")
    for name, count in {
        "add_to_cart": 1,
        "wishlist": 1,
        "size_guide": 1,
        "quiz": 1,
        "download": 1,
        "outbound": 1,
        "share": 1,
        "newsletter": 1,
        "search": 1,
        "form_start": 3,
        "form_submit": 3,
        "video_start": 1,
        "video_progress": 2,
        "video_complete": 1,
        "saw_reviews": 1,
        "scroll": 4,
        "page_view": 1,
    }.items():
        shop.arrives(name, count)
    page.evaluate("history.pushState({}, '', '/next')")
    shop.arrives("page_view", 2)
    shop.arrives("form_abandon")
    assert shop.faults == []
    # Nothing that somebody typed is ever sent.
    stored = b"".join(path.read_bytes() for path in Path(_data_dir()).rglob("*") if path.is_file())
    assert b"size_guide" in stored
    for typed in (b"a@b.example", b"shoes", b"Long road"):
        assert typed not in stored


def _data_dir() -> str:
    from django.conf import settings

    return str(settings.DATA_DIR)


@marked
def test_recipes__none_ticked__only_what_the_page_declares_is_sent(shop: Shop) -> None:
    shop.pages["/"] = EVERYTHING
    page = shop.open()
    ready(page)
    for selector in ("#add", "#wish", "#guide"):
        page.click(selector)
    shop.arrives("size_guide")
    assert shop.events("add_to_cart") == 0 and shop.events("page_view") == 0


@marked
def test_time__engaged__counts_while_somebody_is_there(shop: Shop) -> None:
    shop.tag = 'data-auto="time"'
    page = shop.context.new_page()
    page.clock.install()
    page.goto(shop.home)
    ready(page)
    page.clock.run_for(11_000)
    shop.arrives("engaged")
    page.clock.run_for(30_000)  # nobody moves any more
    page.evaluate("ab.track('mark')")
    page.clock.run_for(1_000)
    shop.arrives("mark")
    assert shop.events("engaged") == 1
