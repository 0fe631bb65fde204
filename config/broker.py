"""kombu's file system transport, with messages that appear whole.

kombu opens the file under its final name and then writes; a worker that looks in between takes an empty message and stops.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as in kombu's own
        folder = Path(self.data_folder_out)
        name = f"{time.time_ns() // 1_000_000}_{uuid.uuid4()}.{queue}"
        hidden = folder / f"{name}.part"
        hidden.write_text(dumps(payload))
        hidden.rename(folder / f"{name}.msg")


class Transport(filesystem.Transport):
    Channel = Channel
