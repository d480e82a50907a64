"""Threads for disks in memory, which are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Agenda(Protocol):
    """Calls to be made at their times."""

    def after(self, delay: Any, call: Callable[[], None], /) -> None:
        """Make that call after that time."""


class ImmediateThread:
    """Writes on the spot: for disks in memory, where nothing takes time."""

    def __init__(self) -> None:
        self._error: Exception | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Write."""
        self._error = None
        try:
            write()
        except Exception as error:
            self._error = error

    def finished(self, wait: bool = True) -> bool:  # noqa: ARG002
        """It has. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return True

    def close(self) -> None:
        """Nothing is under way."""


class SimulatedThread:
    """A writer whose writes take virtual time, for disks in memory. It works until it is closed, as a process does."""

    def __init__(
        self,
        agenda: Agenda,
        wake: Callable[[], None],
        draw_delay: Callable[[], float],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`draw_delay` says how long the next write takes, in the agenda's unit of time.

        `failed` hears what a write raised that is no Exception: a power cut.
        """
        self._agenda = agenda
        self._wake = wake
        self._draw_delay = draw_delay
        self._failed = failed
        self._write: Callable[[], None] | None = None
        self.error: Exception | None = None
        """What a write raised."""
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a write is under way."""
        return self._write is not None

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write; one that takes no time is over when this returns."""
        assert self._write is None, "one write at a time"
        self.error = None
        self._write = write
        delay = self._draw_delay()
        if delay > 0:
            self._agenda.after(delay, self._end_later)
        else:
            self.end()

    def finished(self, wait: bool = True) -> bool:  # noqa: ARG002
        """Whether the write has ended. Raises what it raised."""
        if self.error is not None:
            raise self.error
        return self._write is None

    def end(self) -> None:
        """Do the write now. What is no Exception comes out of it."""
        write = self._write
        if write is None or self._closed:
            return
        try:
            write()
        except Exception as error:
            self.error = error
        finally:
            self._write = None

    def close(self) -> None:
        """Stop: a write under way is given up."""
        self._closed = True

    def _end_later(self) -> None:
        try:
            self.end()
        except BaseException as error:
            self._failed(error)
        else:
            if not self._closed:
                self._wake()
