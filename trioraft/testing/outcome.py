"""The outcome of a simulation: when a run counts, and how it fails."""

from __future__ import annotations

from typing import Final

LEAST_ELECTIONS: Final = 2
LEAST_WRITES: Final = 50
LEAST_FAULTS: Final = 3


def is_eventful(elections: int, writes: int, kinds_of_fault: int) -> bool:
    """Whether enough happened in a run for it to prove something."""
    return elections >= LEAST_ELECTIONS and writes >= LEAST_WRITES and kinds_of_fault >= LEAST_FAULTS


class SimulationFailed(AssertionError):
    """A run went wrong: its seed, the reason, and the events before."""

    def __init__(self, seed: int, reason: str, timeline: str) -> None:
        super().__init__(f"seed {seed}: {reason}\n{timeline}")
        self.seed = seed
        self.reason = reason
        self.timeline = timeline

    def __reduce__(self) -> tuple[type[SimulationFailed], tuple[int, str, str]]:
        return SimulationFailed, (self.seed, self.reason, self.timeline)  # so that it can be sent to another process
