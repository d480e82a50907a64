"""The replies to what changes nothing, made from the state as applied here; large ones a few a turn."""

from __future__ import annotations

from typing import Final, Protocol, cast

from trioraft.kv.store import Store
from trioraft.raft.core import Core
from trioraft.raft.runs import RUN_BYTES
from trioraft.replica.failures import internal_reply
from trioraft.replica.reckoning import MAX_SCAN_BYTES, reckoned
from trioraft.replica.slots import ReadSlot
from trioraft.wire import replies
from trioraft.wire.replies import Reply
from trioraft.wire.requests import AnyRequest, Get, PlainGet, Scan, ShowLog

MADE_A_TURN: Final = 4 * 1024 * 1024
"""Of replies that have to be made, and are not at hand as values are, this many bytes are made a turn."""
LEAST_MADE: Final = 16 * 1024
"""What each of them counts for at least."""

_GETS: Final = (PlainGet, Get)


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    def answer_locally(self, slot: ReadSlot) -> Reply:
        """The reply to a request about this node itself."""


class Reader:
    """Answers from the state as applied here, whatever makes that new enough."""

    def __init__(self, node: Ports, store: Store) -> None:
        self.store = store
        self.room = MADE_A_TURN
        """How many bytes of replies this turn may still make."""
        self._node = node

    def begin_turn(self) -> None:
        """Make room for the replies of another turn."""
        self.room = MADE_A_TURN

    def has_room_for(self, slot: ReadSlot) -> bool:
        """Whether this turn may still make the reply; what is at hand needs no room."""
        return self.room > 0 or type(slot.requests[0]) in _GETS

    def reply_size(self, request: AnyRequest) -> int:
        """About how many bytes the reply to a request that changes nothing will have, as things are now."""
        return reckoned(request, self.store, self._node.core)

    def reply(self, slot: ReadSlot) -> Reply:
        """Make the reply; a read changes nothing, and so nothing that fails in it needs to end the node."""
        try:
            return self._read(slot)
        except Exception as error:
            return [internal_reply(bytes(request.id), None, error) for request in slot.requests]

    def _read(self, slot: ReadSlot) -> Reply:
        request = slot.request
        if isinstance(request, (PlainGet, Get)):
            find = self.store.get
            if slot.count == 1:
                return replies.get_reply(request.id, find(request.key))
            gets = cast("list[PlainGet | Get]", slot.requests)
            return replies.joined([replies.get_reply(get.id, find(get.key)) for get in gets])
        if isinstance(request, Scan):
            self.room -= max(slot.size, LEAST_MADE)
            keys_only = request.keys_only
            items, more = self.store.scan(request.prefix, request.after, request.limit, MAX_SCAN_BYTES, keys_only)
            return replies.scan_reply(slot.id, items, more, keys_only)
        reply = self._node.answer_locally(slot)
        self.room -= max(replies.made_of(reply), RUN_BYTES if isinstance(request, ShowLog) else LEAST_MADE)
        return reply
