"""Makes the replies to requests that change nothing, from the state as applied here; large ones a few a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.raft.runs import RUN_BYTES
from trioraft.replica.failures import internal_reply
from trioraft.replica.reckoning import reckoned
from trioraft.replica.slots import ReadSlot
from trioraft.wire import replies
from trioraft.wire.operations import ShowLog
from trioraft.wire.replies import Reply
from trioraft.wire.table import AnyRequest, Operation

MADE_A_TURN: Final = 4 * 1024 * 1024
"""How many bytes of replies are made a turn, beside values, which are at hand."""
LEAST_MADE: Final = 16 * 1024
"""The least that such a reply counts for."""


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    def answer_locally(self, slot: ReadSlot) -> Reply:
        """The reply to a request about this node itself."""

    def begin_stream(self, slot: ReadSlot) -> Reply | None:
        """The first answer to a request that may go on, or None where it follows later."""


class Reader:
    """Answers from the state as applied here; others see to it that this is new enough."""

    def __init__(self, node: Ports, machine: Machine) -> None:
        self.machine = machine
        self.room = MADE_A_TURN
        """How many bytes of replies this turn may still make."""
        self._node = node

    @property
    def applied(self) -> int:
        """The index of the newest entry that the state reflects."""
        return self._node.core.last_applied

    def begin_turn(self) -> None:
        """Make room for the replies of another turn."""
        self.room = MADE_A_TURN

    def has_at_hand(self, slot: ReadSlot) -> bool:
        """Whether the reply needs no room, as values do not."""
        return slot.operation.kind in ("read", "stream") and not slot.operation.large

    def reply_size(self, operation: Operation, requests: Sequence[AnyRequest]) -> int:
        """About how many bytes the replies to requests that change nothing will have, as things are now."""
        return reckoned(operation, requests, self.machine, self._node.core)

    def reply(self, slot: ReadSlot) -> Reply | None:
        """Make the reply; None where it follows later.

        A read changes nothing, so that no failure in it needs to end the node.
        """
        try:
            return self._read(slot)
        except Exception as error:
            return [internal_reply(bytes(request.id), None, error) for request in slot.requests]

    def _read(self, slot: ReadSlot) -> Reply | None:
        operation = slot.operation
        query, read, reply_of = operation.query, self.machine.read, operation.reply
        if query is not None and reply_of is not None:
            if operation.large:
                self.room -= max(slot.size, LEAST_MADE)
            end = replies.as_of(self.applied)
            if slot.count == 1:
                request = slot.requests[0]
                return reply_of(request.id, read(query(request)), end)
            return replies.joined([reply_of(request.id, read(query(request)), end) for request in slot.requests])
        if operation.kind == "stream":
            return self._node.begin_stream(slot)
        reply = self._node.answer_locally(slot)
        self.room -= max(replies.made_of(reply), RUN_BYTES if operation.request is ShowLog else LEAST_MADE)
        return reply
