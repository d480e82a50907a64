"""The disk thread: it writes to the log, and a turn waits for each write only for a moment.

A sync mostly takes a fraction of a millisecond, and then waiting for it at once is cheapest. A longer sync must not
silence the node, whose peers and clients want answers. So the node stops waiting, goes on with its turns, and is told
of the end by `wake`. While syncs are slow it does not wait at all.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from trioraft.server.durations import Durations

PATIENCE_SECONDS: Final = 0.01
"""How long a turn waits for a write; after a slower write the next turn does not wait."""


class WorkerThread:
    """The thread over a real disk (`trioraft.replica.ports.DiskThread`).

    The two threads wait for each other in the kernel, each on an eventfd. A lock or a queue costs twice as much: the
    woken thread then waits again, for the interpreter, which the other thread still holds.
    """

    def __init__(self, wake: Callable[[], None], *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: the most seconds for which `finished` waits; with 0 it never waits."""
        self._wake = wake
        self._patience = patience
        self._write: Callable[[], None] | None = None
        self._begin = os.eventfd(0, os.EFD_CLOEXEC)
        self._end = os.eventfd(0, os.EFD_CLOEXEC)
        self._ended = select.epoll()
        self._ended.register(self._end, select.EPOLLIN | select.EPOLLET)  # each end is seen once, and need not be read
        self._given_up = self._closing = False
        self._error: BaseException | None = None
        self._seconds = 0.0
        self.durations = Durations()
        """How long the writes took."""
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write."""
        self._given_up = False
        self._error = None
        self._write = write
        os.eventfd_write(self._begin, 1)

    def finished(self, wait: bool = True) -> bool:
        """Wait a moment for the write, and return whether it has ended. Raises what the write raised."""
        if not wait or self._seconds >= self._patience:
            self._given_up = True  # before the check, so that a write that ends after the check wakes the node
        if not self._ended.poll(0 if self._given_up else self._patience):
            self._given_up = True
            return False
        if self._error is not None:
            raise self._error
        return True

    def close(self) -> None:
        """Stop once the write under way has ended, without waiting long for a disk that hangs."""
        self._closing = True
        os.eventfd_write(self._begin, 1)
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self._ended.close()
            os.close(self._begin)
            os.close(self._end)

    def _run(self) -> None:
        while True:
            os.eventfd_read(self._begin)
            write, self._write = self._write, None
            if write is not None:
                self._carry_out(write)
            if self._closing:
                return

    def _carry_out(self, write: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            write()
        except BaseException as error:  # `finished` raises it in the node's task
            self._error = error
        self._seconds = time.monotonic() - began
        self.durations.add(self._seconds)
        os.eventfd_write(self._end, 1)
        # The node may be waiting at this moment or not; waking it for nothing costs one turn.
        if self._given_up or self._seconds >= self._patience:
            self._wake()
