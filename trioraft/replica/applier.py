"""Committed entries are applied in order, and those who wait for them are answered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Protocol

from trioraft.kv.commands import Command, Put
from trioraft.kv.results import Written
from trioraft.raft.core import Core
from trioraft.raft.runs import Entries, Run
from trioraft.replica.answering import Answering
from trioraft.replica.placed import Placed
from trioraft.replica.reader import Reader
from trioraft.replica.slots import WriteSlot
from trioraft.wire import replies
from trioraft.wire.commands import commands_of


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core


class Applier:
    """Applies entries to the store that reads are answered from."""

    def __init__(self, node: Ports, reader: Reader, placed: Placed, answering: Answering) -> None:
        self._node = node
        self._reader = reader
        self._placed = placed
        self._answering = answering

    def apply(self, entries: Entries) -> None:
        """Apply committed entries in order, and answer those who wait for them."""
        for run in entries.runs:
            if run.term > self._placed.applied_term:
                self._placed.drop_older(run.first, run.term)
            index = run.first
            while index <= run.last:
                index += self._apply_next(run, index)

    def _apply_next(self, run: Run, index: int) -> int:
        """Apply the entry at that index, and others of the run that go with it; how many they were."""
        placed = self._placed.by_index
        slot = placed.pop(index, None)
        if slot is not None and slot.term != run.term:
            self._placed.drop(slot)
            slot = None
        if slot is not None:
            return self._apply_own(slot, index, run.last - index + 1)
        end = run.last
        if placed:
            end = next((later - 1 for later in range(index + 1, end + 1) if later in placed), end)
        self._reader.store.apply_all(index, commands_of(run.cut(index, end)))
        self._node.core.applied(end)
        return end - index + 1

    def _apply_own(self, slot: WriteSlot, first: int, most: int) -> int:
        """Apply the writes of this slot, and of those that follow it, which are the entries from that index on.

        No more than `most` of them are committed; how many they were.
        """
        if slot.reads_before:
            self._answering.serve_before(slot)
        if not _is_plain_put(slot.commands[0]):
            result = self._reader.store.apply_all(first, slot.commands).get(first) or Written(first)
            self._node.core.applied(first)
            self._answering.answer(slot, replies.result_reply(slot.requests[0].id, result))
            return 1
        placed = self._placed.by_index
        slots = [slot]
        count = slot.count - len(slot.replies)
        while count < most and (later := placed.get(first + count)) is not None:
            if later.term != slot.term or later.reads_before or not _is_plain_put(later.commands[0]):
                break
            del placed[first + count]
            slots.append(later)
            count += later.count
        count = min(count, most)
        self._put_all(slots, first, count)
        return count

    def _put_all(self, slots: Sequence[WriteSlot], first: int, count: int) -> None:
        """Apply the first so many puts that these slots have left, and answer those slots that have none then."""
        done = len(slots[0].replies)  # of the others nothing has been applied
        taken = slice(done, done + count)
        commands = list(chain.from_iterable([slot.commands for slot in slots]))[taken]
        requests = list(chain.from_iterable([slot.requests for slot in slots]))[taken]
        self._reader.store.apply_all(first, commands)
        self._node.core.applied(first + count - 1)
        written = replies.written_replies(requests, first)
        rest = self._answering.answer_applied(slots, written)
        if rest is not None:
            self._placed.wait_for_the_rest(rest, first + count)


def _is_plain_put(command: Command) -> bool:
    """Whether nothing can come of it but that it is written."""
    return type(command) is Put and command.if_rev is None
