"""The timer of a node: elapsed time becomes ticks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from trioraft.replica.ports import TICK_SECONDS

MAX_LATE: Final = 5
"""The most ticks given at once beyond those slept for. A node that was stopped first reads what came meanwhile, and
then judges who is silent."""


class ElectionTimer:
    """Tells its node how many ticks have passed, as rarely as the node allows."""

    def __init__(self, tick: Callable[[int], None], ticks_to_rest: Callable[[], int]) -> None:
        """`ticks_to_rest` says how many ticks may pass before the node must be told."""
        self._tick = tick
        self._ticks_to_rest = ticks_to_rest
        self._hurried = trio.Event()

    def hurry(self) -> None:
        """Wake the timer, because something is due sooner than the node had said."""
        self._hurried.set()

    async def run(self) -> None:
        """Tick for ever."""
        told = trio.current_time()
        while True:
            rest = max(1, self._ticks_to_rest())
            self._hurried = trio.Event()
            with trio.move_on_at(told + rest * TICK_SECONDS):
                await self._hurried.wait()
            passed = int((trio.current_time() - told) / TICK_SECONDS + 1e-6)
            if passed:
                told += passed * TICK_SECONDS
                self._tick(min(passed, rest + MAX_LATE))
