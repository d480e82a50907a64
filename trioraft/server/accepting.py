"""Incoming connections: their first bytes tell whether a client or a peer has dialled."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from trioraft.server import clients, door, links
from trioraft.server.clients import ClientConnection
from trioraft.server.links import Incoming
from trioraft.server.transport import Connection

PEER_START: Final = b'{"peer"'
"""What the introduction of a peer begins with, and no request of a client."""
_TLS_HANDSHAKE: Final = 0x16

log = logging.getLogger("trioraft.clients")


class Ports(door.Host, clients.Ports, Protocol):
    """The parts of the node that incoming connections use."""

    @property
    def peers(self) -> links.Host:
        """The part of the node that accepts the connections of peers."""


class Recognizer:
    """The handler of a connection until its first bytes tell whose it is."""

    def __init__(self, connection: Connection, node: Ports) -> None:
        self._connection = connection
        self._node = node
        self._start = b""
        node.door.enter(connection)

    def received(self, data: bytes) -> None:
        """Take bytes of a client or peer that is not known yet."""
        start = self._start = self._start + data
        if start[:1] == bytes([_TLS_HANDSHAKE]):
            log.warning("%s speaks TLS, and this port does not: connect without it", self._connection.remote)
            self._node.door.leave(self._connection)
            self._connection.close()
        elif start.startswith(PEER_START):
            self._hand_to(Incoming(self._connection, self._node.peers), start)
        elif data and len(start) < len(PEER_START) and PEER_START.startswith(start):
            return  # it may still become a peer's introduction
        elif self._node.door.admits_client(self._connection):
            client = ClientConnection(self._connection, self._node)
            self._hand_to(client, start)
            if not data and start:
                client.received(b"")

    def drained(self) -> None:
        """Do nothing: nothing was sent."""

    def broken(self) -> None:
        """Forget the connection: it broke before it was known."""
        self._node.door.leave(self._connection)

    def _hand_to(self, handler: ClientConnection | Incoming, start: bytes) -> None:
        self._connection.handler = handler
        handler.received(start)
