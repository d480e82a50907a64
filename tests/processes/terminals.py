"""Pseudo-terminals: a command on one, what it sends read as it comes, each wait with its deadline."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Sequence
from typing import Self

ROWS, COLUMNS = 24, 80


class Terminal:
    """The side of a pseudo-terminal at which a person sits. A context: at its end nothing is left of it."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (ROWS, COLUMNS))
        self.sent = b""
        """All that the terminal was sent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_slave()
        self.hang_up()

    def close_slave(self) -> None:
        """Leave the other side to the command: once it ends, so does what is sent."""
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def hang_up(self) -> None:
        """Go away, as a window that is closed."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def read_some(self, seconds: float) -> bool:
        """Wait for something to be sent, no longer than this; whether anything can still come."""
        if not select.select([self._master], [], [], max(seconds, 0))[0]:
            return True
        try:
            part = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.sent += part
        return part != b""

    def read_all(self, seconds: float) -> str:
        """All that is sent, up to the end. AssertionError where that does not come in time."""
        self.close_slave()
        deadline = time.monotonic() + seconds
        while self.read_some(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"not at its end within {seconds} s: {self.sent!r}"
        return self.sent.decode()


def output_on_terminal(
    program: Sequence[str | bytes], environment: dict[str, str], seconds: float = 60.0
) -> tuple[str, bytes]:
    """What a command sends to a terminal and to standard error, which is none."""
    with (
        Terminal() as terminal,
        subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=terminal.slave, stderr=subprocess.PIPE, env=environment
        ) as process,
    ):
        try:
            sent = terminal.read_all(seconds)
            return sent, process.communicate(timeout=seconds)[1]
        finally:
            process.kill()
