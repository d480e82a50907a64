"""The processes of a load, as their parent has them: started, told to begin and to end, and heard."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final, Self

from trioraft.wire.codec import decode, encode
from trioraft_cli.bench.figures import Figures
from trioraft_cli.bench.job import Job, Said, Start

_END_SECONDS: Final = 5.0
"""How long the processes get to end once they are told to."""


class _Process:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.said = Said()
        """What it has said last."""
        self.ready: int | None = None
        self.figures: Figures | None = None
        self.rest = b""
        # Ctrl-C is for this process, which tells the others; a blocked signal stays blocked in a new program.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trioraft_cli.bench.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def tell(self, what: Job | Start) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then its figures lack, and that is said
            self.process.stdin.write(encode(what) + b"\n")

    def hear(self) -> bool:
        """Take what it has said; whether it may say more."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            said = decode(line, Said)
            if said.ready is not None:
                self.ready = said.ready
            elif said.figures is not None:
                self.figures = said.figures
            else:
                self.said = said
        return bool(data)


class Processes:
    """A context, at whose end none of them is left."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._all: list[_Process] = []
        self._poll = select.poll()
        self._by_number: dict[int, _Process] = {}

    def __enter__(self) -> Self:
        try:
            for job in self._jobs:
                one = _Process(job)
                self._all.append(one)
                assert one.process.stdout is not None
                self._by_number[one.process.stdout.fileno()] = one
                self._poll.register(one.process.stdout, select.POLLIN)
                one.tell(job)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._all:
            if one.figures is None:
                one.process.kill()
            one.process.__exit__(None, None, None)  # closes the pipes, and waits

    @property
    def connections(self) -> int | None:
        """How many connections are open, once all processes can begin."""
        counts = [one.ready for one in self._all]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def done(self) -> tuple[int, int]:
        """How many answers came to requests, and how many of these are errors, so far."""
        asking = [one.said for one in self._all if not one.job.watches]
        return sum(said.done + said.failed for said in asking), sum(said.failed for said in asking)

    @property
    def events(self) -> int:
        """How many events the watchers have seen so far."""
        return sum(one.said.done for one in self._all if one.job.watches)

    @property
    def have_asked(self) -> bool:
        """Whether those that ask have come to their end."""
        return all(one.figures is not None for one in self._all if not one.job.watches)

    def begin(self, seconds: float) -> None:
        """Have all of them begin at the same time, so many seconds from now."""
        start = Start(time.monotonic_ns() + round(seconds * 1e9))
        for one in self._all:
            one.tell(start)

    def hear(self, seconds: float) -> None:
        """Take what they say within that time; return as soon as one has said something. Raises ProcessEnded."""
        for number, _ in self._poll.poll(seconds * 1000):
            one = self._by_number[number]
            if not one.hear():
                self._poll.unregister(number)
                if one.figures is None:
                    raise ProcessEnded(one.process.wait())

    def end(self) -> list[Figures]:
        """Tell all of them to end, and return what they have seen, with those that asked last. Raises ProcessEnded."""
        for one in self._all:
            assert one.process.stdin is not None
            one.process.stdin.close()
        deadline = time.monotonic() + _END_SECONDS
        while any(one.figures is None for one in self._all) and time.monotonic() < deadline:
            self.hear(0.1)
        return list(self._figures())

    def _figures(self) -> Iterator[Figures]:
        for one in self._all:
            if one.figures is not None:
                yield one.figures


class ProcessEnded(Exception):
    """A process of the load has ended before its time."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a process of the load has ended with {code}")
