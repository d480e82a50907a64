"""The end of a command's time: it breaks off whatever the command waits for, as Ctrl-C does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_NO_MORE: Final = 0.0


class TimeIsUp(BaseException):
    """The time that `--timeout` gives is over. No Exception: only who knows what it leaves open may catch it."""


@contextmanager
def ending_within(seconds: float | None) -> Iterator[None]:
    """A context that TimeIsUp breaks off after so many seconds, and nothing where it is None. In the main thread."""
    if seconds is None:
        yield
        return
    alarm = _Alarm()
    before = signal.signal(signal.SIGALRM, alarm.ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        alarm.is_armed = False
        signal.setitimer(signal.ITIMER_REAL, _NO_MORE)
        signal.signal(signal.SIGALRM, before)


class _Alarm:
    """Rings once, and not any more once the context ends: what is left in order there is not broken off."""

    is_armed = True

    def ring(self, _: int, __: FrameType | None) -> None:
        """Break off the main thread. Raises TimeIsUp."""
        if self.is_armed:
            self.is_armed = False
            raise TimeIsUp
