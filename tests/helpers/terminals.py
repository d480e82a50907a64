"""Pseudo-terminals: a command on one, what it sends read as it comes, each wait with its deadline."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

ROWS, COLUMNS = 24, 80
SECONDS = 20.0
"""How long anything may take that is to come: programs that start on a busy machine."""
SAID = 1000
"""How much of what was sent a failure tells."""
_CONTROLS = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()].|[=>78])|\r")


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

    @property
    def is_raw(self) -> bool:
        """Whether keys come one by one, as a prompt wants them while a line is typed."""
        local_modes: int = termios.tcgetattr(self._master)[3]
        return not local_modes & termios.ICANON

    def type(self, data: bytes) -> None:
        """Press these keys."""
        os.write(self._master, data)

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

    def read_until(self, look: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Read what is sent until something is so. AssertionError where that is not in time, or not before the end."""
        deadline = time.monotonic() + seconds
        while not look():
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s: {what}: {self.sent[-SAID:]!r}"
            assert self.read_some(left) or look(), f"the end came before {what}: {self.sent[-SAID:]!r}"

    def read_all(self, seconds: float = SECONDS) -> str:
        """All that is sent, up to the end. AssertionError where that does not come in time."""
        self.close_slave()
        deadline = time.monotonic() + seconds
        while self.read_some(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"not at its end within {seconds} s: {self.sent[-SAID:]!r}"
        return self.sent.decode("utf-8", "replace")


class OnTerminal:
    """A program whose terminal this is, for input, output, errors, and what the keys and a window's end mean to it."""

    def __init__(self, program: Sequence[str], environment: dict[str, str]) -> None:
        self.terminal = Terminal()
        try:
            log_in = functools.partial(os.login_tty, self.terminal.slave)
            self.process = subprocess.Popen(program, env=environment, preexec_fn=log_in)
        finally:
            self.terminal.close_slave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.terminal.hang_up()

    @property
    def shown(self) -> str:
        """What a person reads, without colours and the ways of the cursor."""
        return _CONTROLS.sub("", self.terminal.sent.decode("utf-8", "replace"))

    def does(self, keys: bytes, answer: str, count: int = 1) -> None:
        """Press keys, and wait until what comes of it is shown, that many times."""
        before = self.shown.count(answer)
        self.terminal.type(keys)
        self.shows(answer, before + count)

    def shows(self, answer: str, count: int = 1) -> None:
        """Wait until it is shown that many times, all in all."""
        self.terminal.read_until(lambda: self.shown.count(answer) >= count, f"{answer!r} is shown")

    def ends(self, seconds: float = SECONDS) -> int:
        """Wait until the program ends by itself; its exit code."""
        self.terminal.read_all(seconds)
        return self.process.wait(seconds)


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
