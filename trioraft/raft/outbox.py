"""Outgoing messages, and what must be synced before each may go (Figure 2, "persistent state").

Messages that promise nothing go at once. Those that rest on a term, a vote or entries which are not synced yet are
gated: they go with the batch that makes these durable. One batch is outstanding at a time.
"""

from __future__ import annotations

from trioraft.raft.log import Log
from trioraft.raft.messages import HardState, Message, NodeId
from trioraft.raft.ready import Batch, Point


class Outbox:
    """One node's outgoing messages, and how far its disk has come."""

    def __init__(self, hard_state: HardState, last_index: int) -> None:
        """Begin with what was recovered, all of it durable."""
        self.durable_index = last_index
        """The index up to which the log is synced; a truncation lowers it at once."""
        self._messages: list[tuple[NodeId, Message]] = []
        self._gated: list[tuple[NodeId, Message]] = []
        self._durable_hard_state = hard_state
        self._batch: Batch | None = None
        self._batch_number = 0
        self._batch_elapsed = 0
        self._batch_last_index = 0
        self.handed_index = last_index
        """The index up to which the log was handed to the disk."""
        self._base: Point | None = None
        """Where the log is to begin anew on the disk."""

    @property
    def batch_elapsed(self) -> int:
        """The number of ticks that the disk has worked on the batch; 0 where there is none."""
        return self._batch_elapsed if self._batch is not None else 0

    def tick(self) -> None:
        """Count one unit of time."""
        self._batch_elapsed += 1

    def persisting(self, slow_ticks: int) -> None:
        """Note that a part of the batch is durable: the disk does not hang, though it may be slow."""
        self._batch_elapsed = min(self._batch_elapsed, slow_ticks)

    def send(self, receiver: NodeId, message: Message) -> None:
        """Send a message that promises nothing."""
        self._messages.append((receiver, message))

    def gate(self, receiver: NodeId, message: Message) -> None:
        """Send it once the present term, vote and log are durable."""
        self._gated.append((receiver, message))

    def answer(self, hard_state: HardState, receiver: NodeId, message: Message) -> None:
        """Send it at once if term and vote are synced, or else with the batch that syncs them."""
        durable = hard_state == self._durable_hard_state
        (self._messages if durable else self._gated).append((receiver, message))

    def take_messages(self) -> list[tuple[NodeId, Message]]:
        """Hand out, once, the messages that go at once."""
        messages, self._messages = self._messages, []
        return messages

    def holds_entries_alone(self, hard_state: HardState) -> bool:
        """Whether only entries wait for the disk: no message, no term, no vote."""
        return not self._gated and hard_state == self._durable_hard_state and self._base is None

    def next_batch(self, hard_state: HardState, log: Log) -> Batch | None:
        """What to persist now, with the messages that wait for it; None where nothing is, or the disk is at work."""
        if self._batch is not None:
            return None
        entries = log.slice(self.handed_index + 1, log.last_index)
        if not entries and hard_state == self._durable_hard_state and self._base is None:
            # The last batch made durable what these waited for.
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
        """Note that the batch of that number is durable; return it. Raises ValueError if it is not outstanding."""
        batch = self._batch
        if batch is None or batch.number != number:
            raise ValueError(f"batch {number} is not outstanding")
        self._batch = None
        self._durable_hard_state = batch.hard_state
        # A truncation meanwhile has lowered _batch_last_index: what it removed is not durable.
        self.durable_index = max(self.durable_index, self._batch_last_index)
        return batch

    def truncate_from(self, index: int) -> None:
        """Note that the log was truncated there: what takes its place must be written."""
        self.durable_index = min(self.durable_index, index - 1)
        self.handed_index = min(self.handed_index, index - 1)
        self._batch_last_index = min(self._batch_last_index, index - 1)

    def begin_anew(self, point: Point) -> None:
        """Note that a durable snapshot that ends there has taken the place of the whole log."""
        self._base = point
        self.handed_index = self.durable_index = point.index
        self._batch_last_index = 0
