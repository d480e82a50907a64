"""Connections as they come in: who is it, and, for a client, its session on its connection."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from trioraft.server import links
from trioraft.server.links import Incoming
from trioraft.server.requests import Requests
from trioraft.server.session import MAX_UNANSWERED_BYTES, Session
from trioraft.server.transport import Connection

_PEER_START: Final = b'{"peer"'
_TLS_HANDSHAKE: Final = 0x16

log = logging.getLogger("trioraft.clients")


class Host(links.Host, Protocol):
    """What a client needs of its node."""

    requests: Requests
    max_request_bytes: int
    clients: set[Client]
    dirty: list[Client]


class Recognizer:
    """Reads the first bytes of a connection, and hands it to the handler that it is for."""

    def __init__(self, connection: Connection, host: Host) -> None:
        self._connection = connection
        self._host = host
        self._start = b""

    def received(self, data: bytes) -> None:
        """Bytes, as yet of somebody unknown."""
        start = self._start = self._start + data
        if start[:1] == bytes([_TLS_HANDSHAKE]):
            log.warning("%s speaks TLS, and this port does not: connect without it", self._connection.remote)
            self._connection.close()
        elif start.startswith(_PEER_START):
            self._hand_to(Incoming(self._connection, self._host), start)
        elif data and len(start) < len(_PEER_START) and _PEER_START.startswith(start):
            return  # it may yet become a peer's introduction
        else:
            client = Client(self._connection, self._host)
            self._hand_to(client, start)
            if not data and start:
                client.received(b"")

    def drained(self) -> None:
        """Nothing was sent."""

    def broken(self) -> None:
        """Nobody came to be known."""

    def _hand_to(self, handler: Client | Incoming, start: bytes) -> None:
        self._connection.handler = handler
        handler.received(start)


class Client:
    """One client: its session on its connection."""

    def __init__(self, connection: Connection, host: Host) -> None:
        self._connection = connection
        self._host = host
        self._dirty = False
        self._reading = True
        self._session = Session(host.max_request_bytes, self._settled, host.requests.reply_size)
        host.clients.add(self)

    @property
    def busy(self) -> bool:
        """Whether it is owed a reply."""
        return not self._session.idle or self._connection.unsent > 0

    def received(self, data: bytes) -> None:
        """Bytes of requests; none at all when the client has asked its last."""
        self._session.receive(data)
        self._take()

    def drained(self) -> None:
        """The client has read its replies."""
        self.flush()

    def broken(self) -> None:
        """The client is gone; what it asked takes its course."""
        self._host.clients.discard(self)

    def flush(self) -> bool:
        """Send the replies that are ready; True if that made room for requests that had waited."""
        self._dirty = False
        connection = self._connection
        # What the client has not read yet fills the room; the rest follows when it has.
        room = MAX_UNANSWERED_BYTES - connection.unsent
        while room > 0 and (data := self._session.take_replies(room)):
            connection.send(data)
            if len(data) < room:
                break  # these were all
            room = MAX_UNANSWERED_BYTES - connection.unsent
        # While it is read from, there is nothing that waits for room, and more to come.
        return not self._reading and self._take()

    def _take(self) -> bool:
        session = self._session
        requests = self._host.requests
        unsent = self._connection.unsent
        taken = False
        for slot in session.requests(unsent):
            requests.take(slot)
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
            self._host.clients.discard(self)
            self._connection.finish()
        return taken

    def _settled(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._host.dirty.append(self)
