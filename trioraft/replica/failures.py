"""What becomes of an exception that nobody foresaw while something from outside was handled.

What belongs to one connection, or only looks, may fail: nothing of the node's own can be half-changed by it. Then a
request is answered `internal`, or the connection is closed, and the node goes on. What changes the node's own state
(the core, the requests under way, its peers) is marked with `decides`: where that fails, the node stops.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from trioraft.wire import replies
from trioraft.wire.parsing import RequestError, id_of

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("trioraft.node")


class HalfDone(BaseException):
    """The node's own state may be half-changed, and it must stop; why, its `__cause__` says.

    It is no Exception, so that nothing that guards a connection, or a reply, takes it for its own.
    """


def decides(function: Callable[P, R]) -> Callable[P, R]:
    """Mark what changes the node's own state and is called where a failure else ends no more than a connection."""

    @functools.wraps(function)
    def deciding(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise HalfDone from error

    return deciding


def internal_reply(id: bytes, applied: str | None, error: Exception) -> bytes:
    """Log the exception, and make the reply to the request that it comes from."""
    log.error("a request could not be carried out, which is a bug; the node goes on", exc_info=error)
    message = "the node could not carry out this request, which is a bug of its own"
    return replies.error_reply(id, "internal", message, "see the node's log, and report it", applied)


def unread_reply(line: bytes, error: Exception) -> bytes:
    """The reply to a line that could not be read, foreseen or not; nothing has been done with it."""
    if isinstance(error, RequestError):
        return replies.error_reply(error.id, error.code, error.message, error.hint, error.applied)
    id = b""
    with contextlib.suppress(Exception):  # what has failed once may fail again
        id = id_of(line)
    return internal_reply(id, "no", error)
