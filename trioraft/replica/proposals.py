"""Writes on their way to an entry: held until there is a leader, proposed here or passed on to it, and placed.

The writes of a connection take effect in the order of their asking, because:

- writes wait here in that order, and travel in it to one leader on one connection;
- a write that is passed on is for one leader in one term (`Propose.term`). A node that does not lead that term refuses
  it, and, as nobody leads a term twice, refuses all that was sent behind it for that term;
- nothing is passed on to another leader, or to the same one in another term, nor proposed here, before each write
  under way has an entry, is refused, or is given up as unknown. Then the refused ones go first;
- entries of a later term follow those of an earlier one in every log (the terms that a node is in only rise).

A request that takes its time, such as a change of the members, holds up the writes behind it on its connection until it
is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Final, Protocol

from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.raft.ready import Overloaded
from trioraft.replica.answering import Answering
from trioraft.replica.forwarding import Forwarding, PassedOn
from trioraft.replica.held import Held
from trioraft.replica.placed import Placed
from trioraft.replica.slots import WriteSlot
from trioraft.wire.commands import UnknownCommand, encode_commands
from trioraft.wire.peers import NotProposed, Propose, Proposed

WRITES_A_TURN: Final = 4 * 1024 * 1024
"""This many bytes of writes are sent on their way in a turn, or one that is longer; the next turn follows at once."""


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core
    machine: Machine

    def send(self, peer: NodeId, message: Propose | Proposed | NotProposed) -> None:
        """Send to a peer, in order."""


class Proposals(Held[WriteSlot]):
    """The writes of this node's clients that have no entry yet, and those that peers pass on to it."""

    def __init__(self, node: Ports, forwarding: Forwarding, placed: Placed, answering: Answering) -> None:
        super().__init__(forwarding)
        self.gathering = False
        """Whether writes wait only for more to come."""
        self.stopping = False
        """Whether nothing more is proposed for peers."""
        self.unplaced: PassedOn[list[WriteSlot]] = PassedOn()
        """Those that were passed on, and of which the leader has not said which entries they became."""
        self._delayed: list[tuple[NodeId, Propose]] = []
        """What peers passed on while this leader is handing over the lead."""
        self._room = WRITES_A_TURN
        """How many bytes of writes this turn may still send on their way."""
        self._node = node
        self._placed = placed
        self._answering = answering

    @property
    def idle(self) -> bool:
        """Whether no write of this node's clients is on its way to an entry."""
        return not self.held and not self.unplaced

    @property
    def hurries(self) -> bool:
        """Whether the next turn has writes to send on their way, whatever comes in."""
        return self._room <= 0 and bool(self.held)

    def begin_turn(self) -> None:
        """Make room for the writes of another turn."""
        self._room = WRITES_A_TURN

    def propose(self, gather: bool) -> None:
        """Propose the writes that are held, as leader; with `gather` they wait for more to come."""
        writes = [slot for slot in self._take() if slot.reply is None]
        if gather:
            self.held.extend(writes)
            self.gathered = sum([write.count for write in writes])
            self.gathering = bool(writes)
        elif fitting := self._fitting(writes):
            self._propose(fitting)

    def _propose(self, writes: list[WriteSlot]) -> None:
        core = self._node.core
        try:
            first = core.propose(_payloads(writes))
        except Overloaded:
            for write in writes:
                why = "too much is waiting to be committed"
                self._answering.fail(write, "overloaded", why, "try again soon", "no")
        else:
            self._placed.place(writes, first, core.term)

    def _fitting(self, writes: list[WriteSlot]) -> list[WriteSlot]:
        """The first of these writes, as many as this turn has room for; the others are held until the next."""
        taken = 0
        while taken < len(writes) and self._room > 0:
            self._room -= writes[taken].size
            taken += 1
        self.held.extend(writes[taken:])
        self.gathered = sum([write.count for write in writes[taken:]])
        return writes[:taken]

    def pass_on(self, leader: NodeId) -> None:
        """Send the writes that are held to the leader, for the term that it leads."""
        writes = self._fitting(self._forwarding.kept(self._take()))
        if writes:
            lead = self._forwarding.lead
            number = self.unplaced.add(writes, lead, sum([write.count for write in writes]))
            self._node.send(leader, Propose(number, _payloads(writes), lead.term))

    def give_up_unplaced(self) -> None:
        """Answer what was passed on: it may have been appended, and must not be passed on twice."""
        unplaced = list(chain.from_iterable(self.unplaced.pop_all()))
        self._answering.fail_unknown(unplaced, "leader_changed")

    # From the leader

    def on_proposed(self, sender: NodeId, message: Proposed) -> None:
        """The leader says which entries the writes passed on to it became."""
        if (answered := self.unplaced.pop(sender, message.number, message.count)) is not None:
            self._placed.place(answered[0], message.index, message.term)

    def on_not_proposed(self, sender: NodeId, message: NotProposed) -> None:
        """The leader has refused writes; they are in no log."""
        if (answered := self.unplaced.pop(sender, message.number, message.count)) is None:
            return
        slots, lead = answered
        if message.code == "leader_changed":
            # It leads that term no more. The next leader is asked as soon as it is known, in the same order.
            self._forwarding.depose(lead)
            again = [slot for slot in slots if slot.reply is None]
            self.held = deque(sorted([*again, *self.held], key=lambda slot: slot.number))
            slots = [slot for slot in slots if slot.reply is not None]  # too late for these
        for slot in slots:
            self._answering.fail(slot, message.code, message.message, message.hint, "no")

    # From the peers, to this leader

    def on_propose(self, sender: NodeId, message: Propose) -> None:
        """A peer passes on writes of its clients. Those meant for the leader of another term come too late."""
        core = self._node.core
        total = len(message.commands)
        if core.transferring or self._delayed:
            # Also when the transfer is just over: the peer expects the answers in the order in which it asked.
            self._delayed.append((sender, message))
            return
        leads = core.role == "leader" and message.term in (core.term, None)
        if not leads or self.stopping:
            refusal = NotProposed(message.number, total, "leader_changed", "the leader changed", "try again")
        else:
            try:
                for command in message.commands:
                    self._node.machine.decode_one(command)
                first = core.propose(message.commands)
            except UnknownCommand as error:
                refusal = NotProposed(message.number, total, "bad_request", str(error), "use nodes of one version")
            except Overloaded:
                why = "too much is waiting to be committed"
                refusal = NotProposed(message.number, total, "overloaded", why, "try again soon")
            else:
                core.want_commit(sender, first + total - 1)
                self._node.send(sender, Proposed(message.number, total, first, core.term))
                return
        self._node.send(sender, refusal)

    def go_on(self) -> None:
        """Take up what peers passed on while this leader handed over the lead, once that is over."""
        if self._delayed and not self._node.core.transferring:
            delayed, self._delayed = self._delayed, []
            for sender, message in delayed:
                self.on_propose(sender, message)

    def link_lost(self, peer: NodeId) -> None:
        """What that peer passed on is not answered any more: it may be another process when it comes back."""
        self._delayed = [(sender, message) for sender, message in self._delayed if sender != peer]


def _payloads(writes: Sequence[WriteSlot]) -> list[bytes]:
    return encode_commands([command for write in writes for command in write.commands])
