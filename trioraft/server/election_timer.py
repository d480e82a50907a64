"""Elapsed time to ticks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

TICK_SECONDS: Final = 0.01
MAX_CATCH_UP: Final = 5
"""Ticks given at once after a stall: a node that was stopped first reads what came meanwhile, and then judges
who is silent."""


async def run_election_timer(tick: Callable[[int], None]) -> None:
    """Call `tick` with the number of ticks that have passed, for ever."""
    due = trio.current_time() + TICK_SECONDS
    while True:
        await trio.sleep_until(due)
        late = int((trio.current_time() - due) / TICK_SECONDS)
        tick(min(1 + late, MAX_CATCH_UP))
        due += (1 + late) * TICK_SECONDS
