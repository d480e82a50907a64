"""Who has come in and is not known yet: where places run short, they are kept for peers.

What an incoming connection is, its first bytes tell. When clients have all the places that there are for them, more
connections are taken into a small reserve all the same. A peer among them gets its place. A client is told that there
is none, and who says nothing is not waited for.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

import trio

from trioraft.server.transport import Connection, Hub
from trioraft.wire.replies import error_reply

SILENT_SECONDS: Final = 10.0
"""How long a connection that has a place may say nothing before another may have that place."""
RESERVE_SECONDS: Final = 0.2
"""How long one in the reserve may say nothing: a peer introduces itself as soon as it is connected."""

OVERLOADED: Final = error_reply(
    b"",
    "overloaded",
    "as many are connected to this node as its limit of open files has room for",
    "ask another node, or start this one with a higher limit (ulimit -n)",
    "no",
)

log = logging.getLogger("trioraft.node")


class Host(Protocol):
    """What a connection that is not known yet needs of its node."""

    door: Door


class Door:
    """The connections that have come in and have not shown yet whether they are a client or a peer."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._unknown: dict[Connection, float] = {}
        """Until when each may stay unknown where places run short."""

    def enter(self, connection: Connection) -> None:
        """Somebody comes in."""
        self._unknown[connection] = trio.current_time() + (RESERVE_SECONDS if self._hub.full else SILENT_SECONDS)

    def leave(self, connection: Connection) -> None:
        """Who it is has come out, or it is gone."""
        self._unknown.pop(connection, None)

    def admits_client(self, connection: Connection) -> bool:
        """Whether there is a place for this one, which is a client; else it is told so, and closed."""
        self.leave(connection)
        self.expire(trio.current_time())
        if not self._hub.full:
            return True
        _complain()
        connection.send(OVERLOADED)
        connection.finish()
        return False

    def expire(self, now: float) -> None:
        """Where places run short, close those who have been silent for too long."""
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
        """Forget them."""
        self._unknown.clear()


def _complain() -> None:
    log.warning(
        "no more clients are taken at the moment, for as many are connected as the limit of open files has "
        "room for: start the node with a higher one (ulimit -n)"
    )
