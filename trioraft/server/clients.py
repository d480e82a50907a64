"""The server's end of a client's connection: its session, its share of what is merged, and its replies."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from trioraft.replica.requests import Requests
from trioraft.replica.session import Session
from trioraft.replica.slots import Slot
from trioraft.server.gathering import JOINING_BYTES, Dirty, Gathering
from trioraft.server.guards import give_up
from trioraft.server.transport import Connection
from trioraft.wire.replies import Reply

PORTION_BYTES: Final = 256 * 1024
"""The most bytes of replies that a client gets before the others have their turn."""
EVENT_BYTES: Final = 64 * 1024
"""The most bytes of events that a client gets at once, or has not read."""


class Ports(Protocol):
    """The parts of the node that a client's connection uses."""

    requests: Requests
    max_request_bytes: int
    clients: set[ClientConnection]
    dirty: deque[Dirty]
    reply_room: int
    gathering: Gathering


class ClientConnection:
    """The node's end of one client's connection, with its session."""

    def __init__(self, connection: Connection, node: Ports) -> None:
        self._connection = connection
        self._node = node
        self._dirty = False
        self._reading = True
        self._session = Session(node.max_request_bytes, self._has_replies, node.requests.reply_size)
        self._longest = min(node.max_request_bytes, JOINING_BYTES)
        self.lines = b""
        """Requests that may be merged with those of other clients, and are not parsed yet."""
        node.clients.add(self)

    @property
    def busy(self) -> bool:
        """Whether the client waits for a reply, or an event has not left."""
        return not self._session.idle or self._session.has_events or self._connection.unsent > 0

    def received(self, data: bytes) -> None:
        """Take bytes of requests; no bytes mean that the client asks no more."""
        whole = len(data) <= self._longest and data[-1:] == b"\n"
        if whole and not self.lines and self._session.fresh and not self._connection.unsent:
            self.lines = data  # nothing else of this client is under way
            self._node.gathering.add(self)
            return
        self._take_lines()
        self._receive(data)

    def _take_lines(self) -> None:
        lines, self.lines = self.lines, b""
        if lines:
            self._receive(lines)

    def go_alone(self) -> None:
        """Process its lines alone: they are not merged with those of other clients after all."""
        try:
            self._take_lines()
        except Exception:
            give_up(self._connection)

    def reserve(self, merged: Slot) -> Slot:
        """Reserve one place in the session for its lines, which are part of `merged`."""
        lines, self.lines = self.lines, b""
        return self._session.reserve_share(merged, lines.count(b"\n"))

    def deliver(self, place: Slot, reply: Reply) -> None:
        """Put the reply into that place; it leaves in order."""
        session = self._session
        if self._reading and type(reply) is bytes and session.take_only(place):
            self._connection.send(reply)
        elif not session.abandoned:
            self._node.requests.answer(place, reply)

    def drained(self) -> None:
        """Note that the client has read its replies: the rest follows in turn with other clients."""
        self._has_replies()

    def broken(self) -> None:
        """Note that the client is gone. Its requests under way go on; the unparsed ones are dropped."""
        self.abandon()

    def abandon(self) -> None:
        """Drop every reference, so that the object is freed with its connection, without the garbage collector."""
        self._node.clients.discard(self)
        self._session.abandon()
        self.lines = b""

    def flush(self) -> bool:
        """Send a portion of the ready replies. Return whether that made room for requests that had waited."""
        try:
            return self._flush()
        except Exception:
            give_up(self._connection)
            return False

    def _flush(self) -> bool:
        self._dirty = False
        connection = self._connection
        # Unread replies fill the room; the rest follows once the client has read.
        room = PORTION_BYTES - connection.unsent
        session = self._session
        if room > 0 and (data := session.take_replies(room)):
            self._send(data, room)
        if session.subscriber is not None:
            room = EVENT_BYTES - connection.unsent
            if data := session.take_events(room):
                self._send(data, len(data) if session.has_events else room)
        # While the node reads from it, no request waits for room, and more may come.
        return not self._reading and self._take()

    def _send(self, data: bytes, room: int) -> None:
        connection = self._connection
        connection.send(data)
        self._node.reply_room -= len(data)
        if len(data) == room and not connection.unsent:
            self._has_replies()  # there may be more, and the client reads as fast as it gets replies

    def _receive(self, data: bytes) -> None:
        self._session.receive(data)
        self._take()

    def _take(self) -> bool:
        session = self._session
        requests = self._node.requests
        unsent = self._connection.unsent
        taken = False
        for slot in session.requests(unsent):
            requests.accept(slot)
            taken = True
        if session.wants_input(unsent):
            if not self._reading:
                self._reading = True
                self._connection.resume()
            return taken
        if self._reading:
            self._reading = False
            self._connection.pause()
        if session.done:
            self.abandon()
            self._connection.finish()
        return taken

    def _has_replies(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._node.dirty.append(self)
