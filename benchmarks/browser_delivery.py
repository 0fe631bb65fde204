"""Events of the browser client under random failures: each counted exactly once, or still in its queue.

    python -m benchmarks.browser_delivery [--events 100000] [--seed 1]

Chromium opens pages of a shop in several tabs, calls `ab.track`, and meets at random: requests that never leave, answers that are lost
after the server has stored the events, errors of the server, reloads, and tabs that are closed at once. It starts an instance of its
own on loopback, and afterwards holds what the server counted and what still waits in the browser against what was accepted.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Page, Route, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FAILING = 0.3
TRACK = """([first, count]) => {
  let taken = 0;
  const mine = JSON.parse(localStorage.getItem("mine") || "[]");
  for (let n = first; n < first + count; n++) if (ab.track("delivered", { n })) { taken++; mine.push(n); }
  localStorage.setItem("mine", JSON.stringify(mine));
  return taken;
}"""
SETUP = """
from experiments.services import create_api_key, create_site
site = create_site(key="delivery", name="Delivery")
print("KEY", create_api_key(site=site, kind="client", name="c")[1], create_api_key(site=site, kind="server", name="s")[1])
"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        settings = {"INKLING_DATA_DIR": folder, "INKLING_DEMO": "false", "INKLING_PORT": str(port)}
        environment = {**os.environ, **settings}
        server = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--bootstrap"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(f"http://localhost:{port}/healthz")
            told = subprocess.run(
                [sys.executable, "manage.py", "shell", "-c", SETUP],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            _, client_key, server_key = next(
                line for line in told.stdout.splitlines() if line.startswith("KEY")
            ).split()
            return play(options.events, options.seed, f"http://localhost:{port}", client_key, server_key)
        finally:
            server.terminate()
            server.wait(60)


def play(events: int, seed: int, address: str, client_key: str, server_key: str) -> int:
    rng = random.Random(seed)
    met: dict[str, int] = dict.fromkeys(("lost before", "lost after", "refused with 503", "reloads", "tabs closed"), 0)

    def interfere(route: Route) -> None:
        chance = rng.random()
        try:
            if chance < FAILING / 3:
                met["lost before"] += 1
                route.abort()
            elif chance < 2 * FAILING / 3:
                met["lost after"] += 1
                route.fetch()
                route.abort()
            elif chance < FAILING:
                met["refused with 503"] += 1
                route.fulfill(status=503, headers={"Access-Control-Allow-Origin": "*"}, body="{}")
            else:
                route.continue_()
        except Error:
            pass  # the tab was closed in the meantime

    shop = serve_shop(f'<script src="{address}/ab.js" data-key="{client_key}"></script>')
    begun = time.monotonic()
    taken = asked = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context()
        context.add_init_script("Object.defineProperty(navigator, 'webdriver', { get: () => false });")
        context.route("**/api/v1/events**", interfere)
        tabs: list[Page] = []
        while asked < events:
            while len(tabs) < 3:
                tabs.append(opened(context.new_page(), shop))
            tab = rng.choice(tabs)
            count = min(rng.randint(1, 400), events - asked)
            taken += tab.evaluate(TRACK, [asked, count])
            asked += count
            chance = rng.random()
            if chance < 0.15:
                met["tabs closed"] += 1
                tabs.remove(tab)
                tab.close(run_before_unload=rng.random() < 0.5)
            elif chance < 0.4:
                met["reloads"] += 1
                opened(tab, shop)
            else:
                tab.wait_for_timeout(rng.randint(0, 900))
        context.unroute("**/api/v1/events**")
        last = opened(context.new_page(), shop)
        waiting = "Object.keys(localStorage).filter((name) => name.startsWith('_abe.')).length"
        end = time.monotonic() + 120
        while last.evaluate(waiting) and time.monotonic() < end:
            last.wait_for_timeout(500)
        left = int(last.evaluate(waiting))
        browser.close()
    counted = count_of(address, server_key)
    print(f"{asked:,} events asked, {taken:,} taken by the client, {asked - taken:,} refused because 2,000 waited")
    print(", ".join(f"{name}: {number:,}" for name, number in met.items()))
    print(f"counted by the server {counted:,}, still in the queue {left:,}, in {time.monotonic() - begun:.0f} s")
    is_right = counted + left == taken
    print("each exactly once" if is_right else f"WRONG by {counted + left - taken:+,}")
    return 0 if is_right else 1


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    page.evaluate("() => new Promise((done) => ab.ready(() => done()))")
    return page


def serve_shop(head: str) -> str:
    html = f"<!doctype html><html><head>{head}</head><body><h1>Shop</h1></body></html>".encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(html)))
            self.end_headers()
            self.wfile.write(html)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://shop.localhost:{server.server_port}/"


def count_of(address: str, server_key: str) -> int:
    import json

    request = urllib.request.Request(
        f"{address}/api/v1/events/count?event=delivered", headers={"Authorization": f"Bearer {server_key}"}
    )
    with urllib.request.urlopen(request) as reply:
        return int(json.load(reply)["count"])


def wait_for(address: str) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{address} does not answer.")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main())
