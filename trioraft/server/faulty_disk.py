"""A disk thread that begins no write while the disk is paused on command: to the node, a disk that hangs."""

from __future__ import annotations

from collections.abc import Callable

from trioraft.replica.ports import DiskThread
from trioraft.server.faults import Faults


class PausedThread:
    """A disk thread (`trioraft.replica.ports.DiskThread`) over another one, which obeys the faults.

    A write that is under way when the disk is paused ends, but nobody is told before the pause is over.
    """

    def __init__(self, thread: DiskThread, faults: Faults) -> None:
        self._thread = thread
        self._faults = faults
        self._held: Callable[[], None] | None = None
        """The write that waits for the end of the pause."""

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write, or have it wait."""
        if self._faults.disk_is_paused:
            self._held = write
        else:
            self._thread.start(write)

    def finished(self, wait: bool = True) -> bool:
        """Whether the write has ended, after waiting for it a moment. Raises what the write raised."""
        if self._faults.disk_is_paused:
            return False
        if self._held is not None:
            held, self._held = self._held, None
            self._thread.start(held)
        return self._thread.finished(wait)

    def close(self) -> None:
        """Stop. A write that waits is given up, as one is that a disk has not ended."""
        self._held = None
        self._thread.close()
