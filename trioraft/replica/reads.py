"""Reads that must see all that was committed when they came: the leader confirms them, in a round or for a peer.

They need no care for their order, as writes do: a read is answered from this node's state once all before it on its
connection are answered, and whichever leader confirms it, of whichever term, does so after it was asked.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import chain, count
from typing import Protocol

from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.replica.answering import Answering
from trioraft.replica.forwarding import Forwarding, PassedOn
from trioraft.replica.slots import ReadSlot, Slot
from trioraft.wire.peers import ReadIndexReply, ReadIndexRequest

_Remote = tuple[NodeId, int]


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    def send(self, peer: NodeId, message: ReadIndexRequest | ReadIndexReply) -> None:
        """Send to a peer, in order."""

    def read_began(self, context: int) -> None:
        """The core confirms reads under that context."""


class Reads:
    """The reads at this node that are not confirmed yet, and those of which peers ask this leader."""

    def __init__(self, node: Ports, forwarding: Forwarding, answering: Answering) -> None:
        self.held: deque[ReadSlot] = deque()
        """Those that wait to be confirmed by a leader, in the order of their asking."""
        self.gathered = 0
        """How many requests have come since they were sent on their way."""
        self._node = node
        self._forwarding = forwarding
        self._answering = answering
        self._contexts = count()
        self._under_way: dict[int, list[ReadSlot] | _Remote] = {}
        """By context: the reads that this node, leading, confirms."""
        self._asked: PassedOn[list[ReadSlot]] = PassedOn()
        """Those that the leader was asked about."""
        self._waiting: list[tuple[int, int, list[ReadSlot]]] = []
        """Reads that may be served once an index is applied: (index, number, reads), a heap."""

    @property
    def idle(self) -> bool:
        """Whether none waits to be confirmed."""
        return not (self.held or self._under_way or self._asked or self._waiting)

    def hold(self, slot: ReadSlot) -> None:
        """Have it confirmed when that is done next."""
        self.held.append(slot)
        self.gathered += slot.count

    def remove(self, late: set[Slot]) -> None:
        """Hold these no longer."""
        self.held = deque([slot for slot in self.held if slot not in late])

    def confirm(self) -> None:
        """Have those that are held confirmed by this leader."""
        slots, self.held = self.held, deque()
        reads = [slot for slot in slots if slot.reply is None]
        if reads:
            context = next(self._contexts)
            self._under_way[context] = reads
            self._node.core.read_index(context)
            self._node.read_began(context)

    def pass_on(self, leader: NodeId) -> None:
        """Ask the leader what those that are held must see."""
        slots, self.held = self.held, deque()
        reads = self._forwarding.kept(slots)
        if reads:
            self._node.send(leader, ReadIndexRequest(self._asked.add(reads, self._forwarding.lead)))

    def refuse_to_forward(self) -> None:
        """Answer those that want the leader itself, though none is known."""
        slots, self.held = self.held, deque()
        self.held.extendleft(reversed(self._forwarding.kept(slots)))

    def ask_again(self) -> None:
        """Hold again what the leader was asked about: another is to confirm it."""
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
        """What that peer has asked is not answered any more: it may be another process when it comes back."""
        for context, reads in self._under_way.items():
            if isinstance(reads, tuple) and reads[0] == peer:
                self._under_way[context] = []

    # From the core

    def servable(self, contexts: Sequence[int]) -> None:
        """These reads were confirmed: this node led when they had arrived, and has applied all that they must see."""
        core = self._node.core
        for context in contexts:
            reads = self._under_way.pop(context)
            if isinstance(reads, list):
                self._answering.confirm(reads)
            else:
                peer, number = reads
                core.want_commit(peer, core.last_applied)
                self._node.send(peer, ReadIndexReply(number, core.last_applied))

    def leadership_lost(self) -> None:
        """This node led and does no more: reads are asked again, by the peers as well."""
        for reads in self._under_way.values():
            if isinstance(reads, list):
                self.held.extend(reads)
            else:
                self._node.send(reads[0], ReadIndexReply(reads[1], None))
        self._under_way = {}

    def applied(self, index: int) -> None:
        """All up to that index has been applied: serve the reads that waited for it."""
        while self._waiting and self._waiting[0][0] <= index:
            self._answering.confirm(heapq.heappop(self._waiting)[2])

    # From the clock

    def leaderless(self) -> None:
        """No leader has been known for long: hold again what waits for an entry to be applied."""
        for _, _, reads in self._waiting:
            self.held.extend(reads)
        self._waiting = []

    def give_up_asked(self, oldest: int) -> None:
        """Hold again what the leader was asked about by that tick, and did not answer."""
        for reads in self._asked.pop_if(lambda reads: reads[0].since <= oldest):
            self.held.extendleft(reversed(reads))

    def give_up_where_behind(self, oldest: int) -> None:
        """Fail what waits since that tick for entries that this node may lack for long.

        It takes in a snapshot, or its disk hangs. What has a time of its own has that.
        """
        waiting, self._waiting = self._waiting, []
        applied = self._node.core.last_applied
        for index, number, reads in waiting:
            late = [read for read in reads if read.since <= oldest and read.request.timeout_ms is None]
            if len(late) < len(reads):
                self._waiting.append((index, number, [read for read in reads if read not in late]))
            for read in late:
                why = f"this node is behind: it is at entry {applied}, and the read must see entry {index}"
                self._answering.fail(read, "timeout", why, "ask another node, or give it a 'timeout_ms'", "")
        heapq.heapify(self._waiting)
