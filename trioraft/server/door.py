"""Incoming connections that are not known yet: where places run short, they are kept for peers.

The first bytes of an incoming connection tell what it is. When clients have all their places, a small reserve still
takes more connections. A peer among them gets a place. A client is told that there is none, and a connection that stays
silent is closed.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

import trio

from trioraft.server.transport import Connection, Hub
from trioraft.wire.replies import error_reply

SILENT_SECONDS: Final = 10.0
"""How long a connection with a place may be silent before another one may get that place."""
RESERVE_SECONDS: Final = 0.2
"""How long a connection in the reserve may be silent: a peer introduces itself as soon as it is connected."""

OVERLOADED: Final = error_reply(
    b"",
    "overloaded",
    "as many are connected to this node as its limit of open files has room for",
    "ask another node, or start this one with a higher limit (ulimit -n)",
    "no",
)

log = logging.getLogger("trioraft.node")


class Host(Protocol):
    """The parts of the node that a connection uses before it is known."""

    door: Door


class Door:
    """The incoming connections that have not shown yet whether they are a client or a peer."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._unknown: dict[Connection, float] = {}
        """For each connection, until when it may stay unknown where places run short."""

    def enter(self, connection: Connection) -> None:
        """Add an incoming connection."""
        self._unknown[connection] = trio.current_time() + (RESERVE_SECONDS if self._hub.full else SILENT_SECONDS)

    def leave(self, connection: Connection) -> None:
        """Remove a connection that is known now, or gone."""
        self._unknown.pop(connection, None)

    def admits_client(self, connection: Connection) -> bool:
        """Return whether there is a place for this client; if not, tell it so, and close it."""
        self.leave(connection)
        self.expire(trio.current_time())
        if not self._hub.full:
            return True
        _complain()
        connection.send(OVERLOADED)
        connection.finish()
        return False

    def expire(self, now: float) -> None:
        """If places run short, close the connections that have been silent for too long."""
        if not self._hub.full:
            return
        for connection in [connection for connection, until in self._unknown.items() if until <= now]:
            if not self._hub.full:
                return
            _complain()
            self.leave(connection)
            connection.send(OVERLOADED)
            connection.close()

    def close(self) -> None:
        """Forget all connections."""
        self._unknown.clear()


def _complain() -> None:
    log.warning(
        "no more clients are taken at the moment, for as many are connected as the limit of open files has "
        "room for: start the node with a higher one (ulimit -n)"
    )
