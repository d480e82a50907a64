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
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import IO, Final, NamedTuple, Self

from trioraft.background import in_background
from trioraft_cli import streams
from trioraft_cli.outcomes import Failure, by_signal
from trioraft_cli.signals import Deaf, on_ended_child

NOT_FOUND: Final = 127
"""What a shell reports of a command that does not exist."""
NOT_STARTED: Final = 126
"""What a shell reports of a command that cannot be started."""
GRACE_SECONDS: Final = 2.0
"""How long a command gets to end when this process is told to."""
_KILLING_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02
_PR_SET_CHILD_SUBREAPER: Final = 36
_START: Final = 17
"""Where the start stands among the fields of a process behind its parent."""
_ENDED: Final = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""Look for a child that has ended, and leave it to be waited for."""


class Process(NamedTuple):
    """A process that runs or has ended. Numbers are given again, but not with the same start, in ticks since boot."""

    number: int
    start: int


_left_behind: Final[set[Process]] = set()
"""The children of this process that its commands have left behind. Nobody else can wait for their end."""


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
        self._number: int | None = None
        self._context = contextlib.ExitStack()
        self._deaf = Deaf()
        self._changed = threading.Event()

    def __enter__(self) -> Self:
        """Start it. Raises Failure, once it is said why that is impossible."""
        streams.flush()
        processes = _processes()
        self._before = {process for process, _ in _below(processes, set())}
        self._children_of_others = set(processes[os.getpid()]) - _left_behind
        _adopt_orphans(True)
        self._context.enter_context(self._deaf)
        self._context.enter_context(on_ended_child(self._wait_for_orphans))
        try:
            process = subprocess.Popen(self._command, env=self._environment, stdin=self._stdin)
            self._number = process.pid
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
        """Adopt no orphans any more, and note which are here."""
        _adopt_orphans(False)
        self._number = None
        _left_behind.clear()
        _left_behind.update(self._orphans())
        self._context.close()

    def _wait_for_orphans(self) -> None:
        """Wait for those that have ended while the command runs: nobody else does."""
        if self._number is None:
            return
        others = {process.number for process in self._children_of_others}
        with contextlib.suppress(ChildProcessError):  # there are no children
            while (ended := os.waitid(os.P_ALL, 0, _ENDED)) and ended.si_pid not in {self._number, *others}:
                _take_exit_code(ended.si_pid)
            if ended and ended.si_pid in others:  # until somebody waits for it, it hides the others
                self._orphans()

    def _orphans(self) -> list[Process]:
        """What commands have left behind, and still runs. Those that have ended are waited for."""
        running = []
        for process, runs in _processes()[os.getpid()].items():
            if process.number == self._number or process in self._children_of_others:
                continue
            if runs:
                running.append(process)
            else:
                _take_exit_code(process.number)
        return running

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
        _tell(self._running(), signal.SIGTERM)
        deadline = time.monotonic() + grace
        while self._running() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        deadline = time.monotonic() + _KILLING_SECONDS
        while (left := self._running()) and time.monotonic() < deadline:
            _tell(left, signal.SIGKILL)
            time.sleep(_LOOK_SECONDS)

    def _running(self) -> list[int]:
        """The command and what has come of it, as far as it has not ended."""
        return [process.number for process, runs in _below(_processes(), self._before) if runs]


def _tell(processes: Sequence[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _take_exit_code(process: int) -> None:
    """Wait for a child that has ended, so that the system forgets it."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process, os.WNOHANG)


def _adopt_orphans(adopts: bool) -> None:
    """Have what a descendant leaves behind become a child of this process, or of the system's first one."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopts))


def _processes() -> defaultdict[int, dict[Process, bool]]:
    """For each process that has children: these, and whether each runs."""
    children: defaultdict[int, dict[Process, bool]] = defaultdict(dict)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *rest = path.read_bytes().rpartition(b")")[2].split()
            process = Process(int(path.parent.name), int(rest[_START]))
            children[int(parent)][process] = state not in (b"Z", b"X")
    return children


def _below(children: Mapping[int, dict[Process, bool]], but: Set[Process]) -> Iterator[tuple[Process, bool]]:
    """Yield the processes below this one, and whether each runs; not those of `but`, nor what is below them."""
    parents = [os.getpid()]
    for parent in parents:
        for process, runs in children.get(parent, {}).items():
            if process not in but:
                parents.append(process.number)
                yield process, runs
