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
    """One connection: it never sees anything older than it has seen or written itself.

    Of a stale read that was sent before the reply to a read ahead of it, no more is promised than that it sees the
    writes ahead of it.
    """

    def __init__(self, observations: Observations, name: str) -> None:
        self._observations = observations
        self._name = name
        self._seen: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._told: deque[str] = deque(maxlen=12)

    def seen(self, key: str) -> int:
        """The newest revision of it that this connection was told of."""
        return self._seen.get(key, 0)

    def note(self, words: str) -> None:
        """What was asked and told, for whoever looks into a violation."""
        self._told.append(words)

    def read(self, key: str, rev: int, deletable: bool, seen_before: int | None = None) -> None:
        """A read saw that revision; `seen_before` is, of a stale one, what had been seen when it was sent."""
        seen = self.seen(key) if seen_before is None else seen_before
        self._check(key, rev, max(seen, self._written.get(key, 0)), deletable)
        self._seen[key] = max(rev, self.seen(key))

    def wrote(self, key: str, rev: int, deletable: bool) -> None:
        """A write made that revision, or met it."""
        self._check(key, rev, self.seen(key), deletable)
        self._seen[key] = self._written[key] = max(rev, self.seen(key))

    def _check(self, key: str, rev: int, floor: int, deletable: bool) -> None:
        if rev < floor and (rev or not deletable):
            what = f"{self._name} saw revision {rev} of {key} after {floor}"
            self._observations.report(f"{what}; the newest last: {list(self._told)}")
