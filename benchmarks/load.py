"""A load client: wrk where it is installed, else a few processes of threads with kept-alive connections."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import re
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent. With `visitors` every request's body is one of that many texts made from `body` (`%d` in it)."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    visitors: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """Units: `seconds` of the run; `p50_ms` and `p99_ms` in milliseconds."""

    requests: int
    failures: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def measure(load: Load, *, seconds: float, connections: int) -> Measured:
    """Send as many requests as are answered."""
    if shutil.which("wrk"):
        return _with_wrk(load, seconds, connections)
    return _with_threads(load, seconds, connections)


_SCRIPT = """
wrk.method = {method}
wrk.headers = {{ {headers} }}
local body, visitors = {body}, {visitors}
local n = 0
request = function()
  if visitors > 0 then
    n = (n + 7919) % visitors
    return wrk.format(nil, nil, nil, string.format(body, n))
  end
  return wrk.format(nil, nil, nil, body)
end
done = function(summary, latency, requests)
  local failures = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, failures, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
"""


def _with_wrk(load: Load, seconds: float, connections: int) -> Measured:
    script = _SCRIPT.format(
        method=json.dumps(load.method),
        headers=", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in load.headers),
        body=json.dumps(load.body),
        visitors=load.visitors,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "load.lua"
        file.write_text(script)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(file), load.url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    if found is None:
        raise RuntimeError(f"wrk printed no result:\n{output}")
    requests, failures, micros, p50, p99 = map(int, found.groups())
    return Measured(requests, failures, micros / 1e6, p50 / 1e3, p99 / 1e3)


def _with_threads(load: Load, seconds: float, connections: int) -> Measured:
    processes = 2
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        threads = max(1, connections // processes)
        parts = pool.starmap(_run_threads, [(load, seconds, threads, n) for n in range(processes)])
    millis = sorted(ms for part, _ in parts for ms in part)
    failures = sum(failed for _, failed in parts)
    return Measured(
        len(millis), failures, seconds, millis[len(millis) // 2], millis[min(len(millis) - 1, len(millis) * 99 // 100)]
    )


def _run_threads(load: Load, seconds: float, threads: int, start: int) -> tuple[list[float], int]:
    millis: list[float] = []
    failures = [0]
    parts = urlsplit(load.url)
    end = time.perf_counter() + seconds

    def send(number: int) -> None:
        connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port)
        while time.perf_counter() < end:
            number += 7919
            body = load.body % (number % load.visitors) if load.visitors else load.body
            begun = time.perf_counter()
            connection.request(load.method, parts.path, body or None, dict(load.headers))
            response = connection.getresponse()
            response.read()
            millis.append((time.perf_counter() - begun) * 1e3)
            failures[0] += response.status >= 400
        connection.close()

    workers = [threading.Thread(target=send, args=(start * threads + n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return millis, failures[0]
