"""Stand-ins for the disk thread, for disks in memory: they use no thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Agenda(Protocol):
    """A schedule of calls."""

    def after(self, delay: Any, call: Callable[[], None], /) -> None:
        """Make the call after `delay`, in the agenda's own unit of time."""


class ImmediateThread:
    """A disk thread that writes at once, for disks in memory on which nothing takes time."""

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
        """Return True: the write has ended. Raises what the write raised."""
        if self._error is not None:
            raise self._error
        return True

    def close(self) -> None:
        """Do nothing: no write is under way."""


class SimulatedThread:
    """A disk thread whose writes take virtual time, for disks in memory. After `close` it writes nothing more."""

    def __init__(
        self,
        agenda: Agenda,
        wake: Callable[[], None],
        draw_delay: Callable[[], float],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`draw_delay` gives the duration of the next write, in the agenda's unit of time.

        `failed` is told of an error that is no Exception: a power cut.
        """
        self._agenda = agenda
        self._wake = wake
        self._draw_delay = draw_delay
        self._failed = failed
        self._write: Callable[[], None] | None = None
        self.error: Exception | None = None
        """The error that the last write raised; None where it raised none."""
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a write is under way."""
        return self._write is not None

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write; a write that takes no time has ended when this returns."""
        assert self._write is None, "one write at a time"
        self.error = None
        self._write = write
        delay = self._draw_delay()
        if delay > 0:
            self._agenda.after(delay, self._end_later)
        else:
            self.end()

    def finished(self, wait: bool = True) -> bool:  # noqa: ARG002
        """Whether the write has ended. Raises what the write raised."""
        if self.error is not None:
            raise self.error
        return self._write is None

    def end(self) -> None:
        """Do the write now, and keep its error. An error that is no Exception is raised here."""
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
        """Stop, and give up a write that is under way."""
        self._closed = True

    def _end_later(self) -> None:
        try:
            self.end()
        except BaseException as error:
            self._failed(error)
        else:
            if not self._closed:
                self._wake()
