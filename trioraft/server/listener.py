"""Takes connections as they come in."""

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
    """Hand over each connection, for ever; where there are no file descriptors left, wait for some."""
    while True:
        try:
            await _take(listener, accept)
        except OSError as error:
            log.warning("no connection can be taken at the moment: %s", error.strerror)
            await trio.sleep(PAUSE_SECONDS)


async def _take(listener: Listener, accept: Callable[[Connection], None]) -> None:
    """Hand over those that come next; nothing of them is kept here until others come."""
    for connection in await listener.accept():
        try:
            accept(connection)
        except Exception:
            give_up(connection)
