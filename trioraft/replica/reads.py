"""Reads that must see all that was committed when they came: a leader confirms them, for its clients and for its peers.

Unlike writes they need no care for their order. A read is answered from this node's state once all before it on its
connection are answered, and a leader of whatever term confirms it only after it came.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import chain, count
from typing import Protocol

from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.replica.answering import Answering
from trioraft.replica.forwarding import Forwarding, PassedOn
from trioraft.replica.held import Held
from trioraft.replica.slots import ReadSlot
from trioraft.wire.peers import ReadIndexReply, ReadIndexRequest

_Remote = tuple[NodeId, int]


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    def send(self, peer: NodeId, message: ReadIndexRequest | ReadIndexReply) -> None:
        """Send to a peer, in order."""

    def read_began(self, context: int) -> None:
        """The core confirms reads under that context."""


class Reads(Held[ReadSlot]):
    """The reads of this node's clients that are not confirmed yet, and those that peers ask this leader about."""

    def __init__(self, node: Ports, forwarding: Forwarding, answering: Answering, contexts: count[int]) -> None:
        """`contexts` numbers what the core confirms."""
        super().__init__(forwarding)
        self._node = node
        self._answering = answering
        self._contexts = contexts
        self._under_way: dict[int, list[ReadSlot] | _Remote] = {}
        """By context: the reads that this node confirms as leader."""
        self._asked: PassedOn[list[ReadSlot]] = PassedOn()
        """Those that the leader was asked about and has not confirmed."""
        self._waiting: list[tuple[int, int, list[ReadSlot]]] = []
        """Reads that may be served once an index is applied: (index, number, reads), a heap."""

    @property
    def idle(self) -> bool:
        """Whether none waits to be confirmed."""
        return not (self.held or self._under_way or self._asked or self._waiting)

    def confirm(self) -> None:
        """Confirm the reads that are held, as leader."""
        reads = [slot for slot in self._take() if slot.reply is None]
        if reads:
            context = next(self._contexts)
            self._under_way[context] = reads
            self._node.core.read_index(context)
            self._node.read_began(context)

    def pass_on(self, leader: NodeId) -> None:
        """Ask the leader which index the reads that are held must see."""
        reads = self._forwarding.kept(self._take())
        if reads:
            self._node.send(leader, ReadIndexRequest(self._asked.add(reads, self._forwarding.lead)))

    def ask_again(self) -> None:
        """Hold again the reads that the leader was asked about: another must confirm them."""
        self.held.extend(chain.from_iterable(self._asked.pop_all()))

    # From the peers

    def on_read_index(self, sender: NodeId, message: ReadIndexRequest) -> None:
        """A peer asks which index its reads must see."""
        core = self._node.core
        if core.role != "leader":
            self._node.send(sender, ReadIndexReply(message.number, None))
            return
        context = next(self._contexts)
        self._under_way[context] = (sender, message.number)
        core.read_index(context)
        self._node.read_began(context)

    def on_read_index_reply(self, sender: NodeId, message: ReadIndexReply) -> None:
        """The leader says which index reads must see, or that it leads no more."""
        if (answered := self._asked.pop(sender, message.number)) is None:
            return
        reads, _ = answered
        if message.index is None:
            self.held.extend(reads)
        elif message.index <= self._node.core.last_applied:
            self._answering.confirm(reads)
        else:
            heapq.heappush(self._waiting, (message.index, message.number, reads))

    def link_lost(self, peer: NodeId) -> None:
        """Answer nothing that this peer has asked: it may be another process when it comes back."""
        for context, reads in self._under_way.items():
            if isinstance(reads, tuple) and reads[0] == peer:
                self._under_way[context] = []

    # From the core

    def servable(self, contexts: Sequence[int]) -> None:
        """Serve confirmed reads: this node led after they came, and has applied all that they must see."""
        core = self._node.core
        for context in contexts:
            reads = self._under_way.pop(context, None)
            if reads is None:
                continue  # it is of others
            if isinstance(reads, list):
                self._answering.confirm(reads)
            else:
                peer, number = reads
                core.want_commit(peer, core.last_applied)
                self._node.send(peer, ReadIndexReply(number, core.last_applied))

    def leadership_lost(self) -> None:
        """Hold again what this node confirmed as leader, as it leads no more, and tell the peers to ask again."""
        for reads in self._under_way.values():
            if isinstance(reads, list):
                self.held.extend(reads)
            else:
                self._node.send(reads[0], ReadIndexReply(reads[1], None))
        self._under_way = {}

    def applied(self, index: int) -> None:
        """Serve the reads that waited for that index to be applied."""
        while self._waiting and self._waiting[0][0] <= index:
            self._answering.confirm(heapq.heappop(self._waiting)[2])

    # From the clock

    def leaderless(self) -> None:
        """Hold again what waits for an entry to be applied, as no leader has been known for long."""
        for _, _, reads in self._waiting:
            self.held.extend(reads)
        self._waiting = []

    def give_up_asked(self, oldest: int) -> None:
        """Hold again reads that came by that tick and that the leader has not answered."""
        for reads in self._asked.pop_if(lambda reads: reads[0].since <= oldest):
            self.held.extendleft(reversed(reads))

    def give_up_where_behind(self, oldest: int) -> None:
        """Fail reads that came by that tick and wait for entries that this node may lack for long.

        It is installing a snapshot, or its disk hangs. Those with a `timeout_ms` wait until that is over.
        """
        waiting, self._waiting = self._waiting, []
        for index, number, reads in waiting:
            late = [read for read in reads if read.since <= oldest and read.request.timeout_ms is None]
            if len(late) < len(reads):
                self._waiting.append((index, number, [read for read in reads if read not in late]))
            for read in late:
                self._answering.fail_behind(read, index)
        heapq.heapify(self._waiting)
