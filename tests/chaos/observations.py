"""What must hold of single replies, whatever the order of the operations: checked as they come."""

from __future__ import annotations

import threading
from collections import defaultdict, deque


class Observations:
    """What all clients have seen: a revision of a key has one value, for ever and at every node."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.stale_reads = 0
        self._values: defaultdict[str, dict[int, bytes]] = defaultdict(dict)
        self._lock = threading.Lock()

    def report(self, violation: str) -> None:
        with self._lock:
            self.violations.append(violation)

    def saw(self, key: str, rev: int, value: bytes) -> None:
        """Somebody was told, or made, that value of that revision."""
        known = self._values[key].setdefault(rev, value)
        if known != value:
            self.report(f"revision {rev} of {key} was {known!r}, and is now {value!r}")


class Session:
    """One connection: it never sees anything older than it has seen or written itself, stale reads included."""

    def __init__(self, observations: Observations, name: str) -> None:
        self._observations = observations
        self._name = name
        self._newest: dict[str, int] = {}
        self._told: deque[str] = deque(maxlen=12)

    def note(self, words: str) -> None:
        """What was asked and told, for whoever looks into a violation."""
        self._told.append(words)

    def saw(self, key: str, rev: int, deletable: bool) -> None:
        """A reply named that revision of the key, 0 for none."""
        newest = self._newest.get(key, 0)
        if rev < newest and (rev or not deletable):
            what = f"{self._name} saw revision {rev} of {key} after {newest}"
            self._observations.report(f"{what}; the newest last: {list(self._told)}")
        self._newest[key] = max(rev, newest)
