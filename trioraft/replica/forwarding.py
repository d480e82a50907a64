"""To whom a node passes on what only the leader can do, and how long an old leader may still answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.replica.answering import Answering
from trioraft.replica.slots import Slot, WriteSlot
from trioraft.wire import replies

FAREWELL_TICKS: Final = 30
"""How long a deposed leader gets to report the fate of the writes forwarded to it."""

SlotT = TypeVar("SlotT", bound=Slot)


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    def linked(self, peer: NodeId) -> bool:
        """Whether a connection to that peer is up."""


class Forwarding:
    """The leader that this node passes on to."""

    def __init__(self, node: Ports, answering: Answering) -> None:
        self.leader: NodeId | None = None
        """To whom what follows was passed on,"""
        self.term = 0
        """and in which term it was taken for the leader."""
        self._node = node
        self._answering = answering
        self._farewell: int | None = None
        """Until when an old leader's report of the writes passed on to it is waited for."""
        self._deposed: tuple[NodeId, int] | None = None
        """The leader, and its term, that has said itself that it leads no more."""

    @property
    def is_outdated(self) -> bool:
        """Whether there is another leader by now, or none, or it leads another term."""
        core = self._node.core
        return (core.leader, core.term) != (self.leader, self.term)

    def hears_from_old_leader(self, now: int) -> bool:
        """Whether it may still report what became of the writes passed on to it; what came later waits for that."""
        if self._farewell is None:
            self._farewell = now + FAREWELL_TICKS
        return self.leader is not None and self._node.linked(self.leader) and now < self._farewell

    def update(self) -> None:
        """Pass on to the leader that is known now, if any."""
        self.leader, self.term = self._node.core.leader, self._node.core.term
        self._farewell = None

    def is_deposed(self, sender: NodeId) -> None:
        """The leader says that it leads no more: nothing is passed on to it for this term."""
        self._deposed = sender, self.term

    @property
    def to(self) -> NodeId | None:
        """Who takes what is passed on now; None where nobody does."""
        core = self._node.core
        leader = core.leader
        if leader is None or not self._node.linked(leader) or (leader, core.term) == self._deposed:
            return None
        return leader

    def kept(self, slots: Iterable[SlotT]) -> list[SlotT]:
        """Answer those that want the leader itself; give back the others."""
        core = self._node.core
        kept = []
        for slot in slots:
            if slot.reply is not None:
                continue
            if not slot.request.forward:
                self._answering.answer(slot, _not_leader(slot, core))
            else:
                kept.append(slot)
        return kept


def _not_leader(slot: Slot, core: Core) -> bytes:
    member = None if core.leader is None else core.configuration.member(core.leader)
    return replies.error_reply(
        slot.id,
        "not_leader",
        "this node does not lead, and the request is not to be passed on",
        'ask the leader, or leave out "forward":false' if member else "no leader is known: try again soon",
        "no" if isinstance(slot, WriteSlot) else None,
        leader=core.leader,
        leader_address=member.address if member else None,
    )
