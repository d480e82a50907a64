"""Pseudo-terminals on which tests run commands. Output is read as it comes, and every wait has a deadline."""

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
"""How long any expected output may take: programs have to start on a busy machine."""
SAID = 1000
"""How many bytes of the output a failure shows."""
_CONTROLS = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()].|[=>78])|\r")


class Terminal:
    """The person's side of a pseudo-terminal. A context, at whose end both sides are closed."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (ROWS, COLUMNS))
        self.sent = b""
        """All output to the terminal so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_slave()
        self.hang_up()

    def close_slave(self) -> None:
        """Leave the other side to the command alone, so that the output ends with it."""
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def hang_up(self) -> None:
        """Close the person's side, like a closed window."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size; the kernel tells the command."""
        termios.tcsetwinsize(self._master, (rows, columns))

    @property
    def is_raw(self) -> bool:
        """Whether the command gets each key at once, as a prompt does while a line is typed."""
        local_modes: int = termios.tcgetattr(self._master)[3]
        return not local_modes & termios.ICANON

    def type(self, data: bytes) -> None:
        """Press these keys."""
        os.write(self._master, data)

    def read_some(self, seconds: float) -> bool:
        """Wait for output, at most `seconds`. Return whether more can come."""
        if not select.select([self._master], [], [], max(seconds, 0))[0]:
            return True
        try:
            part = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.sent += part
        return part != b""

    def read_until(self, look: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Read output until `look` is true. AssertionError if that is not in time, or not before the end."""
        deadline = time.monotonic() + seconds
        while not look():
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s: {what}: {self.sent[-SAID:]!r}"
            assert self.read_some(left) or look(), f"the end came before {what}: {self.sent[-SAID:]!r}"

    def read_all(self, seconds: float = SECONDS) -> str:
        """Read all output to its end. AssertionError if that does not come in time."""
        self.close_slave()
        deadline = time.monotonic() + seconds
        while self.read_some(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"not at its end within {seconds} s: {self.sent[-SAID:]!r}"
        return self.sent.decode("utf-8", "replace")


class OnTerminal:
    """A program with a terminal for its input, output and errors, and for signals of keys and of a closed window."""

    def __init__(self, program: Sequence[str], environment: dict[str, str]) -> None:
        self.terminal = Terminal()
        # Whoever runs the tests may export the size of another terminal.
        given = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        try:
            log_in = functools.partial(os.login_tty, self.terminal.slave)
            self.process = subprocess.Popen(program, env=given, preexec_fn=log_in)
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
        """The output as a person reads it, without colours and movements of the cursor."""
        return _CONTROLS.sub("", self.terminal.sent.decode("utf-8", "replace"))

    def does(self, keys: bytes, answer: str, count: int = 1) -> None:
        """Press keys, and wait until `answer` is shown `count` more times."""
        before = self.shown.count(answer)
        self.terminal.type(keys)
        self.shows(answer, before + count)

    def shows(self, answer: str, count: int = 1) -> None:
        """Wait until `answer` has been shown `count` times in all."""
        self.terminal.read_until(lambda: self.shown.count(answer) >= count, f"{answer!r} is shown")

    def ends(self, seconds: float = SECONDS) -> int:
        """Wait until the program ends by itself, and return its exit code."""
        self.terminal.read_all(seconds)
        return self.process.wait(seconds)


def output_on_terminal(
    program: Sequence[str | bytes], environment: dict[str, str], seconds: float = 60.0
) -> tuple[str, bytes]:
    """Run a command with a terminal as standard output and a pipe as standard error. Return the output of both."""
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
