"""A command that a command runs: started, waited for, and ended with all that it has started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Self

from trioraft.background import in_background
from trioraft_cli import streams
from trioraft_cli.outcomes import Failure, by_signal
from trioraft_cli.signals import Deaf

NOT_FOUND: Final = 127
"""What a shell reports of a command that does not exist."""
NOT_STARTED: Final = 126
"""What a shell reports of a command that cannot be started."""
GRACE_SECONDS: Final = 2.0
"""How long a command gets to end when this process is told to."""
_KILLING_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02
_PR_SET_CHILD_SUBREAPER: Final = 36
_adopted: Final[set[int]] = set()
"""What commands have left behind. Nobody else can wait for its end."""


class Child:
    """A command that runs. A context, at whose end it has ended; it is ended there if something failed.

    Ctrl-C reaches the command too, which decides what that does: here it is only noted.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, bytes | None], stdin: IO[bytes] | None = None
    ) -> None:
        """Nothing runs yet. `environment` changes that of this process: None takes a variable away."""
        self._command = command
        changed = {**os.environb, **{name.encode(): value for name, value in environment.items()}}
        self._environment = {name: value for name, value in changed.items() if value is not None}
        self._stdin = stdin
        self._deaf = Deaf()
        self._changed = threading.Event()

    def __enter__(self) -> Self:
        """Start it. Raises Failure, once it is said why that is impossible."""
        streams.flush()
        self._children = set(_processes()[os.getpid()])
        _adopt_orphans(True)
        self._deaf.__enter__()
        try:
            process = subprocess.Popen(self._command, env=self._environment, stdin=self._stdin)
            self._end = in_background(process.wait)
        except OSError as error:
            self._leave()
            streams.say(f"{self._command[0]} cannot be started: {error.strerror}")
            raise Failure(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_STARTED) from None
        except BaseException:  # a signal, which may have come once the command ran
            self.end(GRACE_SECONDS)
            self._leave()
            raise
        self._end.add_done_callback(lambda _: self._changed.set())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None:
                self.end(GRACE_SECONDS)
            self._end.result()
        finally:
            self._leave()

    def _leave(self) -> None:
        """Adopt no orphans any more, and look after those that are here."""
        _adopt_orphans(False)
        _adopted.update(set(_processes()[os.getpid()]) - self._children)
        for process in list(_adopted):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(process, os.WNOHANG)[0] == 0:
                    continue
            _adopted.remove(process)
        self._deaf.__exit__()

    @property
    def was_interrupted(self) -> bool:
        """Whether Ctrl-C came while it ran."""
        return self._deaf.was_told

    def wake(self) -> None:
        """Have `wait` return, from another thread."""
        self._changed.set()

    def wait(self) -> int | None:
        """Wait for its end; its exit code as a shell reports it, or None where it runs and `wake` was called."""
        self._changed.wait()
        if not self._end.done():
            return None
        code = self._end.result()
        return code if code >= 0 else by_signal(-code)

    def end(self, grace: float) -> None:
        """Tell it, and all that came of it, to end; kill what is there after so many seconds."""
        _tell(_descendants(), signal.SIGTERM)
        deadline = time.monotonic() + grace
        while _descendants() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        deadline = time.monotonic() + _KILLING_SECONDS
        while (left := _descendants()) and time.monotonic() < deadline:
            _tell(left, signal.SIGKILL)
            time.sleep(_LOOK_SECONDS)


def _tell(processes: Sequence[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _adopt_orphans(adopts: bool) -> None:
    """Have what a descendant leaves behind become a child of this process, or of the system's first one."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopts))


def _processes() -> defaultdict[int, dict[int, bool]]:
    """For each process that has children: these, and whether each runs."""
    children: defaultdict[int, dict[int, bool]] = defaultdict(dict)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            process, rest = int(path.parent.name), path.read_bytes().rpartition(b")")[2].split()
            children[int(rest[1])][process] = rest[0] not in (b"Z", b"X")
    return children


def _descendants() -> list[int]:
    """The processes below this one that have not ended."""
    children = _processes()
    running: list[int] = []
    parents = [os.getpid()]
    for parent in parents:
        parents.extend(children[parent])
        running.extend(process for process, runs in children[parent].items() if runs)
    return running
