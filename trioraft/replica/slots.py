"""Requests under way, each with the place of its reply, and the order of those of one connection.

What that order rests on is changed by two alone: a `Queue` gives a slot its place, and `Answering` gives it its reply
and lets those behind it go on. What is merely known of a slot, each part notes that finds it out: when it came, what it
is for the log, in which term.

The replies of a connection leave in the order of its requests, and what is asked later sees what was asked before:

- the reply of a slot leaves only once all before it have left;
- a read is answered when it is first, that is, once all before it are answered, or just before a write behind it is
  applied: for that the write knows the reads before it that no earlier write waits for; one that must see a revision
  which is not applied by then has failed, as it must not see the write;
- a write becomes an entry behind those before it (`proposals`), at once, as it sees nothing of them;
- a request that takes its time begins when it is first, and the writes behind it wait for its end;
- so does one about leases, but several in a row are under way together, as they change nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from trioraft.replica.subscriber import Subscriber
from trioraft.wire import replies
from trioraft.wire.replies import Piece, Reply
from trioraft.wire.table import AnyRequest, Operation


class Owner(Protocol):
    """Whose requests they are: a client's session, or the merged requests of several."""

    subscriber: Subscriber | None
    """The listener to what happens later; None where nothing is open."""

    @property
    def on_answered(self) -> Callable[[], None]:
        """To be called whenever a request has got its reply."""

    @property
    def abandoned(self) -> bool:
        """Whether nobody is left to be answered."""

    def pass_reads_on(self, write: WriteSlot) -> Sequence[ReadSlot]:
        """Let the reads before a write that is over wait for the next one, as they must not see that either.

        Return those that may see it all the same, as such a write is lost.
        """

    def outgrown(self, more: int) -> None:
        """A reply is known, and has that many bytes more than were reckoned for it."""


class Unordered:
    """An owner whose requests stand behind nothing: those of the node itself, or the first ones of several clients."""

    abandoned = False
    subscriber: Subscriber | None = None

    def on_answered(self) -> None:
        """Nobody waits for the reply."""

    def pass_reads_on(self, write: WriteSlot) -> Sequence[ReadSlot]:  # noqa: ARG002
        """There is no read before a write."""
        return ()

    def outgrown(self, more: int) -> None:
        """Nothing is held for it here."""


class Slot(msgspec.Struct, eq=False, weakref=True):
    """A request, or some of a kind that came together, and the place of the reply.

    Its class says how it is dealt with, from the door on.
    """

    owner: Owner
    operation: Operation
    """What they ask for; `UNREAD` where a line was wrong in itself."""
    requests: list[AnyRequest]
    """Empty where a line was wrong in itself."""
    size: int
    """Bytes that count until it is answered."""
    count: int = 1
    """The number of requests."""
    reply: Reply | None = None
    since: int = 0
    """The tick at which it came."""
    number: int = 0
    """Its number among all that came to this node."""
    is_first: bool = True
    """Whether all before it on its connection are answered."""
    following: Slot | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is answered, and so are all before it."""
        return self.is_first and self.reply is not None

    @property
    def request(self) -> AnyRequest:
        """The first of them."""
        return self.requests[0]

    @property
    def id(self) -> bytes:
        """The id of the first request, as it was given."""
        return bytes(self.requests[0].id)

    def add(self, request: AnyRequest, size: int) -> None:
        """Add a request, before anything is done with them."""
        self.requests.append(request)
        self.size += size
        self.count += 1

    def answer(self, reply: Reply) -> None:
        """Note the reply; what comes to be known of the request later is ignored."""
        if self.reply is None:
            self.reply = reply
            if (size := replies.size_of(reply)) > self.size:
                self.owner.outgrown(size - self.size)
                self.size = size
            self.owner.on_answered()

    def shorten(self, rest: list[Piece]) -> None:
        """Keep the rest of the reply, as a part of it has left."""
        self.reply = rest


def is_unanswered(slot: Slot) -> bool:
    """Whether there is no reply to it yet."""
    return slot.reply is None


class ReadSlot(Slot):
    """Requests that change nothing: served in their order, so that they see what those before them did or saw."""

    confirmed: bool = False
    """Whether the state as applied here is new enough for it."""
    min_rev: int = 0
    """The revision that the state must hold, whatever else is confirmed."""
    max_age_ms: int | None = None
    """How old the state may be, where nothing else confirms that it is new enough."""


class LaterSlot(Slot):
    """A request that takes its time: it begins once all before it are answered, and what follows waits for its end."""

    writes_behind: list[WriteSlot] = []
    """The writes that wait for its end."""


class LeaseSlot(LaterSlot):
    """A request about leases, which the leader carries out."""

    may_begin: bool = False
    """Whether all before it on its connection are answered, or are such requests under way."""
    accepted: bool = False
    """Whether it has come to those who carry it out."""
    begun: bool = False


class WriteSlot(Slot):
    """Requests that become entries of the log, one after the other: a write, or some plain puts that came together."""

    waits: bool = False
    """Whether it waits for the end of a request before it that takes its time."""
    reads_before: list[ReadSlot] = []
    """The reads before it and behind any earlier write: they must be served before it is applied."""
    commands: list[Any] = []
    """The commands of the log that the requests become."""
    term: int = 0
    """The term of the entries that they became; 0 before."""
    replies: list[Piece] = []
    """The replies to those that are applied, while not all are."""
    late: bool = False
    """Whether it was answered when its time was over, and may still be applied."""
    lost: bool = False
    """Whether its outcome cannot be known here: it may take effect unseen."""


class Queue:
    """The slots of one connection whose replies have not left, in the order in which their requests came."""

    def __init__(self) -> None:
        self.slots: deque[Slot] = deque()
        self._last: Slot | None = None
        """The newest slot, until all replies have left."""
        self._reads: list[ReadSlot] = []
        """The reads behind the newest write."""
        self._later: LaterSlot | None = None
        """The newest request that takes its time, until all replies have left."""

    def append(self, slot: Slot) -> None:
        """Give a slot its place, behind all others."""
        if (last := self._last) is not None:
            slot.is_first = last.is_first and last.reply is not None
            last.following = slot
            if type(slot) is LeaseSlot and type(last) is LeaseSlot:
                slot.may_begin = last.begun
        self._last = slot
        self.slots.append(slot)
        if type(slot) is ReadSlot:
            reads = self._reads
            if len(reads) > 32 + 2 * len(self.slots):
                reads[:] = [earlier for earlier in reads if earlier.reply is None]
            reads.append(slot)
        elif type(slot) is WriteSlot:
            slot.reads_before, self._reads = self._reads, []
            if (later := self._later) is not None and not later.is_over:
                slot.waits = True
                later.writes_behind.append(slot)
        elif isinstance(slot, LaterSlot):
            self._later = slot

    def append_share(self, share: Slot, merged: Slot) -> None:
        """Give its place to the share that an empty queue has in merged requests; the next write waits for reads."""
        self._last = share
        self.slots.append(share)
        if type(merged) is ReadSlot:
            self._reads.append(merged)

    def forget(self) -> None:
        """Forget all slots, for good."""
        self.slots.clear()
        self.forget_answered()

    def forget_answered(self) -> None:
        """Forget what is over once all replies have left, while it is in the cache: not when the next request comes."""
        self._last = self._later = None
        self._reads.clear()

    def pass_reads_on(self, write: WriteSlot) -> Sequence[ReadSlot]:
        """Let the reads before a write that is over wait for the next one, as they must not see that either.

        Return those that may see it all the same, as such a write is lost.
        """
        waiting = [read for read in write.reads_before if read.reply is None]
        if not waiting:
            return ()
        later: Slot | None = write
        while later is not None:
            if isinstance(later, WriteSlot):
                if later.lost:
                    return waiting
                if later.reply is None or later.late:
                    later.reads_before = waiting + later.reads_before
                    return ()
            later = later.following
        self._reads[:0] = waiting
        return ()
