"""What a replica needs of what is around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

TICK_SECONDS: Final = 0.01
"""How long a tick lasts."""


class DiskThread(Protocol):
    """Runs one write at a time."""

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write; the one before must have ended. What it raises, `finished` raises."""

    def finished(self, wait: bool = True) -> bool:
        """Whether the write has ended, after waiting for it a moment. Raises what the write raised.

        Where it is not waited for, `wake` is called when it ends.
        """

    def close(self) -> None:
        """Stop, once the write under way has ended or is given up."""
