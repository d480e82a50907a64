"""The times that clients have given with their requests."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Final
from weakref import ReferenceType, ref

from trioraft.replica.slots import Slot

FEW_DEADLINES: Final = 64
"""This many are not searched for those of requests that are answered."""


class Deadlines:
    """Until when the requests that have been given a time must be answered.

    Long before its deadline a request is mostly answered, and then it must not be held for this.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, ReferenceType[Slot]]] = []
        self._most = FEW_DEADLINES
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def idle(self) -> bool:
        """Whether none is of a request that is not answered yet."""
        return not any(map(_is_open, self._heap))

    def add(self, slot: Slot, now: int) -> None:
        """Note the deadline of a request that came at that tick, if it has one."""
        timeout = slot.requests[0].timeout_ms
        if timeout is not None and slot.reply is None:
            if len(self._heap) >= self._most:
                self._heap = list(filter(_is_open, self._heap))
                heapq.heapify(self._heap)
                self._most = max(2 * len(self._heap), FEW_DEADLINES)
            # A tick is 10 ms; a part of one counts as one.
            heapq.heappush(self._heap, (now + -(-timeout // 10), next(self._numbers), ref(slot)))

    def pop_due(self, now: int) -> list[Slot]:
        """The requests not yet answered for which the time is over by that tick."""
        due: list[Slot] = []
        while self._heap and self._heap[0][0] <= now:
            slot = heapq.heappop(self._heap)[2]()
            if slot is not None and slot.reply is None:
                due.append(slot)
        return due


def _is_open(deadline: tuple[int, int, ReferenceType[Slot]]) -> bool:
    """Whether the request that it is for is not answered yet."""
    slot = deadline[2]()
    return slot is not None and slot.reply is None
