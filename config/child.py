"""Run another program's Python module tied to its supervisor: `python -m config.child PARENT MODULE [ARGUMENT ...]`."""

from __future__ import annotations

import runpy
import sys

from config.lifeline import tie_to_parent


def main() -> None:
    parent, module, *arguments = sys.argv[1:]
    tie_to_parent(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
