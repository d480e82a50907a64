"""Requests under way, each with the place of its reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from trioraft.kv.commands import Command
from trioraft.wire import replies
from trioraft.wire.operations import AnyRequest, Operation
from trioraft.wire.replies import Piece, Reply


class Owner(Protocol):
    """Whose requests they are: a client's session, or a crowd."""

    @property
    def on_settled(self) -> Callable[[], None]:
        """To be called whenever a request has got its reply."""

    def hand_on(self, write: WriteSlot) -> Sequence[ReadSlot]:
        """A write is over: the reads before it must not see the writes after it either.

        Those are given back that may do so all the same, as such a write is lost.
        """

    def outgrown(self, slot: Slot, size: int) -> None:
        """Its reply is known, and has so many bytes, more than were reckoned for it."""


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
    """How many requests they are."""
    reply: Reply | None = None
    since: int = 0
    """The tick at which it came."""
    number: int = 0
    """Its place among all that came to this node."""
    turn: bool = True
    """Whether all before it on its connection are answered."""
    following: Slot | None = None

    @property
    def request(self) -> AnyRequest:
        """The first of them."""
        return self.requests[0]

    @property
    def id(self) -> bytes:
        """That of the request, as it was given."""
        return bytes(self.requests[0].id)

    def add(self, request: AnyRequest, size: int) -> None:
        """One more, before anything is done with them."""
        self.requests.append(request)
        self.size += size
        self.count += 1

    def answer(self, reply: Reply) -> None:
        """Settle the request; what comes to be known of it later is ignored."""
        if self.reply is None:
            self.reply = reply
            if (size := replies.size_of(reply)) > self.size:
                self.owner.outgrown(self, size)
            self.owner.on_settled()


class ReadSlot(Slot):
    """Requests that change nothing: served in their turn, so that they see what those before them did or saw."""

    confirmed: bool = False
    """Whether the state as applied here is new enough for it."""


class LaterSlot(Slot):
    """A request that takes its time: it begins once all before it are answered, and what follows waits for its end."""

    writes_behind: list[WriteSlot] = []
    """Those that wait for it."""


class WriteSlot(Slot):
    """Requests that become entries of the log, one after the other: a write, or some plain puts that came together."""

    waits: bool = False
    """Whether a request before it takes its time, and this one is to find what that did."""
    reads_before: list[ReadSlot] = []
    """Those before it that no earlier write waits for: it must not be applied before they are served."""
    commands: list[Command] = []
    """What the requests are for the log."""
    term: int = 0
    """The term of the entries that they became; 0 before."""
    replies: list[Piece] = []
    """To those that have been applied while not all are."""
    late: bool = False
    """Whether it is answered, as its time was over, and may be applied all the same."""
    lost: bool = False
    """Whether nobody here can tell what becomes of it: it may take effect unseen."""
