"""What must hold of single replies, whatever the order of the operations: checked as they come."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable

from trioraft.testing.history import Operation


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


def out_of_order(operations: Iterable[Operation]) -> list[str]:
    """Revisions are places in one log: whoever is called after somebody else was answered comes later in it.

    So it has to be for writes of whatever keys, and for the reads of each key. This is no full check, but a cheap one
    whose findings are short.
    """
    told = [each for each in operations if each.outcome != "unknown" and each.answer is not None and each.answer.rev]
    findings = _late([each for each in told if each.kind != "get" and each.outcome == "done"], strictly=True)
    keys: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in told:
        keys[operation.key].append(operation)
    for of_key in keys.values():
        findings += _late(of_key, strictly=False)
    return findings


def _late(operations: list[Operation], strictly: bool) -> list[str]:
    """Those whose revision is below, or strictly at, that of one which had returned before they were called."""
    findings = []
    returned = sorted(operations, key=lambda each: each.returned or 0.0)
    newest: Operation | None = None
    place = 0
    for operation in sorted(operations, key=lambda each: each.called):
        while (returned[place].returned or 0.0) < operation.called:
            if newest is None or _rev(returned[place]) > _rev(newest):
                newest = returned[place]
            place += 1
        if newest is not None and (_rev(operation) < _rev(newest) or (strictly and _rev(operation) == _rev(newest))):
            findings.append(f"{operation} came after {newest}")
    return findings


def _rev(operation: Operation) -> int:
    assert operation.answer is not None
    assert operation.answer.rev is not None
    return operation.answer.rev
