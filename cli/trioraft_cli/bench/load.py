"""The requests of one process of a load: as many under way as are to be, or one whenever it is due."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from trioraft.wire.codec import DecodeError, decode
from trioraft_cli.bench.channels import Channel, Channels
from trioraft_cli.bench.figures import Figures
from trioraft_cli.bench.job import Job
from trioraft_cli.bench.requests import Requests

NEWLINE: Final = ord("\n")
_GOOD: Final = b'{"ok":true'
"""How the answer to a request without an id begins, if it is no error. No other part of an answer can look so."""


Answered = Sequence[Sequence[Any]]
"""Requests that had an answer: of each group when it was sent, of which kind it is, and how many there are."""


class Worker(Protocol):
    """What a process of a load does, from its start to its end."""

    figures: Figures

    @property
    def is_ready(self) -> bool:
        """Whether it can begin."""

    @property
    def is_done(self) -> bool:
        """Whether it has done what it was to do."""

    def start(self, now: int) -> None:
        """Begin."""

    def count_from(self, now: int) -> None:
        """Forget what was counted, and count from now on."""

    def pump(self, now: int) -> int | None:
        """Do what is due; when the next is due, None if nothing is."""

    def stop(self, now: int) -> None:
        """Count no more, and ask for nothing more."""


class Load:
    """Asks, and counts the answers."""

    def __init__(self, job: Job, channels: Channels) -> None:
        self.figures = Figures()
        self._job = job
        self._channels = channels
        self._requests = Requests(job.wishes, job.first)
        self._runs = False
        self._counts = False
        self._budget = job.requests
        """How many requests may still be sent; any number if None."""
        self._last = 0
        """When the last answer came that was no error."""
        self._due = 0
        """When the next request is to be sent, where there is a rate."""
        self._free: deque[Channel] = deque()
        """The connections that have room for a request, one time for each, where there is a rate."""

    @property
    def is_ready(self) -> bool:
        """Whether every connection is open."""
        return all(channel.is_open for channel in self._channels.all)

    @property
    def is_done(self) -> bool:
        """Whether nothing is under way, and nothing more will be."""
        return (not self._runs or self._budget == 0) and not any(channel.outstanding for channel in self._channels.all)

    def start(self, now: int) -> None:
        """Begin to ask."""
        self._runs = True
        self._due = now
        for channel in self._channels.all:
            if channel.is_open:
                self._make_room(channel, now)

    def count_from(self, now: int) -> None:
        """Forget what was counted, and count from now on."""
        self.figures = Figures(began=now)
        self._last = now
        self._counts = True

    def pump(self, now: int) -> int | None:
        """Send each request that is due, if a connection has room for it; when the next is due."""
        if self._job.interval is None or not self._runs:
            return None
        while self._due <= now and self._free and self._budget != 0:
            channel = self._free.popleft()
            if channel.is_open:  # else it made room anew, or will, once it is open
                self._ask(channel, 1, self._due)
                self._due += self._job.interval
        return self._due if self._free and self._budget != 0 else None

    def stop(self, now: int) -> None:
        """Count no more, and send no more."""
        if self._counts:
            self._counts = False
            self.figures.ended = now
            self.figures.longest_gap = max(self.figures.longest_gap, now - self._last)
        self._runs = False

    def opened(self, channel: Channel, now: int) -> None:
        """Ask on a connection that was made, or made again."""
        if self._runs:
            self._make_room(channel, now)

    def broke(self, channel: Channel, why: str) -> None:
        """Count a connection that has ended, and what was under way on it."""
        if self._counts:
            self.figures.lose(why)
            self.figures.unanswered += channel.outstanding
        if self._budget is not None:
            self._budget += channel.outstanding
        channel.outstanding = 0
        channel.groups.clear()
        if self._job.interval is not None:
            self._free = deque(other for other in self._free if other is not channel)

    def received(self, channel: Channel, size: int, now: int) -> None:
        """Count the answers that have come, and ask for as much again."""
        buffer = self._channels.buffer
        count = 0
        if not channel.rest and buffer[size - 1] == NEWLINE:
            count = buffer.count(b"\n", 0, size)
            if count > channel.outstanding or count != buffer.count(_GOOD, 0, size):
                count = 0
        answered: Answered = ()
        if count:
            answered = self._take(channel, count)
        else:
            count = self._look(channel, memoryview(buffer)[:size], now)
        if count and self._runs:  # first, for the node waits for it
            if self._job.interval is None:
                self._ask(channel, count, now)
            else:
                self._free.extend([channel] * count)
        self._count(answered, now)

    def _make_room(self, channel: Channel, now: int) -> None:
        """Use a connection on which nothing is under way."""
        if self._job.interval is None:
            self._ask(channel, self._job.pipeline, now)
        else:
            self._free.extend([channel] * self._job.pipeline)

    def _ask(self, channel: Channel, count: int, now: int) -> None:
        """Send so many requests, as far as more are to be sent; `now` is from when on their answers are waited for."""
        if self._budget is not None:
            count = min(count, self._budget)
            self._budget -= count
            if not count:
                return
        data, kinds = self._requests.next(count, now)
        if not channel.outstanding:
            channel.heard = max(channel.heard, now)
        channel.outstanding += count
        for kind, number in kinds:
            channel.groups.append([now, kind, number])
        channel.send(data)

    def _take(self, channel: Channel, count: int) -> Answered:
        """The requests that so many answers belong to, which are no longer under way."""
        channel.outstanding -= count
        groups = channel.groups
        if groups[0][2] == count:
            return (groups.popleft(),)
        taken = []
        while count:
            group = groups[0]
            if group[2] <= count:
                taken.append(groups.popleft())
                count -= group[2]
            else:
                group[2] -= count
                taken.append([*group[:2], count])
                count = 0
        return taken

    def _count(self, answered: Answered, now: int) -> None:
        """Count requests that had an answer which is no error."""
        if not answered or not self._counts:
            return
        for sent, kind, number in answered:
            self.figures.histogram(kind).add(now - sent, number)
        if now - self._last > self.figures.longest_gap:
            self.figures.longest_gap = now - self._last
        self._last = now

    def _look(self, channel: Channel, data: memoryview, now: int) -> int:
        """Look at each line of what has come; how many answers it held."""
        channel.rest += data
        *lines, rest = channel.rest.split(b"\n") if NEWLINE in data else (channel.rest,)
        channel.rest = rest
        answers = 0
        for line in lines:
            if line.startswith(_GOOD) and channel.outstanding:
                self._count(self._take(channel, 1), now)
                answers += 1
            else:
                answers += self._refused(channel, bytes(line))
        return answers

    def _refused(self, channel: Channel, line: bytes) -> bool:
        """Count an error; whether it answers a request."""
        if self._counts:
            self.figures.refuse(*error_of(line))
        if not channel.outstanding:  # what a node says before it closes a connection that it has no room for
            return False
        channel.outstanding -= 1
        group = channel.groups[0]
        group[2] -= 1
        if not group[2]:
            channel.groups.popleft()
        return True


class _Error(msgspec.Struct):
    code: str
    message: str
    hint: str = ""


class _Refusal(msgspec.Struct):
    error: _Error


def error_of(line: bytes) -> tuple[str, str]:
    """The code and the words of an answer that is none of those expected."""
    try:
        error = decode(line, _Refusal).error
    except DecodeError:
        return "no_answer", f"what came is no answer: {line[:100]!r}"
    return error.code, f"{error.message}{f' ({error.hint})' if error.hint else ''}"
