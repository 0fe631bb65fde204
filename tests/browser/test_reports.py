"""The report in Chromium: every width, light and dark, keyboard only, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PATHS = (
    "/reports/",
    "/reports/?status=archived",
    "/reports/free-shipping/",
    "/reports/five/",
    "/reports/waiting/",
    "/reports/broken/",
    "/reports/old/",
    "/reports/draft/",
    "/reports/nothing-here/",
    "/reports/planner/",
    "/reports/planner/?metric=add_to_cart&visitors_per_week=2100&rate=12%25&lift=15%25&split=60/20/20",
)

# What a page may not do at any width: be wider than the screen, or let a text run out of its box unseen.
OVERFLOWING = """
() => {
  const found = [];
  if (document.documentElement.scrollWidth > window.innerWidth) found.push("page is wider than the screen");
  for (const node of document.querySelectorAll("main *, header *")) {
    if (node.closest("svg, .unseen, .scroll") || !node.getClientRects().length) continue;
    const box = node.getBoundingClientRect();
    if (box.width > 1 && (box.right > window.innerWidth + 1 || box.left < -1)) found.push(node.tagName + "." + node.className + " " + box.right);
  }
  return found;
}
"""

# WCAG 2 contrast of each text against the nearest background that is painted.
LOW_CONTRAST = """
() => {
  const parse = (c) => {
    const n = c.match(/[\\d.]+/g).map(Number);
    const scale = c.startsWith("color(srgb") ? 255 : 1;
    return [n[0] * scale, n[1] * scale, n[2] * scale, n.length > 3 ? n[3] : 1];
  };
  const lum = ([r, g, b]) => [r, g, b].map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; })
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (node) => {
    for (let n = node; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor); if (c[3] > 0.99) return c; }
    return [255, 255, 255, 1];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || node.closest("svg, .unseen, script, style") || !node.getClientRects().length) continue;
    const style = getComputedStyle(node);
    const [a, b] = [lum(parse(style.color)), lum(background(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) low.push(`${walker.currentNode.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return low;
}
"""


@contextmanager
def signed_in(chromium: Browser, site: str, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """Open a page as an experimenter; whatever the console complains of is collected."""
    context = chromium.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith((site, "data:")) else complaints.append(request.url)
    )
    try:
        page.goto(f"{site}/login/")
        page.fill("#id_username", "erin")
        page.fill("#id_password", PASSWORD)
        page.click("main button")
        page.wait_for_url(f"{site}/reports/")
        yield page, complaints
    finally:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_pages__every_width_and_scheme__fit_are_legible_and_ask_no_other_host(
    chromium: Browser, shop: str, width: int, scheme: str
) -> None:
    with signed_in(chromium, shop, viewport={"width": width, "height": 900}, color_scheme=scheme) as (page, complaints):
        for path in PATHS:
            page.goto(shop + path)
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate(OVERFLOWING) == [], path
            assert page.evaluate(LOW_CONTRAST) == [], path
        # The 404 is one of the pages looked at; nothing else may complain.
        assert [c for c in complaints if "404" not in c] == []


def test_report__javascript_off__has_every_number_drawing_and_opens_its_details(chromium: Browser, shop: str) -> None:
    with signed_in(chromium, shop, java_script_enabled=False) as (page, _):
        page.goto(f"{shop}/reports/free-shipping/")
        assert page.locator(".plot").count() == 3
        assert page.locator(".chart svg.marks").count() == 2
        working = page.locator("details.show", has_text="Show the working").first
        assert not working.locator(".sheet").is_visible()
        working.locator("summary").first.click()
        assert working.locator(".sheet").is_visible()
        page.get_by_role("button", name="Analyse now").click()
        assert page.locator(".messages").inner_text().startswith("Analysed just now")


def test_report__keyboard_only__reaches_and_opens_everything(chromium: Browser, shop: str) -> None:
    with signed_in(chromium, shop, viewport={"width": 1440, "height": 900}) as (page, _):
        page.goto(f"{shop}/reports/free-shipping/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().top >= 0"), (
            "the skip link is seen when focused"
        )
        wanted = page.locator("a:visible, button:visible, summary:visible, [tabindex='0']:visible").count()
        reached = set()
        for _ in range(wanted + 5):
            place = page.evaluate(
                "() => { const e = document.activeElement; const all = [...document.querySelectorAll('*')];"
                " const s = getComputedStyle(e); return [all.indexOf(e), s.outlineStyle !== 'none' || e.tagName === 'BODY']; }"
            )
            assert place[1], "focus can be seen"
            reached.add(place[0])
            page.keyboard.press("Tab")
        focusable = page.evaluate(
            "() => { const all = [...document.querySelectorAll('*')]; return all.filter(e => e.matches('a[href], button, summary, [tabindex=\"0\"]')"
            " && e.checkVisibility({contentVisibilityAuto: true}) && e.getClientRects().length).map(e => all.indexOf(e)); }"
        )
        assert set(focusable) <= reached
        page.locator("summary", has_text="Show the working").first.focus()
        page.keyboard.press("Enter")
        assert page.locator(".sheet").first.is_visible()


def test_report__skip_link__moves_to_the_content(chromium: Browser, shop: str) -> None:
    with signed_in(chromium, shop) as (page, _):
        page.goto(f"{shop}/reports/free-shipping/")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_report__tables_on_a_phone__keep_their_rows_and_cells_for_screen_readers(chromium: Browser, shop: str) -> None:
    with signed_in(chromium, shop, viewport={"width": 390, "height": 800}) as (page, _):
        page.goto(f"{shop}/reports/free-shipping/")
        table = page.get_by_role("table").first
        assert table.get_by_role("rowheader", name="banner").count() == 1
        row = table.get_by_role("row", name="banner")
        assert {"34.22", "+14.0"} <= {c.split("\u202f")[0] for c in row.get_by_role("cell").all_inner_texts()}


def test_report__printed__has_no_buttons_and_fits_the_paper(chromium: Browser, shop: str) -> None:
    with signed_in(chromium, shop, viewport={"width": 794, "height": 1123}) as (page, _):
        page.goto(f"{shop}/reports/five/")
        page.emulate_media(media="print")
        assert not page.get_by_role("button", name="Analyse now").is_visible()
        assert page.evaluate(OVERFLOWING) == []


def test_report__weight__stays_below_300_kilobytes(chromium: Browser, shop: str) -> None:
    with signed_in(chromium, shop) as (page, _):
        sizes: list[int] = []
        page.on("response", lambda response: sizes.append(len(response.body())))
        page.goto(f"{shop}/reports/five/", wait_until="networkidle")
        assert sum(sizes) < 300_000


def test_api_docs__opened__show_the_endpoints_without_any_other_host(chromium: Browser, shop: str) -> None:
    with signed_in(chromium, shop) as (page, complaints):
        page.goto(f"{shop}/api/docs/")
        page.get_by_text("/api/v1/assignments").wait_for()
        assert page.get_by_text("/api/v1/experiments/{key}/report").count() >= 1
        assert complaints == []
