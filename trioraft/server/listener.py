"""The task that accepts connections."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from trioraft.server.guards import give_up
from trioraft.server.transport import Connection, Listener

PAUSE_SECONDS: Final = 0.1

log = logging.getLogger("trioraft.node")


async def serve_listener(listener: Listener, accept: Callable[[Connection], None]) -> None:
    """Hand over each connection, for ever; wait where no file descriptors are left."""
    while True:
        try:
            await _take(listener, accept)
        except OSError as error:
            log.warning("no connection can be taken at the moment: %s", error.strerror)
            await trio.sleep(PAUSE_SECONDS)


async def _take(listener: Listener, accept: Callable[[Connection], None]) -> None:
    """Hand over the next connections, and keep no reference to them until others come."""
    for connection in await listener.accept():
        try:
            accept(connection)
        except Exception:
            give_up(connection)
