"""Requests for locks that have to wait: what becomes of their places in the queues, and how they give them up.

The queue is in the state. Here is only who is to be told. To give a place up is an entry of its own, which this node
writes for its client; so the answer is definite once that is applied: the lock is held, or the place is gone. As such
an entry changes nothing a second time, it is written again where it may be lost, until the time for it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from trioraft.machine import PlaceNews
from trioraft.raft.core import Core
from trioraft.replica.alarms import Alarms
from trioraft.replica.fan_out import FanOut
from trioraft.replica.ports import ticks_of
from trioraft.replica.slots import ReadSlot, Slot, Unordered, WriteSlot
from trioraft.replica.subscriber import Opened, Subscriber
from trioraft.wire import events, replies
from trioraft.wire.operations import Lock
from trioraft.wire.replies import Reply
from trioraft.wire.table import Operation, Request

AGAIN_TICKS: Final = 10
"""How long after an attempt to give a place up it is tried again."""
_GIVING_UP: Final = Operation.unlisted("write")
"""The operation of an entry that gives a place up."""
_ENDS: Final = {
    "superseded": (
        "superseded",
        "the lease has asked for the lock again, or is done with it",
        "the newest request counts",
    ),
    "lease_expired": ("lease_expired", "the lease has ended, and the place with it", "ask with a lease that lives"),
    "given_up": ("timeout", "the lock was not to be had within 'wait_ms'", "the place is given up: ask again"),
}
"""How a wait ends without the lock, by what became of its place."""
_UNKNOWN: Final = "timeout", "the place could not be given up for certain", "see 'locks', or ask for the lock again"


class LockWait(Opened):
    """A request for a lock that has a place in the queue."""

    __slots__ = ("cancels", "entry", "lease", "name", "until")

    def __init__(self, subscriber: Subscriber, request: Lock, entry: int) -> None:
        """`entry`: the index of the entry that owns the place."""
        super().__init__(subscriber, bytes(request.id))
        self.name = request.name
        self.lease = request.lease
        self.entry = entry
        self.cancels: list[ReadSlot] = []
        """The requests that cancel it, which are answered at its end."""
        self.until: int | None = None
        """The tick up to which it tries to give its place up; None before it does."""


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core


class LockWaits:
    """All that wait for locks on the connections of this node."""

    def __init__(
        self,
        node: Ports,
        fan_out: FanOut,
        hold_ticks: int,
        write: Callable[[WriteSlot, Any], None],
        answer: Callable[[Slot, Reply], None],
    ) -> None:
        """`write` takes a write of this node's own, with its command; `answer` gives a request its reply.

        `hold_ticks`: how long it is tried to give a place up.
        """
        self.news: list[PlaceNews] = []
        """What has become of places and nobody was told of; the machine's own list."""
        self._node = node
        self._fan_out = fan_out
        self._hold_ticks = hold_ticks
        self._write = write
        self._answer = answer
        self._by_entry: WeakValueDictionary[int, LockWait] = WeakValueDictionary()
        self._alarms: Alarms[LockWait] = Alarms()
        """When to give a place up, or to see whether that has succeeded."""
        self._giving_up: list[LockWait] = []
        """Those that are to give their places up in the next turn."""
        self.follow()

    @property
    def hurries(self) -> bool:
        """Whether the next turn has something to write."""
        return bool(self._giving_up)

    @property
    def next_due(self) -> int:
        """The tick at which a wait is over."""
        return self._alarms.next

    def follow(self) -> None:
        """Hear the news of the present state from now on."""
        source = self._fan_out.source
        self.news = [] if source is None else source.news
        self.news.clear()

    # How a wait begins

    def open(self, slots: Sequence[WriteSlot], first: int, results: Mapping[int, Any]) -> None:
        """Let those of these writes wait that got a place; they are about to be answered, from index `first` on."""
        index = first
        for slot in slots:
            if type(slot.request) is Lock and slot.reply is None and not slot.owner.abandoned:
                entry = replies.place_of(results.get(index))
                if entry is not None:
                    self._open(slot, slot.request, entry)
            index += slot.count - len(slot.replies)

    def _open(self, slot: WriteSlot, request: Lock, entry: int) -> None:
        wait = LockWait(self._fan_out.listener(slot.owner), request, entry)
        if (earlier := self._by_entry.get(entry)) is not None and earlier.is_open:  # the same request was sent again
            self._end(earlier, "superseded")
        self._fan_out.open(wait, slot)
        self._by_entry[entry] = wait
        if request.wait_ms is not None:
            self._alarms.set(self._fan_out.now + ticks_of(request.wait_ms), wait)
        if entry < self._node.core.last_applied:  # it was answered once before
            self._judge(wait)

    # How it ends

    def hear(self) -> None:
        """Tell what has become of places, as entries were applied."""
        for news in self.news:
            if (wait := self._by_entry.get(news.entry)) is not None and wait.is_open:
                self._end(wait, news.kind, news.fence)
        self.news.clear()

    def restore(self) -> None:
        """Judge all by the state, which is another."""
        self.follow()
        for wait in list(self._by_entry.values()):
            if wait.is_open:
                self._judge(wait)

    def _judge(self, wait: LockWait) -> None:
        """End a wait whose place is gone."""
        source = self._fan_out.source
        place = None if source is None else source.place(wait.name, wait.lease, wait.entry)
        if place is not None:
            gone = place.kind == "superseded" and wait.until is not None
            self._end(wait, "given_up" if gone else place.kind, place.fence)

    def _end(self, wait: LockWait, kind: str, fence: int = 0) -> None:
        """Close a wait, and say what became of it: to those who cancel it, if there are any."""
        if kind == "given_up" and wait.until is None:
            kind = "superseded"  # the same request, asked again on another connection, has done it
        locked = kind == "locked"
        cancels, wait.cancels = wait.cancels, []
        self._fan_out.close(wait)  # first: an answer lets what follows it on its connection begin
        for slot in cancels:
            self._answer(slot, replies.object_reply(slot.id, {"fence": fence} if locked else {}))
        if locked and not cancels:
            wait.tell(events.locked(fence))
        elif not cancels:
            more = {"applied": "no"} if kind == "given_up" else {}
            wait.tell(events.closed(self._node.core.last_applied, *_ENDS[kind], **more))

    # How a place is given up

    def cancel(self, wait: LockWait, slot: ReadSlot) -> None:
        """Give the place up; the request is answered when that is done. It may be asked for the same again."""
        if slot not in wait.cancels:
            wait.cancels.append(slot)
            self._give_up(wait)

    def tick(self) -> None:
        """Give up the places whose time is over; try that again, or end what could not be given up for certain."""
        now = self._fan_out.now
        for wait in self._alarms.pop_due(now):
            if wait.is_open and (wait.until is None or now < wait.until):
                self._give_up(wait)
            elif wait.is_open:
                self._end_unknown(wait)

    def begin_turn(self) -> None:
        """Write the entries that give places up."""
        giving_up, self._giving_up = self._giving_up, []
        for wait in giving_up:
            source = self._fan_out.source
            if wait.is_open and source is not None:
                self._alarms.set(self._fan_out.now + AGAIN_TICKS, wait)
                slot = WriteSlot(Unordered(), _GIVING_UP, [Request()], 0)
                self._write(slot, source.giving_up(wait.name, wait.lease, wait.entry))

    def _give_up(self, wait: LockWait) -> None:
        if wait.until is None:
            wait.until = self._fan_out.now + self._hold_ticks
        self._giving_up.append(wait)

    def _end_unknown(self, wait: LockWait) -> None:
        cancels, wait.cancels = wait.cancels, []
        self._fan_out.close(wait)
        for slot in cancels:
            self._answer(slot, replies.error_reply(slot.id, *_UNKNOWN, "unknown"))
        if not cancels:
            wait.tell(events.closed(self._node.core.last_applied, *_UNKNOWN, applied="unknown"))
