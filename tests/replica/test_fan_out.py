"""Each change once, in order, nothing left out: random histories, watched by clients that read as slowly as they like.

Their connections break anywhere, and they go on at another node, which is as far as it is. Nodes install snapshots.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest

from trioraft.kv.commands import Command, Delete, DeletePrefix, Incr, Put, SetHistory
from trioraft.kv.history import Gone
from trioraft.kv.items import unpack
from trioraft.kv.transactions import DeleteInside, PutInside, Txn
from trioraft.replica.fan_out import Portions
from trioraft.wire.codec import decode

from ..helpers.listeners import Listener, Teller

KEYS = ["a", "a/1", "a/2", "a/2/x", "b", "b/1", "ü", "ü/é"]
PREFIXES = ["", "a", "a/", "a/2", "b/", "c", "ü/"]
Fields = dict[str, Any]


class Log:
    """Random entries, and every change that they make: what the watches are compared with."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._values = 0
        self.entries: list[Command] = []
        self._recorder = Teller()
        self._recorder.history.bound(10**9, 10**12)

    def grow(self) -> None:
        draws = (self._put, self._put, self._put, self._delete, self._many, self._txn, self._count)
        entries = [self._random.choice(draws)() for _ in range(self._random.randrange(1, 12))]
        self.entries += entries
        self._recorder.apply(*entries)

    def bound(self, changes: int, size: int) -> None:
        self.entries.append(SetHistory(changes, size))
        self._recorder.apply(Delete("nothing"))

    def _value(self) -> msgspec.Raw:
        self._values += 1
        return msgspec.Raw(b"%d" % self._values if self._random.random() < 0.9 else b'"%b"' % (b"x" * 5000))

    def _put(self) -> Command:
        return Put(self._random.choice(KEYS), self._value())

    def _delete(self) -> Command:
        return Delete(self._random.choice(KEYS))

    def _many(self) -> Command:
        return DeletePrefix(self._random.choice(("a/", "b", "ü")), self._random.choice((1, 2, 100)))

    def _count(self) -> Command:
        return Incr("counter")

    def _txn(self) -> Command:
        keys = self._random.sample(KEYS, self._random.randrange(1, 5))
        return Txn(
            [], [PutInside(key, self._value()) if self._random.random() < 0.7 else DeleteInside(key) for key in keys]
        )

    def changes(self, asked: Fields, after: int, upto: int) -> list[Fields]:
        """The events between those revisions, as they should be."""
        found: list[Fields] = []
        history = self._recorder.history
        for key, change in zip(history.keys, history.items, strict=True):
            if key != asked["key"] if "key" in asked else not key.startswith(asked["prefix"]):
                continue
            if isinstance(change, Gone):
                event: Fields = {"event": "delete", "key": key, "rev": change.rev}
            else:
                item = unpack(change)
                event = {"event": "put", "key": key, "value": decode(item.value), "rev": item.rev}
                event |= {"created": item.created, "version": item.version}
            if after < event["rev"] <= upto:
                found.append(event)
        for event, following in pairwise(found):
            if event["rev"] == following["rev"]:
                event["more"] = True
        return found

    def state(self, asked: Fields, at: int) -> dict[str, Fields]:
        state: dict[str, Fields] = {}
        for event in self.changes(asked, 0, at):
            event.pop("more", None)
            if event.pop("event") == "delete":
                del state[event["key"]]
            else:
                state[event["key"]] = event
        return state


class Watcher:
    """A client that watches, and goes on elsewhere when its connection breaks."""

    def __init__(self, random: Random, log: Log, initial: bool) -> None:
        self._random = random
        self._log = log
        self.asked: Fields = (
            {"key": random.choice(KEYS)} if random.random() < 0.3 else {"prefix": random.choice(PREFIXES)}
        )
        self.initial = initial
        self.begun: int | None = None
        """The revision above which it has every change."""
        self.got: list[Fields] = []
        """The changes above that."""
        self.present: dict[str, Fields] = {}
        self.listed = ""
        self.is_whole = not initial
        """Whether all keys that were there have come."""
        self.is_synced = False
        self.progress = 0
        self.ends: list[str] = []
        self.listener: Listener | None = None

    def connect(self, teller: Teller) -> None:
        self.is_synced, self.progress = False, 0
        self.listener = Listener(teller, lambda: self._random.choice((1, 7, 60, 500, 10**6)))
        fields = {"op": "watch", "id": 1, "progress_ms": 100, **self.asked}
        if self.begun is not None and self.is_whole:
            fields["after_rev"] = self.position
            self.got = [event for event in self.got if event["rev"] <= self.position]
        elif self.initial:
            self.present, self.got, self.is_whole, self.listed = {}, [], False, ""
            fields["initial"] = True
        if self._random.random() < 0.3:
            fields["read"] = "stale"
        self.listener.ask(**fields)

    @property
    def position(self) -> int:
        assert self.begun is not None
        if not self.got:
            return self.begun
        return int(self.got[-1]["rev"]) - bool(self.got[-1].get("more"))

    def cut(self) -> None:
        if self.listener is not None:
            self.listener.session.abandon()
            self.listener = None

    def read(self, *, everything: bool = False) -> None:
        if self.listener is not None:
            for line in self.listener.read_all() if everything else self.listener.read():
                self._take(line)

    def _take(self, line: Fields) -> None:
        if "ok" in line:
            if not line["ok"]:
                self._end(line)
            elif self.begun is None or not self.is_whole:
                self.begun = line["at"]
            return
        assert line.pop("id", 1) == 1
        match line["event"]:
            case "synced":
                assert not self.is_synced
                self.is_synced = True
                self._check_all_is_here(line["at"])
                self.is_whole = True
            case "progress":
                assert line["at"] >= self.progress
                self.progress = line["at"]
                self._check_all_is_here(line["at"])
            case "closed":
                self._end(line)
            case _ if line.pop("initial", False):
                assert not self.is_whole
                assert self.listed < line["key"], "the pages are in order, each key once"
                self.listed = line["key"]
                self.present[line["key"]] = line
            case "delete" if not self.is_whole:
                del self.present[line["key"]]
            case _ if not self.is_whole:
                self.present[line["key"]] = line
            case _:
                self.got.append(line)

    def _check_all_is_here(self, at: int) -> None:
        """Nothing up to that revision is to come."""
        if self.is_whole:
            assert self.begun is not None
            expected = self._log.changes(self.asked, self.begun, at)
            assert self.got[: len(expected)] == expected
        else:
            for event in self.present.values():
                event.pop("more", None)
                event.pop("event", None)
            assert self.present == self._log.state(self.asked, at)
            self.begun = at

    def _end(self, line: Fields) -> None:
        self.ends.append(line["error"]["code"])
        self.cut()
        self.begun, self.got, self.is_whole, self.initial = None, [], False, True

    def check(self, upto: int) -> None:
        assert self.begun is not None
        assert self.got == self._log.changes(self.asked, self.begun, upto)


def run(seed: int, *, bound: bool) -> list[Watcher]:
    random = Random(seed)
    portions = Portions(
        events_a_turn=random.choice((1, 3, 20)),
        slice=random.choice((1, 4, 100)),
        page_keys=random.choice((1, 2, 100)),
        pending_bytes=random.choice((50, 400, 10_000)),
    )
    log, tellers = Log(random), [Teller(portions) for _ in range(3)]
    watchers = [Watcher(random, log, initial=random.random() < 0.4) for _ in range(random.randrange(1, 8))]
    if bound:
        log.bound(random.choice((5, 20)), 10**6)
    for _ in range(random.randrange(20, 60)):
        if random.random() < 0.7:
            log.grow()
        for teller in tellers:
            step(random, log, tellers, teller)
        for watcher in watchers:
            if random.random() < 0.1:
                watcher.cut()
            if watcher.listener is None and random.random() < 0.5:
                watcher.connect(random.choice(tellers))
            if random.random() < 0.7:
                watcher.read()
    for teller in tellers:
        teller.apply(*log.entries[teller.applied :])
        teller.settle()
    for watcher in watchers:
        watcher.read(everything=True)
        while watcher.listener is None or not watcher.is_synced:
            if watcher.listener is None:
                watcher.connect(tellers[0])
            for teller in tellers:
                teller.pass_time(11)
            watcher.read(everything=True)
        watcher.check(len(log.entries))
    for teller in tellers:
        for watcher in watchers:
            watcher.cut()
        assert not teller.subscriptions.fan_out.opened
        assert not teller.machine.streams
    return watchers


def step(random: Random, log: Log, tellers: list[Teller], teller: Teller) -> None:
    """Let something happen at a node."""
    if (chance := random.random()) < 0.5:
        teller.apply(*log.entries[teller.applied :][: random.randrange(8)])
    elif chance < 0.6:
        teller.pass_time(random.choice((1, 5, 11)))
    elif chance < 0.7:
        teller.confirm(succeeds=random.random() < 0.7)
    elif chance < 0.75 and (ahead := random.choice(tellers)).applied > teller.applied:
        teller.restore(ahead)
    else:
        teller.turn()


@pytest.mark.parametrize("seed", range(60))
def test_every_change_is_told_once_and_in_order(seed: int) -> None:
    for watcher in run(seed, bound=False):
        assert not watcher.ends


def test_whoever_falls_out_of_the_history_is_told_so_and_nothing_wrong() -> None:
    ends = [code for seed in range(60) for watcher in run(seed, bound=True) for code in watcher.ends]
    assert set(ends) == {"compacted", "slow_consumer"}
