"""The deadlines of requests that came with a `timeout_ms`."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Final
from weakref import ReferenceType, ref

from trioraft.replica.ports import ticks_of
from trioraft.replica.slots import Slot

FEW_DEADLINES: Final = 64
"""Up to this many deadlines, those of answered requests are left where they are."""
NEVER: Final = 2**62
"""A tick that does not come."""


class Deadlines:
    """When each request with a deadline must have been answered.

    Most requests are answered long before, and must not be kept in memory for their deadline.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, ReferenceType[Slot]]] = []
        self._most = FEW_DEADLINES
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def idle(self) -> bool:
        """Whether all requests with a deadline are answered."""
        return not any(map(_is_open, self._heap))

    @property
    def next(self) -> int:
        """The tick at which the time of a request is over that is not answered yet; NEVER where there is none."""
        while self._heap and not _is_open(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else NEVER

    def add(self, slot: Slot, now: int) -> None:
        """Note the deadline of a request that came at tick `now`, if it has one."""
        timeout = slot.requests[0].timeout_ms
        if timeout is not None and slot.reply is None:
            if len(self._heap) >= self._most:
                self._heap = list(filter(_is_open, self._heap))
                heapq.heapify(self._heap)
                self._most = max(2 * len(self._heap), FEW_DEADLINES)
            heapq.heappush(self._heap, (now + ticks_of(timeout), next(self._numbers), ref(slot)))

    def pop_due(self, now: int) -> list[Slot]:
        """Remove the requests whose time is over by tick `now`, and return those not answered yet."""
        due: list[Slot] = []
        while self._heap and self._heap[0][0] <= now:
            slot = heapq.heappop(self._heap)[2]()
            if slot is not None and slot.reply is None:
                due.append(slot)
        return due


def _is_open(deadline: tuple[int, int, ReferenceType[Slot]]) -> bool:
    """Whether its request is not answered yet."""
    slot = deadline[2]()
    return slot is not None and slot.reply is None
