"""What is due at which tick, or revision, for things that may be gone or done with before."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final, Generic, TypeVar
from weakref import ReferenceType, ref

T = TypeVar("T")

FEW: Final = 64
"""Up to this many alarms, those of things that are gone or done with are left where they are."""
NEVER: Final = 2**62
"""A tick that does not come."""


class Alarms(Generic[T]):
    """Keeps nothing alive: an alarm for what is gone, or done with, does not go off."""

    def __init__(self, is_open: Callable[[T], bool] = lambda _: True) -> None:
        """`is_open` says whether a thing is not done with."""
        self._is_open = is_open
        self._heap: list[tuple[int, int, ReferenceType[T]]] = []
        self._most = FEW
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def idle(self) -> bool:
        """Whether no alarm is left that can go off."""
        return self.next == NEVER

    @property
    def next(self) -> int:
        """The tick of the first alarm that can go off; NEVER where there is none."""
        while self._heap and self._open(self._heap[0]) is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else NEVER

    def set(self, tick: int, thing: T) -> None:
        """Let an alarm for it go off at that tick."""
        if len(self._heap) >= self._most:
            self._keep([alarm for alarm in self._heap if self._open(alarm) is not None])
            self._most = max(2 * len(self._heap), FEW)
        heapq.heappush(self._heap, (tick, next(self._numbers), ref(thing)))

    def pop_due(self, now: int) -> list[T]:
        """Remove the alarms that go off by tick `now`, and return what they are for."""
        due: list[T] = []
        while self._heap and self._heap[0][0] <= now:
            if (thing := self._open(heapq.heappop(self._heap))) is not None:
                due.append(thing)
        return due

    def pop_if(self, is_over: Callable[[T], bool]) -> list[T]:
        """Remove and return the things for which `is_over` holds."""
        if not self._heap:
            return []
        over: list[T] = []
        waiting = []
        for alarm in self._heap:
            thing = self._open(alarm)
            if thing is not None and is_over(thing):
                over.append(thing)
            elif thing is not None:
                waiting.append(alarm)
        self._keep(waiting)
        return over

    def _keep(self, alarms: list[tuple[int, int, ReferenceType[T]]]) -> None:
        self._heap = alarms
        heapq.heapify(alarms)

    def _open(self, alarm: tuple[int, int, ReferenceType[T]]) -> T | None:
        """What the alarm is for, if it can go off."""
        thing = alarm[2]()
        return thing if thing is not None and self._is_open(thing) else None
