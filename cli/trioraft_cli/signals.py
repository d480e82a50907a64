"""Signals to a command that people type into: Ctrl-C is for what is under way, and who is told to leave tidies up."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Final, Self

from trioraft_cli.outcomes import by_signal

_Handler = Callable[[int, FrameType | None], object] | signal.Handlers
_TO_LEAVE: Final = (signal.SIGTERM, signal.SIGHUP)


class Leaving:
    """SIGTERM and SIGHUP raise SystemExit, so that the terminal and all that was begun are seen to. A context.

    What fails on the way out, as with a terminal that is gone, changes nothing. A signal that is ignored, as by nohup,
    stays so.
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
        """Raise nothing in what must not be broken off: it is asked to end, and SystemExit is raised behind it."""
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
    """Ctrl-C, which breaks off a command, once, and nothing beside one. A context."""

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
        """What Ctrl-C may break off: KeyboardInterrupt is raised in it."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No signal breaks off what is done, as one that is sent twice would."""
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
