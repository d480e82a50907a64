"""Committed entries are applied in order, a block at a time, and those who wait for them are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from trioraft.raft.core import Core
from trioraft.raft.runs import Entries, Run
from trioraft.replica.answering import Answering
from trioraft.replica.lock_waits import LockWaits
from trioraft.replica.placed import Placed
from trioraft.replica.reader import Reader
from trioraft.replica.slots import WriteSlot
from trioraft.wire import replies

_Span = tuple[int, list[WriteSlot]]
"""Writes of this node that follow each other, from that index on."""


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    @property
    def cluster(self) -> str:
        """The id of its cluster; empty before that has formed."""


class Applier:
    """Applies entries to the machine that reads are answered from."""

    def __init__(
        self, node: Ports, reader: Reader, placed: Placed, answering: Answering, lock_waits: LockWaits
    ) -> None:
        self._node = node
        self._reader = reader
        self._placed = placed
        self._answering = answering
        self._lock_waits = lock_waits

    def apply(self, entries: Entries) -> None:
        """Apply committed entries in order, and answer those who wait for them."""
        for run in entries.runs:
            if run.term > self._placed.applied_term:
                self._placed.drop_older(run.first, run.term)
            first = run.first
            while first <= run.last:
                first = self._apply_block(run, first) + 1

    def _apply_block(self, run: Run, first: int) -> int:
        """Apply entries of the run from index `first` on, and give the index of the last one.

        The block ends with the run, or before a write of this node that has reads before it, which must not see it.
        """
        spans, last = self._own_writes(run, first)
        machine = self._reader.machine
        commands = _commands_of(spans, first, last)
        if commands is None:
            commands = machine.decode(run.cut(first, last))
        results = machine.apply(first, commands)
        self._node.core.applied(last)
        for index, slots in spans:
            self._answer(slots, index, last, results)
        if self._lock_waits.news:
            self._lock_waits.hear()
        return last

    def _own_writes(self, run: Run, first: int) -> tuple[list[_Span], int]:
        """Take the writes of this node in the block that begins at that index; and the last index of the block."""
        placed = self._placed.by_index
        spans: list[_Span] = []
        index, following = first, 0
        while placed and index <= run.last:
            slot = placed.get(index)
            if slot is None:
                index += 1
                continue
            if slot.reads_before or slot.term != run.term:
                if index > first:
                    return spans, index - 1
                if slot.term != run.term:
                    self._placed.drop(placed.pop(index))
                    continue
                self._answering.serve_before(slot)
            del placed[index]
            if index == following:
                spans[-1][1].append(slot)
            else:
                spans.append((index, [slot]))
            index = following = index + slot.count - len(slot.replies)
        return spans, run.last

    def _answer(self, slots: Sequence[WriteSlot], first: int, last: int, results: Mapping[int, Any]) -> None:
        """Answer writes that follow each other from index `first` on, as far as they are applied: up to `last`."""
        done = len(slots[0].replies)  # of the others nothing was applied before
        applied = slice(done, done + last - first + 1)
        requests = list(chain.from_iterable([slot.requests for slot in slots]))[applied]
        if results:
            self._lock_waits.open(slots, first, results)
        made = replies.write_replies(requests, first, results, self._node.cluster)
        if results and len(slots) < len(requests):
            made = list(map(replies.whole, made))
        rest = self._answering.answer_applied(slots, made)
        if rest is not None:
            self._placed.wait_for_the_rest(rest, last + 1)


def _commands_of(spans: Sequence[_Span], first: int, last: int) -> Sequence[Any] | None:
    """The commands of these entries, as the sessions of their writers still hold them; None where others wrote too.

    This saves the decoding, and nothing else depends on it.
    """
    if len(spans) != 1 or spans[0][0] != first:
        return None
    slots = spans[0][1]
    done = len(slots[0].replies)
    commands = list(chain.from_iterable([slot.commands for slot in slots]))[done : done + last - first + 1]
    return commands if len(commands) == last - first + 1 else None
