"""Make every screenshot of the documentation from a running instance with the demo shop.

    INKLING_PASSWORD=... .venv/bin/python docs/screenshots.py http://localhost:8000 --login admin

It writes docs/images/*.png. It sets up one draft experiment to show the check list, and deletes it again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"
STORY = "urgency-countdown"
DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
LARGEST_BYTES = 250_000


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the screenshots of the documentation.")
    parser.add_argument("address", help="of a running instance with the demo shop, such as http://localhost:8000")
    parser.add_argument("--login", default=os.environ.get("INKLING_LOGIN", "admin"))
    asked = parser.parse_args()
    password = os.environ.get("INKLING_PASSWORD")
    if not password:
        parser.error("set INKLING_PASSWORD to the password of the login")
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("no program 'chromium' is on PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            desk = signed_in(browser, asked.address, asked.login, password, viewport=DESK, color_scheme="light")
            take_reports(desk)
            take_admin(desk)
            take_draft(desk)
            take_shop(desk)
            dark = signed_in(browser, asked.address, asked.login, password, viewport=DESK, color_scheme="dark")
            dark.goto(f"/reports/{STORY}/")
            save_part(dark, "verdict-dark", height=640)
            phone = signed_in(browser, asked.address, asked.login, password, viewport=PHONE, color_scheme="light")
            phone.goto(f"/reports/{STORY}/")
            save_part(phone, "phone", height=1300)
        finally:
            browser.close()
    return report_sizes()


def signed_in(browser: Browser, address: str, login: str, password: str, **looks: object) -> Page:
    """Return a page of a fresh browser profile that is signed in."""
    page = browser.new_context(base_url=address, device_scale_factor=1, **looks).new_page()  # type: ignore[arg-type]
    page.goto("/login/")
    page.fill("input[name=username]", login)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/reports/")
    return page


def take_reports(page: Page) -> None:
    page.goto("/reports/")
    save_part(page, "reports", height=1000)
    page.goto(f"/reports/{STORY}/")
    save_part(page, "verdict", height=1300)
    working = page.locator("tbody", has_text="Bought something").first
    working.locator("summary", has_text="Show the working").click()
    working.screenshot(path=IMAGES / "working.png")


def take_admin(page: Page) -> None:
    page.goto("/admin/")
    save_part(page, "admin-start", height=800)
    page.goto(f"/admin/experiments/experiment/?q={STORY}")
    page.get_by_role("link", name="Countdown on product pages").click()
    page.wait_for_url(re.compile("/change/"))
    save_part(page, "admin-running", height=800)


def take_shop(page: Page) -> None:
    """Buy something as a visitor of the demo shop, and show what arrived."""
    page.add_init_script("Object.defineProperty(navigator, 'webdriver', { get: () => false })")
    page.goto("/demo/product/kettle/")
    save_part(page, "demo-shop", height=700)
    page.click("text=Put into the cart")
    page.click("text=To the checkout")
    page.click("text=Buy, for nothing")
    page.wait_for_timeout(2_500)
    page.goto("/tracking/?site=demo")
    save_part(page, "tracking", height=800)


def take_draft(page: Page) -> None:
    """Set a draft up as a person would, show what it still lacks, and delete it again."""
    page.goto("/admin/experiments/experiment/add/")
    page.locator("#id_name").press_sequentially("Shorter checkout form")  # the page suggests the key while one types
    page.fill(
        "#id_hypothesis",
        "Because many visitors leave at the long form, we expect that a shorter one brings more of them into the "
        "checkout; we shall know by checkout_start, and purchases must not fall.",
    )
    page.fill("#id_variants-1-name", "Five fields")
    page.get_by_role("button", name="Save and continue editing").click()
    page.wait_for_url(re.compile("/change/"))
    draft = page.url
    try:
        choose_metric(page, 0, "Began the checkout", "proxy")
        page.get_by_role("button", name="Save and continue editing").click()
        page.wait_for_load_state()
        save_part(page, "admin-draft", height=820)
        choose_metric(page, 1, "Bought something", "guardrail")
        page.fill("#id_experiment_metrics-1-margin", "10")
        # A window as tall as the page: the bar of buttons then lies below the tables instead of over them.
        page.set_viewport_size({"width": DESK["width"], "height": 2800})
        save_between(page, "admin-roles", "#variants-group", "#experiment_metrics-group")
    finally:
        page.set_viewport_size(DESK)
        page.goto(draft.partition("/change/")[0] + "/delete/")
        page.locator("#content form, main form").locator("[type=submit]").first.click()
        page.wait_for_load_state()


def choose_metric(page: Page, row: int, name: str, role: str) -> None:
    page.get_by_text("Add another Metric", exact=True).first.click()
    metric = page.locator(f"#id_experiment_metrics-{row}-metric")
    label = metric.locator("option", has_text=name).first.inner_text()
    metric.select_option(label=label)
    page.select_option(f"#id_experiment_metrics-{row}-role", role)


def save_part(page: Page, name: str, *, height: int) -> None:
    """Save the top of the page, down to `height` pixels."""
    page.mouse.move(0, 0)
    width = page.viewport_size["width"] if page.viewport_size else DESK["width"]
    page.set_viewport_size({"width": width, "height": height})
    page.screenshot(path=IMAGES / f"{name}.png")
    page.set_viewport_size(PHONE if width == PHONE["width"] else DESK)


def save_between(page: Page, name: str, first: str, last: str) -> None:
    """Save what lies between the top of one element and the bottom of another."""
    top, bottom = page.locator(first).bounding_box(), page.locator(last).bounding_box()
    if top is None or bottom is None:
        raise LookupError(f"{first} or {last} is not on {page.url}.")
    margin = 16
    clip = {
        "x": top["x"] - margin,
        "y": top["y"] - margin,
        "width": top["width"] + 2 * margin,
        "height": bottom["y"] + bottom["height"] - top["y"] + 2 * margin,
    }
    page.screenshot(path=IMAGES / f"{name}.png", clip=clip)  # type: ignore[arg-type]


def report_sizes() -> int:
    """Print what was made; the status is 1 when a picture is too large for a page that people load."""
    too_large = False
    for path in sorted(IMAGES.glob("*.png")):
        size = path.stat().st_size
        too_large |= size > LARGEST_BYTES
        remark = "  TOO LARGE" if size > LARGEST_BYTES else ""
        sys.stdout.write(f"{path.name:24} {size:9,} bytes{remark}\n")
    return int(too_large)


if __name__ == "__main__":
    sys.exit(main())
