"""The client over blocking sockets: finds a node that answers, and tries again what can safely be tried again."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from trioraft.addresses import Address
from trioraft.client.errors import BadRequest, NoNode, Refused, Unknown
from trioraft.client.protocol import Protocol, Reply, RequestFields, Unsendable
from trioraft.names import Unresolved, look_up, numeric

FIRST_LOOK_SECONDS: Final = 0.4
"""How long a node gets to be connected to and to answer a ping while others have not been tried."""
SECOND_LOOK_SECONDS: Final = 2.0
"""How long it gets once none has answered at the first look."""
CONNECT_SECONDS: Final = 5.0
"""How long it may take to find a node that answers, however many there are."""
SILENCE_SECONDS: Final = 0.9
"""After so long without a byte of a reply the node is asked whether it is there; it gets as long for that."""
FRESH_SECONDS: Final = 0.5
"""An answer this recent shows that the node is there; after an older one it is asked first."""
REPLY_SECONDS: Final = 15.0
"""Longer than a node takes to answer that it cannot."""
LONG_REPLY_SECONDS: Final = 600.0
"""What those operations may take that end when they are done, for as long as the node is there."""
RETRY_SECONDS: Final = 3.0
"""For how long what was refused for the moment is tried on the other nodes."""
WRITES: Final = frozenset(
    ("put", "delete", "incr", "add_member", "remove_member", "promote_member", "transfer_leadership")
)
LONG: Final = frozenset(
    (
        *("snapshot", "read_snapshot", "scan", "show_log"),
        *("add_member", "remove_member", "promote_member", "transfer_leadership"),
    )
)
"""Operations that take as long as the data is large, or as other nodes are slow."""
MOMENTARY: Final = frozenset(("shutting_down", "leader_changed", "not_leader", "no_quorum"))
"""Refusals that another node, or the same a moment later, may not repeat."""


T = TypeVar("T")


class Client:
    """A connection to whichever of the nodes answers. Not for several threads at once, but for `abandon`."""

    def __init__(self, addresses: Sequence[Address], timeout: float | None = None) -> None:
        """Nothing is connected yet.

        `timeout` is how many seconds it may take to find a node, and how many a reply may take. Without one it is long
        enough for every operation; a node that does not answer at all is given up within two seconds anyway.
        """
        self._addresses = list(addresses)
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._protocol = Protocol()
        self._heard = 0.0
        self._abandoned = False
        self.address: Address | None = None
        """The node connected to."""

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self.address = None

    def abandon(self) -> None:
        """Shut the connection down under a call of another thread, which fails then; this client is used no more."""
        self._abandoned = True
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, op: str, **fields: Any) -> Reply:
        """Ask, and give the reply to it. Raises BadRequest, Refused, NoNode, or, for a write that was sent, Unknown.

        Fields that are None are left out. A read is asked again of another node when a connection fails or the node
        falls silent, and a write only where it is certain that it was not applied.
        """
        request = {"op": op, **{name: value for name, value in fields.items() if value is not None}}
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                reply = self._ask_somebody(request)
            except NoNode as error:
                error.applied = "no" if op in WRITES else None
                raise
            except (OSError, ValueError) as error:
                failed = self.address
                self.close()
                self._move_on(failed)
                if op in WRITES:
                    raise Unknown(
                        f"{failed} did not answer ({_why(error)}): the write may have been applied",
                        "read the key before you write it again",
                    ) from None
                if time.monotonic() > deadline:
                    raise NoNode(f"{failed} did not answer: {_why(error)}", _WHERE_HINT) from None
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
        patience = self._timeout or LONG_REPLY_SECONDS
        replies: list[Reply] = []
        try:
            lines = [self._line(request) for request in requests]
            sent = 0
            while len(replies) < len(requests):
                # No more on its way than a node takes without reading replies' reader: both sides may block else.
                while sent < len(lines) and sent - len(replies) < 256:
                    self._send(connection, lines[sent], patience)
                    sent += 1
                replies.extend(self._receive(connection, patience))
        except (OSError, ValueError) as error:
            failed = self.address
            self.close()
            self._move_on(failed)
            raise Unknown(
                f"{failed} was lost after {len(replies)} of {len(requests)} replies: {_why(error)}",
                "read before you write again",
            ) from None
        return replies

    def _ask_somebody(self, request: RequestFields) -> Reply:
        connection = self._connect()
        patience = self._timeout or (LONG_REPLY_SECONDS if request["op"] in LONG else REPLY_SECONDS)
        self._send(connection, self._line(request), patience)
        while True:
            if replies := self._receive(connection, patience):
                return replies[0]

    def _line(self, request: RequestFields) -> bytes:
        try:
            return self._protocol.send(request)
        except Unsendable as error:
            self.close()  # of a pipeline, requests before it may have their numbers already
            raise BadRequest(str(error), "nothing was sent") from None

    def _send(self, connection: socket.socket, line: bytes, patience: float) -> None:
        rest = memoryview(line)
        while rest:
            sent = self._wait_for(connection, lambda rest=rest: connection.send(rest), patience)  # type: ignore[misc]
            rest = rest[sent:]

    def _receive(self, connection: socket.socket, patience: float) -> list[Reply]:
        data = self._wait_for(connection, lambda: connection.recv(256 * 1024), patience)
        if not data:
            raise ConnectionError("it closed the connection")
        self._heard = time.monotonic()
        return self._protocol.receive(data)

    def _wait_for(self, connection: socket.socket, act: Callable[[], T], patience: float) -> T:
        """Send or receive, up to `patience` seconds, for as long as the node is there. Raises OSError."""
        deadline = time.monotonic() + patience
        while True:
            left = deadline - time.monotonic()
            connection.settimeout(max(0.001, min(SILENCE_SECONDS, left)))
            try:
                return act()
            except TimeoutError:
                if left <= SILENCE_SECONDS or not self._is_there(connection):
                    raise

    def _is_there(self, connection: socket.socket) -> bool:
        """Whether the node answers on another connection: this one's replies have an order, and one takes its time."""
        try:
            place = connection.getpeername()
            with socket.socket(connection.family, socket.SOCK_STREAM) as other:
                other.settimeout(SILENCE_SECONDS)
                other.connect(place)
                _ping(other, Protocol(), time.monotonic() + SILENCE_SECONDS)
        except (OSError, ValueError):
            return False
        return True

    def _connect(self) -> socket.socket:
        """The connection to a node that has just shown that it is there. Raises NoNode.

        A write that is sent to a node which does not answer has an outcome that nobody can tell; so it is asked first,
        unless it has answered a moment ago.
        """
        if self._socket is not None and not self._still_answers(self._socket):
            failed = self.address
            self.close()
            self._move_on(failed)
        if self._socket is None:
            self._find_node()
        if self._socket is None or self._abandoned:
            raise NoNode("the call was given up", "")
        return self._socket

    def _find_node(self) -> None:
        """Connect to the first that answers: each has a short moment, then a longer one. Raises NoNode."""
        limit = CONNECT_SECONDS if self._timeout is None else min(self._timeout, CONNECT_SECONDS)
        deadline = time.monotonic() + limit
        failures: dict[Address, str] = {}
        refused: set[Address] = set()
        first = min(FIRST_LOOK_SECONDS, limit / len(self._addresses)) if len(self._addresses) > 1 else 0.0
        for patience in (first, SECOND_LOOK_SECONDS):
            for address in list(self._addresses):
                seconds = min(patience, deadline - time.monotonic())
                if seconds <= 0 or address in refused:
                    continue
                try:
                    self._socket = self._dial(address, seconds)
                except (OSError, ValueError) as error:  # of a name that cannot be, the resolver's codec says so
                    failures[address] = _why(error)
                    if not isinstance(error, TimeoutError):
                        refused.add(address)
                    continue
                self.address = address
                while self._addresses[0] != address:
                    self._move_on(self._addresses[0])
                return
        told = "; ".join(f"{address}: {failures.get(address, 'not tried')}" for address in self._addresses)
        raise NoNode(f"no node can be reached ({told})", _WHERE_HINT)

    def _dial(self, address: Address, seconds: float) -> socket.socket:
        """A connection that has answered; the addresses of a name share what resolving it leaves of the time.

        Raises OSError, ValueError.
        """
        deadline = time.monotonic() + seconds
        found = numeric(address) or look_up(address).wait(seconds)
        failure: OSError | ValueError = TimeoutError(_SILENT)
        for number, (family, kind, proto, _, place) in enumerate(found):
            share = (deadline - time.monotonic()) / (len(found) - number)
            connection = socket.socket(family, kind, proto)
            try:
                connection.settimeout(max(0.001, share))
                connection.connect(place)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                protocol = Protocol()
                answer = _ping(connection, protocol, time.monotonic() + max(0.001, share))
                if not answer.ok:
                    raise ConnectionError(answer.error.message)  # it has no place for one more
            except (OSError, ValueError) as error:
                connection.close()
                failure = error
                continue
            self._protocol = protocol
            self._heard = time.monotonic()
            return connection
        raise failure

    def _still_answers(self, connection: socket.socket) -> bool:
        """Whether the other end has neither closed the connection meanwhile nor fallen silent."""
        if _closed_by_other_end(connection):
            return False
        if time.monotonic() - self._heard < FRESH_SECONDS:
            return True
        try:
            _ping(connection, self._protocol, time.monotonic() + SILENCE_SECONDS)
        except (OSError, ValueError):
            return False
        self._heard = time.monotonic()
        return True

    def _move_on(self, failed: Address | None) -> None:
        """Begin with another node the next time."""
        if failed is not None and failed in self._addresses:
            self._addresses.remove(failed)
            self._addresses.append(failed)


_WHERE_HINT: Final = "start the nodes, or say where they are with --servers FILE or --connect HOST:PORT"
_SILENT: Final = "timed out"


def _why(error: OSError | ValueError) -> str:
    """Why a node was not reached, or did not answer, without the number that the system has for it."""
    if isinstance(error, TimeoutError) and not isinstance(error, Unresolved):
        return _SILENT
    return str(getattr(error, "strerror", None) or error)


def _ping(connection: socket.socket, protocol: Protocol, deadline: float) -> Reply:
    """Have the node answer, whatever it says. Raises OSError where it is late, and ValueError where it is none."""
    connection.sendall(protocol.send({"op": "ping"}))
    while True:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        data = connection.recv(4096)
        if not data:
            raise ConnectionError("it closed the connection")
        if replies := protocol.receive(data):
            return replies[0]


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
