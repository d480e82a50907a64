"""Makes the replies to requests that change nothing, from the state as applied here; large ones a few a turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast

from trioraft.kv.store import Store
from trioraft.raft.core import Core
from trioraft.raft.runs import RUN_BYTES
from trioraft.replica.failures import internal_reply
from trioraft.replica.reckoning import MAX_SCAN_BYTES, reckoned
from trioraft.replica.slots import ReadSlot
from trioraft.wire import replies
from trioraft.wire.operations import AnyRequest, Get, Operation, PlainGet, Scan, ShowLog
from trioraft.wire.replies import Reply

MADE_A_TURN: Final = 4 * 1024 * 1024
"""How many bytes of replies are made a turn, beside values, which are at hand."""
LEAST_MADE: Final = 16 * 1024
"""The least that such a reply counts for."""


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    def answer_locally(self, slot: ReadSlot) -> Reply:
        """The reply to a request about this node itself."""


class Reader:
    """Answers from the state as applied here; others see to it that this is new enough."""

    def __init__(self, node: Ports, store: Store) -> None:
        self.store = store
        self.room = MADE_A_TURN
        """How many bytes of replies this turn may still make."""
        self._node = node

    def begin_turn(self) -> None:
        """Make room for the replies of another turn."""
        self.room = MADE_A_TURN

    def has_at_hand(self, slot: ReadSlot) -> bool:
        """Whether the reply needs no room, as values do not."""
        return slot.operation.request is Get

    def reply_size(self, operation: Operation, requests: Sequence[AnyRequest]) -> int:
        """About how many bytes the replies to requests that change nothing will have, as things are now."""
        return reckoned(operation, requests, self.store, self._node.core)

    def reply(self, slot: ReadSlot) -> Reply:
        """Make the reply. A read changes nothing, so that no failure in it needs to end the node."""
        try:
            return self._read(slot)
        except Exception as error:
            return [internal_reply(bytes(request.id), None, error) for request in slot.requests]

    def _read(self, slot: ReadSlot) -> Reply:
        asked = slot.operation.request
        if asked is Get:
            find = self.store.get
            gets = cast("list[Get | PlainGet]", slot.requests)
            if slot.count == 1:
                return replies.get_reply(gets[0].id, find(gets[0].key))
            return replies.joined([replies.get_reply(get.id, find(get.key)) for get in gets])
        if asked is Scan:
            self.room -= max(slot.size, LEAST_MADE)
            scan = cast("Scan", slot.request)
            items, more = self.store.scan(scan.prefix, scan.after, scan.limit, MAX_SCAN_BYTES, scan.keys_only)
            return replies.scan_reply(slot.id, items, more, scan.keys_only)
        reply = self._node.answer_locally(slot)
        self.room -= max(replies.made_of(reply), RUN_BYTES if asked is ShowLog else LEAST_MADE)
        return reply
