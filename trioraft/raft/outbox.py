"""What a node says, and what has to be synced before it may say it (Figure 2, "persistent state").

Messages that promise nothing new go at once. Those that rest on the term, the vote or the entries at hand are
gated: they go with the batch that makes these durable. One batch is outstanding at a time.
"""

from __future__ import annotations

from trioraft.raft.log import Log
from trioraft.raft.messages import HardState, Message, NodeId
from trioraft.raft.ready import Batch, Point


class Outbox:
    """The messages of one node, and how far its disk has come."""

    def __init__(self, hard_state: HardState, last_index: int) -> None:
        """All that is recovered is durable."""
        self.durable_index = last_index
        """Synced by this node, and never beyond a truncation."""
        self._messages: list[tuple[NodeId, Message]] = []
        self._gated: list[tuple[NodeId, Message]] = []
        self._durable_hard_state = hard_state
        self._batch: Batch | None = None
        self._batch_number = 0
        self._batch_elapsed = 0
        self._batch_last_index = 0
        self.handed_index = last_index
        """Up to where the log has been given to the disk."""
        self._base: Point | None = None
        """Where the log begins anew on the disk."""

    @property
    def batch_elapsed(self) -> int:
        """For how many ticks a batch is with the disk; 0 when there is none."""
        return self._batch_elapsed if self._batch is not None else 0

    def tick(self) -> None:
        """One unit of time has passed."""
        self._batch_elapsed += 1

    def persisting(self, slow_ticks: int) -> None:
        """A part of the batch has reached the disk, which does not hang; it is slow if it has taken so long before."""
        self._batch_elapsed = min(self._batch_elapsed, slow_ticks)

    def send(self, receiver: NodeId, message: Message) -> None:
        """Say what promises nothing."""
        self._messages.append((receiver, message))

    def gate(self, receiver: NodeId, message: Message) -> None:
        """Say it when all is durable that there is now."""
        self._gated.append((receiver, message))

    def answer(self, hard_state: HardState, receiver: NodeId, message: Message) -> None:
        """Say it at once if term and vote are synced, else with the batch that syncs them."""
        durable = hard_state == self._durable_hard_state
        (self._messages if durable else self._gated).append((receiver, message))

    def take_messages(self) -> list[tuple[NodeId, Message]]:
        """What goes at once."""
        messages, self._messages = self._messages, []
        return messages

    def holds_entries_alone(self, hard_state: HardState) -> bool:
        """Whether nothing waits for the disk but entries: no message, no term, no vote."""
        return not self._gated and hard_state == self._durable_hard_state and self._base is None

    def next_batch(self, hard_state: HardState, log: Log) -> Batch | None:
        """What is to be persisted now, with the messages that wait for it; None while the disk is at work."""
        if self._batch is not None:
            return None
        entries = log.slice(self.handed_index + 1, log.last_index)
        if not entries and hard_state == self._durable_hard_state and self._base is None:
            # All that these waited for went with the last batch.
            self._messages.extend(self._gated)
            self._gated = []
            return None
        messages, self._gated = self._gated, []
        self._batch_number += 1
        self._batch = Batch(self._batch_number, hard_state, entries, messages, self._base)
        self._base = None
        self._batch_elapsed = 0
        self.handed_index = self._batch_last_index = log.last_index
        return self._batch

    def persisted(self, number: int) -> Batch:
        """The batch of that number is durable; give it back. Raises ValueError where it is not outstanding."""
        batch = self._batch
        if batch is None or batch.number != number:
            raise ValueError(f"batch {number} is not outstanding")
        self._batch = None
        self._durable_hard_state = batch.hard_state
        # A truncation in the meantime has lowered _batch_last_index: what it cut is not durable.
        self.durable_index = max(self.durable_index, self._batch_last_index)
        return batch

    def truncate_from(self, index: int) -> None:
        """The log was cut there: what it held is not durable, and what comes instead is to be written."""
        self.durable_index = min(self.durable_index, index - 1)
        self.handed_index = min(self.handed_index, index - 1)
        self._batch_last_index = min(self._batch_last_index, index - 1)

    def begin_anew(self, point: Point) -> None:
        """A snapshot that ends there, and is durable, has taken the place of the whole log."""
        self._base = point
        self.handed_index = self.durable_index = point.index
        self._batch_last_index = 0
