"""The timer of a node: elapsed time becomes ticks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import trio

from trioraft.replica.ports import TICK_SECONDS

MAX_LATE: Final = 5
"""The most ticks given at once beyond those slept for. A node that was stopped first reads what came meanwhile, and
then judges who is silent."""


class ElectionTimer:
    """Tells its node how many ticks have passed, as rarely as the node allows."""

    def __init__(
        self, tick: Callable[[int, int], None], ticks_to_rest: Callable[[], int], wake: Callable[[], None]
    ) -> None:
        """`tick` is told how many ticks have passed, and how many more, for which the node stood still, do not count.

        `wake` makes the node act on them.

        `ticks_to_rest` says how many ticks may pass before the node must be told.
        """
        self._tick = tick
        self._ticks_to_rest = ticks_to_rest
        self._wake = wake
        self._hurried = trio.Event()
        self._clock = trio.current_time
        self._told = math.inf
        """The time up to which the node has been told of ticks; infinite before the first."""
        self._rest = 1
        """For how many ticks the timer sleeps."""
        self._wakes = -math.inf
        """When that is over."""

    def hurry(self) -> None:
        """Wake the timer, because something is due sooner than the node had said."""
        self._hurried.set()

    def hurry_for(self, ticks: int) -> None:
        """Wake the timer if it sleeps beyond what is due after that many ticks."""
        if self._told + ticks * TICK_SECONDS < self._wakes:
            self._hurried.set()

    def catch_up(self) -> bool:
        """Tell the node of the ticks that have passed and that it was not told of; whether there were any."""
        passed = (self._clock() - self._told) / TICK_SECONDS + 1e-6
        if passed < 1:
            return False
        whole = int(passed)
        self._told += whole * TICK_SECONDS
        counted = min(whole, self._rest + MAX_LATE)
        self._tick(counted, whole - counted)
        return True

    async def run(self) -> None:
        """Tick for ever."""
        self._clock = trio.lowlevel.current_clock().current_time  # trio.current_time calls the same
        self._told = self._clock()
        while True:
            self._rest = max(1, self._ticks_to_rest())
            self._wakes = self._told + self._rest * TICK_SECONDS
            self._hurried = trio.Event()
            with trio.move_on_at(self._wakes):
                await self._hurried.wait()
            if self.catch_up():
                self._wake()
