"""What every node says of itself, asked again and again, each on its own: none is waited for with the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import Final

import msgspec

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, ClientError
from trioraft.wire.codec import DecodeError, decode
from trioraft_cli import render, where
from trioraft_cli.render import LogRow
from trioraft_cli.status import ASK_SECONDS, NodeStatus, in_few_words
from trioraft_cli.top_log import LogTail

ROUND_SECONDS: Final = 4 * ASK_SECONDS
"""The longest that a round takes: a node that answers slowly is asked three times, and a newcomer after that."""


class Syncs(msgspec.Struct):
    """How long the writes to a log took, with their syncs."""

    count: int
    sum: float
    recent: float


class Figures(msgspec.Struct, omit_defaults=True):
    """What a node answers to `metrics`, as far as it is shown; an older node knows none of it."""

    leader_heard_ms: int | None = None
    peer_heard_ms: dict[str, int] = {}
    peer_lag_entries: dict[str, int] = {}
    failure_tolerance: int | None = None
    log_sync_seconds: Syncs | None = None
    writes_total: int = 0
    reads_total: int = 0
    uptime_seconds: float | None = None
    rss_bytes: int | None = None


class Answer(msgspec.Struct):
    """One node's answers, at one moment."""

    status: NodeStatus
    figures: Figures
    rows: list[LogRow]
    """The newest entries of its log."""
    at: float
    """When they came, on the clock that runs evenly."""


class Seen:
    """What is known of the node at one address."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.answer: Answer | None = None
        """The newest that it has given."""
        self.failure: str | None = None
        """Why it has given none now; None where it has."""
        self.silent_since = 0.0
        """Since when it gives none."""
        self.log = LogTail()
        self.rate: float | None = None
        """How many requests of its clients it gets, each second."""
        self.commits: float | None = None
        """How many entries it sees committed, each second."""
        self.sync_seconds: float | None = None
        """How long its disk takes for a write to the log."""

    @property
    def answers(self) -> bool:
        """Whether it has answered when it was asked last."""
        return self.answer is not None and self.failure is None

    def take(self, answer: Answer | str, now: float) -> None:
        """Take in what it has answered at that time, or why it has not."""
        if isinstance(answer, str):
            if self.failure is None:
                self.silent_since = now
            self.failure = answer
            return
        before, self.answer, self.failure = self.answer, answer, None
        status = answer.status
        self.log.take(status.first_index, status.last_index, status.commit_index, answer.rows, now)
        self._reckon(before, answer)

    def _reckon(self, before: Answer | None, answer: Answer) -> None:
        syncs = answer.figures.log_sync_seconds
        self.rate = self.commits = None
        self.sync_seconds = None if syncs is None else syncs.recent
        if before is None or answer.at <= before.at or _is_younger(answer.figures, before.figures):
            return  # what it has counted begins with its process
        seconds = answer.at - before.at
        old, new = before.figures, answer.figures
        if new.uptime_seconds is not None:
            self.rate = (new.writes_total + new.reads_total - old.writes_total - old.reads_total) / seconds
        self.commits = (answer.status.commit_index - before.status.commit_index) / seconds
        if syncs is not None and old.log_sync_seconds is not None and syncs.count > old.log_sync_seconds.count:
            self.sync_seconds = (syncs.sum - old.log_sync_seconds.sum) / (syncs.count - old.log_sync_seconds.count)


class Poll:
    """Asks the nodes that are known, and those that they know."""

    def __init__(self, known: Sequence[Address], down: Callable[[], Mapping[Address, str]] = dict) -> None:
        """`down` tells the nodes that are known to be killed or paused, each with the word for it: none is asked."""
        self._down = down
        self.nodes: dict[Address, Seen] = {}
        self._asked: dict[Future[Answer | str], Seen] = {}
        self._meet(known)

    def begin(self) -> None:
        """Ask every node that is not being asked still."""
        asked, down, now = set(map(id, self._asked.values())), self._down(), time.monotonic()
        for seen in self.nodes.values():
            if seen.address in down:
                seen.take(down[seen.address], now)
        self._ask(seen for seen in self.nodes.values() if id(seen) not in asked and seen.address not in down)

    def collect(self, seconds: float) -> bool:
        """Wait so long at most for an answer, and take in those that have come; whether there were any.

        Who is told of for the first time is asked at once.
        """
        done, _ = wait(self._asked, seconds, FIRST_COMPLETED)
        for one in done:
            self._asked.pop(one).take(one.result(), time.monotonic())
        told = [seen.answer.status.members for seen in self.nodes.values() if seen.answer is not None]
        addresses = {member.id: member.address for members in told for member in members}
        self._ask(self._meet(where.of_members(addresses).values()))
        return bool(done)

    def round(self) -> None:
        """Ask every node, and wait until each has answered, or will not."""
        self.begin()
        deadline = time.monotonic() + ROUND_SECONDS
        while self._asked and (left := deadline - time.monotonic()) > 0:
            self.collect(left)

    def _meet(self, addresses: Iterable[Address]) -> list[Seen]:
        new = [Seen(address) for address in dict.fromkeys(addresses) if address not in self.nodes]
        self.nodes |= {seen.address: seen for seen in new}
        return new

    def _ask(self, nodes: Iterable[Seen]) -> None:
        for seen in nodes:
            self._asked[in_background(partial(_ask_node, seen.address, seen.log))] = seen


def _is_younger(now: Figures, before: Figures) -> bool:
    """Whether the process has begun anew since."""
    return (now.uptime_seconds or 0.0) < (before.uptime_seconds or 0.0)


def _ask_node(address: Address, log: LogTail) -> Answer | str:
    """One node's answers, or why there are none, in a few words."""
    with Client([address], timeout=ASK_SECONDS) as client:
        try:
            status, figures = client.pipeline([{"op": "status"}, {"op": "metrics"}])
            if not status.ok:
                return status.error.message
            standing = decode(status.line, NodeStatus)
            known = decode(figures.line, Figures) if figures.ok else Figures()
            rows = _newest(client, log.wanted(standing.last_index))
            return Answer(standing, known, rows, time.monotonic())
        except ClientError as error:
            return in_few_words(error)
        except DecodeError:
            return "who answers there is no node that this program knows"


def _newest(client: Client, wanted: int) -> list[LogRow]:
    """The newest entries of the node's log; those in the middle may lack, as long ones fill a reply."""
    if not wanted:
        return []
    rows = _rows(client, limit=wanted)
    older = wanted - len(rows)
    if not rows or not older or rows[0].index <= older:
        return rows
    return _rows(client, **{"from": rows[0].index - older, "limit": older}) + rows


def _rows(client: Client, **fields: int) -> list[LogRow]:
    [reply] = client.pipeline([{"op": "show_log", **fields}])
    return render.log_rows(reply) if reply.ok else []
