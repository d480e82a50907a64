"""The client over blocking sockets: it finds a node, sends a request, and sleeps, as `attempts` decides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from trioraft.addresses import Address
from trioraft.client.attempts import (
    LONG_REPLY_SECONDS,
    Attempts,
    Nodes,
    changes,
    pipeline_lost,
    reply_seconds,
    timeout_ms,
)
from trioraft.client.connection import Connection, OnPush, find_node, why
from trioraft.client.errors import BadRequest, NoNode
from trioraft.client.protocol import Reply, RequestFields, Unsendable

_PIPELINED: Final = 256
"""How many requests of a pipeline may lack their replies: with more, both sides could wait for the other to read."""


class Client:
    """A client of one cluster, connected to whichever node answers. One thread uses it at a time, `abandon` apart."""

    def __init__(
        self, addresses: Sequence[Address], timeout: float | None = None, on_push: OnPush | None = None
    ) -> None:
        """Nothing is connected yet.

        `timeout` is how many seconds it may take to find a node, and how many a reply may take. Without one it is long
        enough for every operation; a node that does not answer at all is given up within two seconds anyway.
        `on_push` is called with each line that a node sends without being asked. Without one such a line is taken for
        the failure of the connection, and never for a reply.
        """
        self._nodes = Nodes(addresses)
        self._timeout = timeout
        self._on_push = on_push
        self._connection: Connection | None = None
        self._abandoned = False
        self.ends: float | None = None
        """When nodes are told to have answered each call, on the monotonic clock; None: in their own time."""
        self.tries_until: float | None = None
        """Up to when a call is tried again where no node can be reached, or it cannot be done for the moment.

        On the monotonic clock; None: for RETRY_SECONDS, and only where another node may do it.
        """
        self.has_changed = False
        """Whether a call may have changed something: it was sent, and nobody has told that it was not applied."""
        self.address: Address | None = None
        """The node connected to."""

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self.address = None

    def abandon(self) -> None:
        """Make the call that another thread is in fail. The client cannot be used after that."""
        self._abandoned = True
        connection = self._connection
        if connection is not None:
            connection.shut_down()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, /, op: str, **fields: Any) -> Reply:
        """Send a request and return its reply.

        Raises BadRequest, Refused, NoNode, and, for a write that was sent, Unknown.

        Fields that are None are left out. A read is asked again of another node when a connection fails or the node
        falls silent, and a write only where it is certain that it was not applied.
        """
        request = {"op": op, **{name: value for name, value in fields.items() if value is not None}}
        now = time.monotonic()
        seconds = None if self.tries_until is None else max(0.0, self.tries_until - now)
        attempts = Attempts(request, len(self._nodes), now, seconds, persists=seconds is not None)
        had_changed = self.has_changed
        while True:
            try:
                reply = self._ask_somebody(request)
            except NoNode as error:
                pause = attempts.unreachable(error, time.monotonic())
            except (OSError, ValueError) as error:
                pause = attempts.lost(self._leave(), why(error), time.monotonic())
            else:
                if reply.ok:
                    return reply
                pause = self._refused(attempts, reply, had_changed=had_changed)
                self._leave()
            time.sleep(pause)

    def pipeline(self, requests: Sequence[RequestFields]) -> list[Reply]:
        """Send all requests at once on one connection, and return the replies in order, errors among them.

        Raises BadRequest and NoNode where nothing was sent, and Unknown where the connection was lost on the way.
        """
        connection = self._connect()
        lines = [self._line(connection, request) for request in requests]
        seconds = self._timeout or LONG_REPLY_SECONDS
        replies: list[Reply] = []
        try:
            sent = 0
            while len(replies) < len(requests):
                while sent < len(lines) and sent - len(replies) < _PIPELINED:
                    connection.send(lines[sent], seconds)
                    sent += 1
                replies.extend(connection.receive(self._timeout or LONG_REPLY_SECONDS))
        except (OSError, ValueError) as error:
            raise pipeline_lost(self._leave(), why(error), len(replies), len(requests)) from None
        return replies

    def _refused(self, attempts: Attempts, reply: Reply, *, had_changed: bool) -> float:
        """The seconds to pause after a refusal. Raises Refused, Unknown."""
        was_uncertain = attempts.is_uncertain
        try:
            return attempts.refused(reply, time.monotonic())
        finally:
            if reply.error.applied != "unknown" and not was_uncertain:
                self.has_changed = had_changed

    def _ask_somebody(self, request: RequestFields) -> Reply:
        connection = self._connect()
        seconds = reply_seconds(request["op"], self._timeout)
        if self.ends is not None:
            left = self.ends - time.monotonic()
            request = {**request, "timeout_ms": timeout_ms(left)}
        line = self._line(connection, request)
        self.has_changed = self.has_changed or changes(request["op"])
        connection.send(line, seconds)
        while True:
            if replies := connection.receive(seconds):
                return replies[0]

    def _line(self, connection: Connection, request: RequestFields) -> bytes:
        try:
            return connection.line(request)
        except Unsendable as error:
            self.close()  # earlier requests of a pipeline may have their numbers already
            raise BadRequest(str(error), "nothing was sent") from None

    def _connect(self) -> Connection:
        """The connection to a node that has just shown that it is there. Raises NoNode.

        A write that is sent to a node which does not answer has an outcome that nobody can tell. So the node is asked
        first, unless it has answered a moment ago.
        """
        if self._connection is not None and not self._connection.still_answers():
            self._leave()
        if self._connection is None:
            self.address, self._connection = find_node(self._nodes, self._timeout, self._on_push)
        if self._abandoned:
            raise NoNode("the call was given up", "")
        return self._connection

    def _leave(self) -> Address | None:
        """Close the connection, and begin with another node the next time; the node that it was to."""
        failed = self.address
        self.close()
        self._nodes.failed(failed)
        return failed
