"""The client over blocking sockets: finds a node that answers, and tries again what can safely be tried again."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any, Final

from trioraft.addresses import Address
from trioraft.client.errors import BadRequest, NoNode, Refused, Unknown
from trioraft.client.protocol import Protocol, Reply, RequestFields, Unsendable

CONNECT_SECONDS: Final = 1.0
REPLY_SECONDS: Final = 15.0
"""Longer than a node takes to answer that it cannot."""
RETRY_SECONDS: Final = 3.0
"""For how long what was refused for the moment is tried on the other nodes."""
WRITES: Final = frozenset(
    ("put", "delete", "incr", "add_member", "remove_member", "promote_member", "transfer_leadership")
)
MOMENTARY: Final = frozenset(("shutting_down", "leader_changed", "not_leader", "no_quorum"))
"""Refusals that another node, or the same a moment later, may not repeat."""


class Client:
    """A connection to whichever of the nodes answers. Not for several threads at once."""

    def __init__(self, addresses: Sequence[Address], timeout: float = REPLY_SECONDS) -> None:
        """Nothing is connected yet; `timeout` is how many seconds a reply may take."""
        self._addresses = list(addresses)
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._protocol = Protocol()
        self.address: Address | None = None
        """The node connected to."""

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self.address = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, op: str, **fields: Any) -> Reply:
        """Ask, and give the reply to it. Raises BadRequest, Refused, NoNode, or, for a write that was sent, Unknown.

        Fields that are None are left out. A read is asked again of another node when a connection fails, and a
        write only where it is certain that it was not applied.
        """
        request = {"op": op, **{name: value for name, value in fields.items() if value is not None}}
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                reply = self._ask_somebody(request)
            except (OSError, ValueError) as error:
                failed = self.address
                self.close()
                if op in WRITES:
                    raise Unknown(
                        f"{failed} did not answer ({error or 'timed out'}): the write may have been applied",
                        "read the key before you write it again",
                    ) from None
                self._move_on(failed)
                if time.monotonic() > deadline:
                    raise NoNode(f"{failed} did not answer: {error or 'timed out'}", _WHERE_HINT) from None
                continue
            if reply.ok:
                return reply
            refused = Refused(reply)
            again = refused.code in MOMENTARY and (op not in WRITES or refused.applied == "no")
            if not again or len(self._addresses) == 1 or time.monotonic() > deadline or fields.get("forward") is False:
                raise refused
            failed = self.address
            self.close()
            self._move_on(failed)

    def pipeline(self, requests: Sequence[RequestFields]) -> list[Reply]:
        """Ask all at once on one connection; the replies in order, failed ones among them.

        Raises BadRequest and NoNode where nothing was sent, and Unknown where the connection was lost on the way.
        """
        connection = self._connect()
        replies: list[Reply] = []
        try:
            lines = [self._line(request) for request in requests]
            sent = 0
            while len(replies) < len(requests):
                # No more on its way than a node takes without reading replies' reader: both sides may block else.
                while sent < len(lines) and sent - len(replies) < 256:
                    connection.sendall(lines[sent])
                    sent += 1
                replies.extend(self._receive(connection))
        except (OSError, ValueError) as error:
            failed = self.address
            self.close()
            raise Unknown(
                f"{failed} was lost after {len(replies)} of {len(requests)} replies: {error or 'timed out'}",
                "read before you write again",
            ) from None
        return replies

    def _ask_somebody(self, request: RequestFields) -> Reply:
        connection = self._connect()
        connection.sendall(self._line(request))
        while True:
            if replies := self._receive(connection):
                return replies[0]

    def _line(self, request: RequestFields) -> bytes:
        try:
            return self._protocol.send(request)
        except Unsendable as error:
            self.close()  # of a pipeline, requests before it may have their numbers already
            raise BadRequest(str(error), "nothing was sent") from None

    def _receive(self, connection: socket.socket) -> list[Reply]:
        data = connection.recv(256 * 1024)
        if not data:
            raise ConnectionError("it closed the connection")
        return self._protocol.receive(data)

    def _connect(self) -> socket.socket:
        """The connection; a new one where there is none, or where the other end has closed it meanwhile."""
        if self._socket is not None and _closed_by_other_end(self._socket):
            self.close()
        if self._socket is not None:
            return self._socket
        failures = []
        for address in self._addresses:
            try:
                self._socket = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
            except (OSError, ValueError) as error:  # of a name that cannot be, the resolver's codec says so
                failures.append(f"{address}: {getattr(error, 'strerror', None) or error}")
                continue
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(self._timeout)
            self._protocol = Protocol()
            self.address = address
            return self._socket
        raise NoNode(f"no node can be reached ({'; '.join(failures)})", _WHERE_HINT)

    def _move_on(self, failed: Address | None) -> None:
        """Begin with another node the next time."""
        if failed is not None:
            self._addresses.remove(failed)
            self._addresses.append(failed)


_WHERE_HINT: Final = "start the nodes, or say where they are with --servers FILE or --connect HOST:PORT"


def _closed_by_other_end(connection: socket.socket) -> bool:
    """Whether an idle connection is at its end; to write into it would leave the outcome unknown for nothing."""
    timeout = connection.gettimeout()
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(timeout)
