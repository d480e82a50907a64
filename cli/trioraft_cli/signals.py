"""Signals: Ctrl-C breaks off what is under way, SIGTERM and SIGHUP end what has to be left in good order."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Final, Self

from trioraft_cli.outcomes import by_signal

_Handler = Callable[[int, FrameType | None], object] | signal.Handlers
_TO_LEAVE: Final = (signal.SIGTERM, signal.SIGHUP)


class Leaving:
    """A context in which SIGTERM and SIGHUP raise SystemExit, so that the terminal and the rest are left in order.

    A failure on the way out, as of a terminal that is gone, does not change the exit code. A signal that is ignored, as
    under nohup, stays ignored.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._ask: Callable[[], None] | None = None
        self._handled = _handled(_TO_LEAVE, self._leave)

    def __enter__(self) -> Self:
        self._handled.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handled.__exit__(None, None, None)
        self.check()

    @property
    def told(self) -> bool:
        """Whether a signal has come."""
        return self._number is not None

    def check(self) -> None:
        """Raise SystemExit if a signal has come."""
        if self._number is not None:
            raise SystemExit(by_signal(self._number))

    @contextlib.contextmanager
    def by_asking(self, ask: Callable[[], None]) -> Iterator[None]:
        """A context that must not be broken off: a signal asks it to end, and SystemExit is raised after it."""
        self._ask = ask
        try:
            yield
        finally:
            self._ask = None
            self.check()

    def _leave(self, number: int, _: FrameType | None) -> None:
        for other in _TO_LEAVE:
            signal.signal(other, signal.SIG_IGN)  # a window that is closed sends it twice
        self._number = number
        if self._ask is None:
            self.check()
        else:
            self._ask()


class Interrupts:
    """A context in which Ctrl-C breaks off a command, once, and does nothing between commands."""

    def __init__(self) -> None:
        self._armed = False
        self._handled = _handled((signal.SIGINT,), self._interrupt)

    def __enter__(self) -> Self:
        self._handled.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handled.__exit__(None, None, None)

    @contextlib.contextmanager
    def breaking_off(self) -> Iterator[None]:
        """A context in which Ctrl-C raises KeyboardInterrupt."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            _end_line()
            raise KeyboardInterrupt


def _end_line() -> None:
    """End the line in which a terminal shows the ^C."""
    with contextlib.suppress(OSError):
        if os.isatty(1):
            os.write(1, b"\n")


class Deaf:
    """A context in which Ctrl-C is noted and does no more. Programs started in it get it as ever."""

    def __init__(self) -> None:
        self.was_told = False
        self._handled = _handled((signal.SIGINT,), self._note)

    def __enter__(self) -> Self:
        self._handled.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handled.__exit__(None, None, None)

    def _note(self, _: int, __: FrameType | None) -> None:
        self.was_told = True


@contextlib.contextmanager
def on_ended_child(act: Callable[[], object]) -> Iterator[None]:
    """A context in which `act` is called when a child of this process has ended.

    Who has started this process may have made it ignore that. The exit codes of its children would then be lost.
    """
    before = signal.signal(signal.SIGCHLD, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """A context that no signal breaks off: one that ended the prompt may be sent twice."""
    with _handled((*_TO_LEAVE, signal.SIGINT), signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: _Handler) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in numbers}
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
