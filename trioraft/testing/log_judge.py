"""The judge of a whole history: the log itself is the witness of the order.

An independent model (`trioraft.testing.store_model`) replays the log, entry by entry. Each reply has a place in it: a
write that of its entry, a read that of its `at`. There the reply must be what the model says. In real time, what was
asked after another was answered has a later place. On one connection, places never go back. The log holds nothing that
nobody asked for, and nothing that was refused. It does not matter how many keys a request is about.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from trioraft.raft.messages import Entry
from trioraft.raft.runs import Entries
from trioraft.testing.history import History, Request
from trioraft.testing.log_replies import (
    Reply,
    came_of_an_entry,
    changes,
    command_of,
    decode_reply,
    error_of,
    fits,
    index_of,
    sign_of,
    wrong_read,
)
from trioraft.testing.store_model import Result, StoreModel
from trioraft.wire.codec import decode
from trioraft.wire.entries import payloads
from trioraft.wire.operations import OPERATIONS

Log = Mapping[int, bytes]
"""The commands of a log, as JSON, by the indexes of their entries; other entries are left out."""


def log_of(entries: Iterable[Entry]) -> Log:
    """The commands of these entries."""
    return {
        index: payload
        for run in Entries.of(entries).runs
        if run.kind == "command"
        for index, payload in enumerate(map(bytes, payloads(run)), run.first)
    }


_BY_THEMSELVES: Final = ("expire", "give_up", "raise_level")
"""The commands that nodes propose, and no client."""


class WrongAnswer(AssertionError):
    """A reply that the log does not explain."""


class _Told(msgspec.Struct):
    """A request with its reply, and what is known of its place."""

    request: Request
    reply: Reply | None
    """None where it was not answered."""
    writes: bool
    stale: bool
    sign: bytes = b""
    """The command that it becomes, for comparison; empty for what becomes none."""
    place: int | None = None
    known: int = 0
    """The highest place that anybody knew when it was asked."""

    @property
    def index(self) -> int | None:
        """The index of the entry of a write, where its reply names it."""
        return None if self.reply is None or not self.writes else index_of(self.request.asked, self.reply)


class LogJudge:
    """Replays a log once, and compares the replies with it."""

    def __init__(self, log: Log, history: History, model: StoreModel, ahead: bool) -> None:
        """`ahead`: whether a write's place is above that of each read before it on its connection."""
        self.model = model
        """The store after the last entry, once `judge` has returned."""
        self._log = log
        self._ahead = ahead
        self._told = [_told(request) for request in history.requests if _is_about_state(request)]
        self._synced = [
            _Told(msgspec.structs.replace(request, returned=returned, line=None), None, False, False, place=at)
            for request, returned, at in history.synced
            if request.asked.get("read") != "stale"
        ]
        self._entries: dict[bytes, list[int]] = defaultdict(list)
        """For each command, as `sign_of` makes it: the entries with it."""
        self._signs: dict[int, bytes] = {}
        self._results: dict[int, Result] = {}

    def judge(self) -> None:
        """Judge the whole history. Raises WrongAnswer."""
        self._place_reads()
        self._replay()
        self._place_writes()
        self._keep_real_time()
        self._keep_connections()
        self._count()

    # The replay

    def _place_reads(self) -> None:
        self._reads: dict[int, list[_Told]] = defaultdict(list)
        for told in self._told:
            reply = told.reply
            if reply is None or not reply.ok or told.writes or reply.at is None or told.request.asked["op"] == "watch":
                continue
            told.place = reply.at
            self._reads[reply.at].append(told)

    def _replay(self) -> None:
        self._show(0)
        for index in range(1, max([*self._log, *self._reads], default=0) + 1):
            payload = self._log.get(index)
            if payload is not None:
                result = self.model.apply(index, payload)
                sign = sign_of(decode(payload))
                self._signs[index], self._results[index] = sign, result
                self._entries[sign].append(index)
            self._show(index)

    def _show(self, index: int) -> None:
        """Compare the reads of the state after that entry."""
        for told in self._reads.get(index, ()):
            assert told.reply is not None
            wrong = wrong_read(self.model, told.request.asked, told.reply)
            if wrong is not None:
                raise WrongAnswer(f"at {index} {wrong}: {told.request}")

    # The places of writes

    def _place_writes(self) -> None:
        owners: dict[int, _Told] = {}
        for told in self._told:
            index = told.index
            if index is None:
                continue
            if self._signs.get(index) != told.sign:
                raise WrongAnswer(f"entry {index} is {self._signs.get(index)!r}: {told.request}")
            if index in owners:
                raise WrongAnswer(f"entry {index} is that of two: {owners[index].request} and {told.request}")
            owners[index] = told
            assert told.reply is not None
            if not fits(self._results[index], told.reply):
                raise WrongAnswer(f"entry {index} gives {self._results[index]}: {told.request}")
            told.place = index

    def _keep_real_time(self) -> None:
        """Let time go by: give the other writes their earliest possible places, and compare all with what was known."""
        moments: list[tuple[float, int, _Told]] = []
        for told in [*self._told, *self._synced]:
            moments.append((told.request.called, 0, told))
            if told.request.returned is not None:
                moments.append((told.request.returned, 1, told))
        moments.sort(key=lambda moment: moment[:2])  # what is called as another returns is not after it
        known, by = 0, None
        for _, returns, told in moments:
            if not returns:
                told.known = known
                continue
            self._check_known(told, by)
            if told.place is not None and told.place > known:
                known, by = told.place, told.request

    def _check_known(self, told: _Told, by: Request | None) -> None:
        reply = told.reply
        if told.writes and told.place is None and reply is not None and came_of_an_entry(reply):
            fitting = (
                index for index in self._entries[told.sign] if index > told.known and fits(self._results[index], reply)
            )
            told.place = next(fitting, None)
            if told.place is None:
                some = {index: self._results[index] for index in self._entries[told.sign][-3:]}
                raise WrongAnswer(f"no entry above {told.known} explains it, of {some}: {told.request}")
        if told.place is None or told.stale:
            return
        if told.place < told.known + told.writes:
            raise WrongAnswer(f"{told.known} was known before it, by {by}: its place is {told.place}: {told.request}")

    def _keep_connections(self) -> None:
        """Let no connection go back: each answer is of a state that holds all that the answers before it showed."""
        seen: dict[int, tuple[int, bool]] = {}
        for told in sorted(self._told, key=lambda told: told.request.place):
            if told.place is None or (told.writes and told.reply is not None and told.index is None):
                continue  # of the others, only the earliest possible place is known
            if OPERATIONS[told.request.asked["op"]].kind == "lease":
                continue  # the leader has answered it, which may be ahead of this node
            before, wrote = seen.get(told.request.connection, (0, True))
            above = told.writes and (wrote or self._ahead)
            if told.place < before + above:
                raise WrongAnswer(f"its connection had seen {before}, and its place is {told.place}: {told.request}")
            seen[told.request.connection] = told.place, told.writes

    def _count(self) -> None:
        """Find what is in the log more often than it was asked for, and not refused."""
        asked: Counter[bytes] = Counter()
        possible: Counter[bytes] = Counter()
        for told in self._told:
            if told.sign:
                asked[told.sign] += 1
                possible[told.sign] += told.reply is None or told.reply.ok or error_of(told.reply).applied != "no"
        for sign, entries in self._entries.items():
            if decode(sign)["op"] in _BY_THEMSELVES:
                continue
            if not asked[sign]:
                raise WrongAnswer(f"entry {entries[0]}: nobody has asked for {sign!r}")
            effects = [index for index in entries if self._results[index].keys().isdisjoint(("code", "replayed"))]
            if len(effects) > possible[sign]:
                raise WrongAnswer(f"entries {effects} took effect, {possible[sign]} can have: {sign!r}")


def _is_about_state(request: Request) -> bool:
    """Whether it reads or writes the state: what a node says about itself is judged as it comes."""
    return OPERATIONS[request.asked["op"]].kind not in ("local", "leader", "task")


def _told(request: Request) -> _Told:
    asked = request.asked
    reply: Reply | None = None if request.line is None else decode_reply(request.line)
    reads_only = asked["op"] == "txn" and not changes(asked)
    writes = OPERATIONS[asked["op"]].kind == "write" and not reads_only
    return _Told(request, reply, writes, asked.get("read") == "stale", sign_of(command_of(asked)) if writes else b"")


def judge(log: Log, history: History, *, model: StoreModel | None = None, ahead: bool = True) -> StoreModel:
    """Judge a history against the log, and return the store after it. Raises WrongAnswer.

    `model` is the store before the first entry. For `ahead` see `LogJudge`.
    """
    whole = LogJudge(log, history, model or StoreModel(), ahead)
    whole.judge()
    return whole.model
