"""Tie a process to the one that started it: when that one is gone, however it went, this one goes too.

Without it, killing the supervisor or a server's main process with SIGKILL would leave orphans that hold the port.
SIGKILL is also what the orphan gets: nothing acknowledged is lost by it, and a shutdown nobody waits for could hang.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
MARK = "INKLING_SUPERVISED"  # set by the supervisor for all that it starts


def tie_to_parent(parent: int) -> None:
    """End this process when process `parent`, its direct parent, ends."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch, args=(parent,), name="lifeline", daemon=True).start()
    if os.getppid() != parent:  # it went before the tie was made
        os.kill(os.getpid(), signal.SIGKILL)


def tie_spawned_process() -> None:
    """Tie a supervised server's worker process to its main process; do nothing in any other process."""
    parent = multiprocessing.parent_process()
    if os.environ.get(MARK) and parent is not None and parent.pid is not None:
        tie_to_parent(parent.pid)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
