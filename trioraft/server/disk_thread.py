"""Writes to the log in a thread of their own, and waits a moment for each.

A sync mostly takes a fraction of a millisecond: then it is cheapest to wait for it on the spot. One that
takes long must not silence the node, whose peers and clients want answers meanwhile: then the wait is given
up, the node goes on with its turns, and hears of the end by `wake`. While syncs are slow it does not wait at all.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

PATIENCE_SECONDS: Final = 0.01
"""How long a turn waits for a write; a last write slower than this is not waited for."""


class WorkerThread:
    """The writer over a real disk.

    The two threads wait for each other in the kernel, on an eventfd each. To wait on a lock or a queue costs twice
    as much: who is woken has to wait once more, for the interpreter, which the other has not let go of yet.
    """

    def __init__(self, wake: Callable[[], None], *, patience: float = PATIENCE_SECONDS) -> None:
        """`patience`: for how many seconds `finished` waits at most; with 0 it never does."""
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
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write."""
        self._given_up = False
        self._error = None
        self._write = write
        os.eventfd_write(self._begin, 1)

    def finished(self, wait: bool = True) -> bool:
        """Whether the write has ended, after waiting for it a moment."""
        if not wait or self._seconds >= self._patience:
            self._given_up = True  # before the look: a write that ends after it then wakes
        if not self._ended.poll(0 if self._given_up else self._patience):
            self._given_up = True
            return False
        if self._error is not None:
            raise self._error
        return True

    def close(self) -> None:
        """Stop, once the write under way has ended; a disk that hangs is not waited for long."""
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
        except BaseException as error:  # handed to the node's task
            self._error = error
        self._seconds = time.monotonic() - began
        os.eventfd_write(self._end, 1)
        # It may be waited for at this moment, or not; to wake for nothing costs one turn.
        if self._given_up or self._seconds >= self._patience:
            self._wake()
