"""What a node's process knows of itself: its age, its processor time, its memory, its disk."""

from __future__ import annotations

import math
import os
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from trioraft.background import in_background
from trioraft.server.durations import Durations

PATIENCE_SECONDS: Final = 0.05
"""How long a disk may take to say how much room it has: a turn waits for that, and a disk may hang."""
FRESH_SECONDS: Final = 1.0
"""How long the answer of the disk is told: to ask it costs a thread, and the wait, and many may ask for it."""
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ProcessVitals:
    """The figures of this process (`trioraft.replica.ports.Vitals`)."""

    def __init__(self, folder: Path, log_syncs: Durations) -> None:
        """`folder`: where its data is; `log_syncs`: how long the writes to the log took, with their syncs."""
        self._log_syncs = log_syncs
        self._began = time.monotonic()
        self._room = partial(os.statvfs, folder)
        self._asked: Future[os.statvfs_result] | None = None
        self._told: dict[str, object] = {}
        """What the disk has said last, or that it does not."""
        self._fresh_until = -math.inf

    def figures(self) -> dict[str, object]:
        """Its age, processor time, memory and disk, and its wall clock, as they are now."""
        figures: dict[str, object] = {"time": time.time(), "uptime_seconds": time.monotonic() - self._began}
        figures["cpu_seconds"] = time.process_time()
        with suppress(OSError, ValueError, IndexError):
            figures["rss_bytes"] = int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE_BYTES
        if syncs := self._log_syncs.figures():
            figures["log_sync_seconds"] = syncs
        return {**figures, **self._disk()}

    def _disk(self) -> dict[str, object]:
        """The room of the disk; nothing while it does not answer. A disk that hangs is waited for once."""
        if time.monotonic() >= self._fresh_until:
            patience = PATIENCE_SECONDS if self._asked is None else 0
            self._told = self._ask_disk(patience)
            if self._asked is None:
                self._fresh_until = time.monotonic() + FRESH_SECONDS
        return self._told

    def _ask_disk(self, patience: float) -> dict[str, object]:
        try:
            asked = self._asked = self._asked or in_background(self._room)
            if wait([asked], patience).not_done:
                return {}
            self._asked = None
            disk = asked.result()
        except (OSError, RuntimeError):  # it has failed, or there can be no more threads
            return {}
        size, free = disk.f_frsize * disk.f_blocks, disk.f_frsize * disk.f_bavail
        return {"disk_bytes": size, "disk_free_bytes": free} if size else {}
