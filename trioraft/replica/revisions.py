"""Reads that wait until this node has applied the revision that they ask for (`min_rev`)."""

from __future__ import annotations

import heapq
from itertools import count
from weakref import ReferenceType, ref

from trioraft.replica.slots import ReadSlot


class AwaitedRevisions:
    """The reads that are new enough but for their `min_rev`. Their connections hold them, and may be gone."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, ReferenceType[ReadSlot]]] = []
        self._numbers = count()

    @property
    def idle(self) -> bool:
        """Whether no read waits."""
        return not any(_open(awaited) for awaited in self._heap)

    def add(self, read: ReadSlot) -> None:
        """Let a read wait for its `min_rev`."""
        heapq.heappush(self._heap, (read.min_rev, next(self._numbers), ref(read)))

    def pop(self, applied: int) -> list[ReadSlot]:
        """Remove and return the reads that wait for no more than that revision."""
        reached: list[ReadSlot] = []
        while self._heap and self._heap[0][0] <= applied:
            if (read := _open(heapq.heappop(self._heap))) is not None:
                reached.append(read)
        return reached

    def pop_late(self, oldest: int) -> list[ReadSlot]:
        """Remove and return the reads that came by that tick and have no time of their own; forget the answered."""
        if not self._heap:
            return []
        late: list[ReadSlot] = []
        waiting = []
        for awaited in self._heap:
            read = _open(awaited)
            if read is not None and read.since <= oldest and read.request.timeout_ms is None:
                late.append(read)
            elif read is not None:
                waiting.append(awaited)
        heapq.heapify(waiting)
        self._heap = waiting
        return late


def _open(awaited: tuple[int, int, ReferenceType[ReadSlot]]) -> ReadSlot | None:
    """The read, if it is not answered yet."""
    read = awaited[2]()
    return read if read is not None and read.reply is None else None
