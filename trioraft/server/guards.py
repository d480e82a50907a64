"""The guard that lets an unforeseen exception end one connection, and no more."""

from __future__ import annotations

import logging

from trioraft.server.transport import Connection

log = logging.getLogger("trioraft.node")


def give_up(connection: Connection) -> None:
    """Log the exception at hand, and close the connection whose handler it comes from."""
    log.exception(
        "what %s sent could not be handled, which is a bug: its connection is closed, and the node goes on",
        connection.remote,
    )
    handler = connection.handler
    connection.close()
    handler.broken()


def leaves(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors of a group, however deep it nests."""
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
