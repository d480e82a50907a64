"""What is due at which tick, for things that may end before."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Final, Generic, TypeVar
from weakref import ReferenceType, ref

from trioraft.replica.deadlines import NEVER

T = TypeVar("T")

FEW: Final = 64
"""Up to this many alarms, those of things that are gone are left where they are."""


class Alarms(Generic[T]):
    """Keeps nothing alive: an alarm for what is gone does not go off."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, ReferenceType[T]]] = []
        self._most = FEW
        self._numbers = count()

    @property
    def next(self) -> int:
        """The tick of the first alarm; NEVER where there is none."""
        return self._heap[0][0] if self._heap else NEVER

    def set(self, tick: int, thing: T) -> None:
        """Let an alarm for it go off at that tick."""
        if len(self._heap) >= self._most:
            self._heap = [alarm for alarm in self._heap if alarm[2]() is not None]
            heapq.heapify(self._heap)
            self._most = max(2 * len(self._heap), FEW)
        heapq.heappush(self._heap, (tick, next(self._numbers), ref(thing)))

    def pop_due(self, now: int) -> list[T]:
        """Remove the alarms that go off by tick `now`, and return what they are for."""
        due: list[T] = []
        while self._heap and self._heap[0][0] <= now:
            if (thing := heapq.heappop(self._heap)[2]()) is not None:
                due.append(thing)
        return due
