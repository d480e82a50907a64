"""The watchers of one process of a load: each counts the changes that it is told of, and how old they are."""

from __future__ import annotations

import re
from typing import Final

from trioraft.wire.codec import encode
from trioraft_cli.bench.channels import Channel, Channels
from trioraft_cli.bench.figures import Figures
from trioraft_cli.bench.job import Job
from trioraft_cli.bench.kinds import EVENT
from trioraft_cli.bench.load import NEWLINE, error_of
from trioraft_cli.bench.requests import STAMP_DIGITS

_STAMP: Final = re.compile(rb'"value":"(\d{%d})' % STAMP_DIGITS)
_REVISION: Final = re.compile(rb'"rev":(\d+)')
_WAITING: Final = b'"waiting":true'


class Watch:
    """Watches, and counts the events."""

    def __init__(self, job: Job, channels: Channels) -> None:
        self.figures = Figures()
        self._prefix = encode(job.wishes.prefix)
        self._channels = channels
        self._seen: dict[Channel, int] = {}
        """For each connection the revision behind which it goes on if it breaks."""
        self._watching: set[Channel] = set()
        self._from = 0
        """Changes that were sent earlier do not count."""
        self._last = 0
        self._is_over = False

    @property
    def is_ready(self) -> bool:
        """Whether every watch has begun."""
        return len(self._watching) == len(self._channels.all)

    @property
    def is_done(self) -> bool:
        """It goes on until it is told to stop."""
        return self._is_over

    def start(self, now: int) -> None:
        """Go on: it watches already."""

    def count_from(self, now: int) -> None:
        """Forget what was counted, and count the changes that are sent from now on."""
        refused = self.figures  # a watch that was refused stays so
        self.figures = Figures(began=now, errors=refused.errors, messages=refused.messages)
        self._from = self._last = now

    def pump(self, now: int) -> None:
        """Nothing is ever due."""

    def stop(self, now: int) -> None:  # noqa: ARG002
        """Count no more: it ended with the last change, and not with the wait for another."""
        self.figures.ended = self._last
        self._is_over = True

    def opened(self, channel: Channel, now: int) -> None:  # noqa: ARG002
        """Begin to watch, or go on behind the last change seen."""
        after = b"" if channel not in self._seen else b',"after_rev":%d' % self._seen[channel]
        channel.outstanding = 1  # and stays so: a node that watches sends something each second
        channel.send(b'{"op":"watch","prefix":%b,"progress_ms":1000%b}\n' % (self._prefix, after))

    def broke(self, channel: Channel, why: str) -> None:
        """Count a connection that has ended."""
        self._watching.discard(channel)
        channel.outstanding = 0
        self.figures.lose(why)

    def received(self, channel: Channel, size: int, now: int) -> None:
        """Count the events that have come."""
        data = bytes(memoryview(self._channels.buffer)[:size])
        if channel.rest:
            data = bytes(channel.rest) + data
            channel.rest.clear()
        if data[-1] != NEWLINE:
            data, _, rest = data.rpartition(b"\n")
            channel.rest += rest
        if channel not in self._watching:
            if _WAITING in data:
                self._watching.add(channel)
            elif data:
                self.figures.refuse(*error_of(data.partition(b"\n")[0]))
        times = self.figures.histogram(EVENT)
        for stamp in _STAMP.findall(data):
            sent = int(stamp)
            if sent >= self._from and self._from:
                times.add(now - sent)
                self.figures.longest_gap = max(self.figures.longest_gap, now - self._last)
                self._last = now
        last = data[data.rfind(b'"event"') :]
        if found := _REVISION.search(last):
            self._seen[channel] = int(found[1])
