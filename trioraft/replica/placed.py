"""The writes of this node's clients that have an entry, until that is applied or cannot be any more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Protocol

from trioraft.raft.core import Core
from trioraft.raft.ready import LostReason
from trioraft.replica.answering import Answering
from trioraft.replica.slots import WriteSlot


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core


class Placed:
    """Which write waits for which entry, whether this node proposed it or its leader did."""

    def __init__(self, node: Ports, answering: Answering) -> None:
        self.by_index: dict[int, WriteSlot] = {}
        """By the index of the first entry that is still to be applied for a slot."""
        self.applied_term = 0
        """The term of the newest entry that was applied."""
        self._node = node
        self._answering = answering

    def place(self, slots: Sequence[WriteSlot], first: int, term: int) -> None:
        """Note that these writes are the entries from that index on, in that term."""
        placed = self.by_index
        applied = self._node.core.last_applied
        following = first
        gone: list[WriteSlot] = []
        """Those whose entries were applied before they were placed: their outcome is not known."""
        for slot in slots:
            index, following = following, following + slot.count
            slot.term = term
            if index > applied and term < self.applied_term:
                self.drop(slot)
                continue
            if (rival := placed.get(index)) is not None:
                self._answering.fail_unknown([rival], "leader_changed")
            if index <= applied:
                gone.append(slot)
            else:
                placed[index] = slot
        self._answering.fail_unknown(gone, "leader_changed")

    def drop(self, slot: WriteSlot) -> None:
        """Answer a write that is not committed and never will be."""
        self._answering.fail(slot, "leader_changed", "another leader's entry took its place", "try again", "no")

    def drop_older(self, index: int, term: int) -> None:
        """Drop the writes of older terms behind that index, where the first entry of a new term is committed.

        No later entry can be of an older term any more.
        """
        self.applied_term = term
        older = [later for later, slot in self.by_index.items() if later > index and slot.term < term]
        for later in older:
            self.drop(self.by_index.pop(later))

    def skip_to(self, index: int, term: int) -> None:
        """Give up the writes up to that entry, as a snapshot as of it replaced the state: their outcome is unknown."""
        if term > self.applied_term:
            self.drop_older(index, term)
        skipped = [position for position in self.by_index if position <= index]
        self._answering.fail_unknown([self.by_index.pop(position) for position in skipped], "leader_changed")

    def wait_for_the_rest(self, slot: WriteSlot, index: int) -> None:
        """Note that the writes of this slot from that index on are not committed yet."""
        if index in self.by_index:
            self._answering.fail_unknown([slot], "leader_changed")
        else:
            self.by_index[index] = slot

    def give_up(self, reason: LostReason) -> None:
        """Give up all: their outcome cannot be known here."""
        self._answering.fail_unknown(self.by_index.values(), reason)
        self.by_index.clear()

    def give_up_where_behind(self, oldest: int) -> None:
        """Give up writes that came by that tick and whose entries this node does not have.

        It is installing a snapshot, or its disk hangs. Those with a `timeout_ms` wait until that is over.
        """
        for index, slot in list(takewhile(lambda one: one[1].since <= oldest, self.by_index.items())):
            if index > self._node.core.durable_index and slot.request.timeout_ms is None:
                del self.by_index[index]
                why = "this node is behind, and does not have the entry yet that the write became"
                hint = "read the key before you write it again"
                self._answering.fail(slot, "timeout", why, hint, "unknown", lost=True)
