"""Checks of single replies as they come, which hold whatever the order of the operations."""

from __future__ import annotations

import threading
from collections import defaultdict


class Observations:
    """The values that all clients have seen: a revision of a key has one value, for ever and at every node."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.stale_reads = 0
        self._values: defaultdict[str, dict[int, bytes]] = defaultdict(dict)
        self._lock = threading.Lock()

    def report(self, violation: str) -> None:
        with self._lock:
            self.violations.append(violation)

    def saw(self, key: str, rev: int, value: bytes) -> None:
        """Note that a client saw or made that value of that revision."""
        known = self._values[key].setdefault(rev, value)
        if known != value:
            self.report(f"revision {rev} of {key} was {known!r}, and is now {value!r}")
