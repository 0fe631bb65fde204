"""The size of the browser client beside other platforms' packages, measured from the files themselves.

    npm install unleash-proxy-client flagsmith @growthbook/growthbook launchdarkly-js-client-sdk posthog-js @statsig/js-client \\
        configcat-js @segment/analytics-next @optimizely/optimizely-sdk
    python -m benchmarks.browser_size node_modules

What a package ships for a script tag is measured as it is; where it ships none, esbuild bundles and shortens its entry. Packed is gzip at
its best level. 1 kB is 1,000 bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import tempfile
from pathlib import Path

from tracking.clients.browser import BUILT

# Package, and the file that it ships for a script tag; empty where there is none.
PACKAGES = (
    ("unleash-proxy-client", "build/main.min.js"),
    ("flagsmith", "index.js"),
    ("@growthbook/growthbook", "dist/bundles/auto.min.js"),
    ("launchdarkly-js-client-sdk", "dist/ldclient.min.js"),
    ("@statsig/js-client", "build/statsig-js-client.min.js"),
    ("configcat-js", ""),
    ("@segment/analytics-next", "dist/umd/standalone.js"),
    ("@optimizely/optimizely-sdk", ""),
    ("posthog-js", "dist/array.js"),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("modules", type=Path, help="the folder node_modules")
    modules: Path = arguments.parse_args().modules
    print("| package | version | what | kB | kB packed |\n|---|---|---|---|---|")
    print(row("**Inkling**", "", "everything", BUILT.read_bytes()))
    for name, shipped in PACKAGES:
        folder = modules / name
        if not folder.is_dir():
            continue
        version = json.loads((folder / "package.json").read_text())["version"]
        body = (folder / shipped).read_bytes() if shipped else bundled(name, modules)
        print(row(name, version, "shipped file" if shipped else "bundled", body))


def row(name: str, version: str, what: str, body: bytes) -> str:
    packed = gzip.compress(body, 9, mtime=0)
    return f"| {name} | {version} | {what} | {len(body) / 1000:.1f} | {len(packed) / 1000:.1f} |"


def bundled(name: str, modules: Path) -> bytes:
    with tempfile.TemporaryDirectory(dir=modules.parent) as folder:
        entry, out = Path(folder, "entry.js"), Path(folder, "out.js")
        entry.write_text(f"export * from '{name}'")
        command = [
            "esbuild",
            str(entry),
            "--bundle",
            "--minify",
            "--format=iife",
            "--global-name=x",
            f"--outfile={out}",
        ]
        subprocess.run([*command, "--platform=browser", "--log-level=error"], check=True)
        return out.read_bytes()


if __name__ == "__main__":
    main()
