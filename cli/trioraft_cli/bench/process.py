"""One process of a load, as `python -m trioraft_cli.bench.process`: its job, and when to begin, come on standard input.

It ends when standard input does, as it does with the process that started it, however that went.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import time
from collections.abc import Callable
from typing import Final

from trioraft.wire.codec import decode, encode
from trioraft_cli.bench.channels import Channels
from trioraft_cli.bench.job import Job, Said, Start
from trioraft_cli.bench.load import Load, Worker
from trioraft_cli.bench.watch import Watch

CONNECT_SECONDS: Final = 3.0
"""How long the connections get to be made before it begins without those that are not."""
DRAIN_SECONDS: Final = 2.0
"""How long the answers that are under way at the end are waited for, so that no write comes after all is removed."""
_TICK: Final = 100_000_000
_STDIN: Final = 0


class Process:
    """The process from its job to its figures."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._channels = Channels(job.places, job.seeks_leader)
        made = Watch(job, self._channels) if job.watches else Load(job, self._channels)
        self._channels.owner = made
        self._worker: Worker = made
        self._start: Start | None = None
        self._is_told_to_end = False

    def run(self) -> None:
        """Connect, wait until it is told to begin, do the job, and say what was seen."""
        self._channels.listen(_STDIN, self._hear, select.EPOLLIN)
        self._channels.add(self._job.connections, self._job.first)
        self._serve(_in_seconds(CONNECT_SECONDS), lambda: self._worker.is_ready)
        _say(Said(ready=sum(channel.is_open for channel in self._channels.all)))
        self._serve(None, lambda: self._start is not None)
        if self._start is not None:
            self._serve(self._start.at, lambda: False)
            self._work(self._start.at)
        self._channels.close()
        _say(Said(figures=self._worker.figures))

    def _work(self, began: int) -> None:
        """Do the job, which begins at that time in all processes."""
        worker = self._worker
        if self._job.warm_up:
            worker.start(began)
            began += round(self._job.warm_up * 1e9)
            self._serve(began, lambda: False)
        if not self._is_told_to_end:
            self._count(began)
        worker.stop(time.monotonic_ns())
        self._is_told_to_end = False
        self._serve(_in_seconds(DRAIN_SECONDS), lambda: worker.is_done)

    def _count(self, began: int) -> None:
        """Count from that time on, until the job is done."""
        worker = self._worker
        processor = time.process_time()
        worker.count_from(began)
        if not self._job.warm_up:
            worker.start(time.monotonic_ns())
        end = None if self._job.seconds is None else began + round(self._job.seconds * 1e9)
        self._serve(end, lambda: worker.is_done, tells=True)
        worker.figures.processor = time.process_time() - processor
        worker.figures.unconnected = self._channels.unconnected()

    def _serve(self, end: int | None, is_enough: Callable[[], bool], *, tells: bool = False) -> None:
        """Serve the connections until that time, until it is enough, or until it is told to end."""
        tick = time.monotonic_ns() + _TICK
        while not self._is_told_to_end and not is_enough():
            now = time.monotonic_ns()
            if end is not None and now >= end:
                break
            if now >= tick:
                tick = now + _TICK
                self._channels.check(now)
                if tells:
                    figures = self._worker.figures
                    _say(Said(done=figures.answered + figures.events, failed=figures.refused))
            due = self._worker.pump(now)
            until = tick if end is None or end > tick else end
            self._channels.turn(until if due is None or due > until else due)

    def _hear(self, _: int) -> None:
        """Take the word to begin, or the end."""
        data = os.read(_STDIN, 4096)
        if data:
            self._start = decode(data, Start)
        else:
            self._is_told_to_end = True
            self._channels.forget(_STDIN)


def main() -> None:
    """Read the job, and do it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(_STDIN, 65536)
        if not data:
            return
        line += data
    with contextlib.suppress(BrokenPipeError):  # nobody is there any more whom it could tell
        Process(decode(line, Job)).run()


def _say(said: Said) -> None:
    data = encode(said) + b"\n"
    while data:
        data = data[os.write(1, data) :]


def _in_seconds(seconds: float) -> int:
    return time.monotonic_ns() + round(seconds * 1e9)


if __name__ == "__main__":
    main()
