"""Virtual time that can be repeated: Trio's scheduler from a seed, a clock that jumps, and scheduled calls."""

from __future__ import annotations

import heapq
import importlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import inf
from random import Random
from typing import Any

import trio
import trio.testing
from trio.lowlevel import Task

_SCHEDULER = "trio._core._run"
_SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"
_RANDOM = "_r"


@contextmanager
def repeatable_scheduling(seed: int) -> Iterator[None]:
    """Make Trio run ready tasks in an order that follows from the seed, within this block.

    Raises RuntimeError where this version of Trio lacks the private names that this needs.
    """
    scheduler: Any = importlib.import_module(_SCHEDULER)
    switch, random = getattr(scheduler, _SWITCH, None), getattr(scheduler, _RANDOM, None)
    if not isinstance(switch, bool) or not isinstance(random, Random):
        missing = _SWITCH if not isinstance(switch, bool) else _RANDOM
        raise RuntimeError(
            f"Trio {trio.__version__} has no {_SCHEDULER}.{missing} any more: runs cannot be repeated from a seed. "
            "See how its scheduler orders ready tasks now (Runner.unrolled_run), or use an older Trio"
        )
    state = random.getstate()
    setattr(scheduler, _SWITCH, True)
    random.seed(seed)
    try:
        yield
    finally:
        setattr(scheduler, _SWITCH, switch)
        random.setstate(state)


def run_in_virtual_time(seed: int, main: Callable[[], Awaitable[None]], steps: StepCounter | None = None) -> None:
    """Run `main` to its end, with a clock that jumps to the next deadline whenever all tasks wait."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    with repeatable_scheduling(seed):
        trio.run(main, clock=clock, instruments=() if steps is None else (steps,))


class StepCounter(trio.abc.Instrument):
    """Counts the steps of all tasks, and makes calls at given numbers."""

    def __init__(self) -> None:
        self.steps = 0
        self._calls: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()

    def after(self, steps: int, call: Callable[[], None]) -> None:
        """Make the call `steps` steps from now, between two steps."""
        heapq.heappush(self._calls, (self.steps + steps, next(self._numbers), call))

    def after_task_step(self, task: Task) -> None:  # noqa: ARG002
        """Count a step: a task has run to its next checkpoint."""
        self.steps += 1
        while self._calls and self._calls[0][0] <= self.steps:
            heapq.heappop(self._calls)[2]()


class Agenda:
    """A schedule of calls; calls of one time are made in the order in which they were entered."""

    def __init__(self) -> None:
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._news = trio.Event()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Make the call `seconds` from now."""
        due = trio.current_time() + seconds
        if not self._calls or due < self._calls[0][0]:
            self._news.set()
        heapq.heappush(self._calls, (due, next(self._numbers), call))

    async def run(self) -> None:
        """Make the calls at their times, for ever."""
        while True:
            self._news = trio.Event()
            with trio.move_on_at(self._calls[0][0] if self._calls else inf):
                await self._news.wait()
            now = trio.current_time()
            while self._calls and self._calls[0][0] <= now:
                heapq.heappop(self._calls)[2]()
