"""One connection to a node over a blocking socket: dialled, asked whether the node is there, written to and read."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Final, TypeVar

from trioraft.addresses import Address
from trioraft.client import attempts
from trioraft.client.attempts import Nodes, Search
from trioraft.client.protocol import Protocol, Push, Reply, RequestFields
from trioraft.names import Unresolved, look_up, numeric

_READ_BYTES: Final = 256 * 1024
_SILENT: Final = "timed out"

T = TypeVar("T")
OnPush = Callable[[Push], object]


class Connection:
    """A connected socket and the conversation on it."""

    def __init__(self, connected: socket.socket, on_push: OnPush | None = None) -> None:
        """`on_push` is called with each line that the node sends without being asked; else such a line is an error."""
        self._socket = connected
        self._protocol = Protocol(on_push)
        self._heard = 0.0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def shut_down(self) -> None:
        """Fail what another thread does on this connection, which stays open."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def detach(self) -> socket.socket:
        """Hand out the socket, for another conversation: nothing is to come on this one."""
        return self._socket

    def line(self, request: RequestFields) -> bytes:
        """Encode a request as a line. Its reply is the next that is still to come. Raises Unsendable."""
        return self._protocol.send(request)

    def send(self, line: bytes, seconds: float) -> None:
        """Send a line; each part of it may take that long, as long as the node is there. Raises OSError."""
        rest = memoryview(line)
        while rest:
            sent = self._wait_for(lambda rest=rest: self._socket.send(rest), seconds)  # type: ignore[misc]
            rest = rest[sent:]

    def receive(self, seconds: float) -> list[Reply]:
        """The replies in what comes next, which may take that long, as long as the node is there.

        Raises OSError, and ValueError where no node talks like this.
        """
        return self._received(self._wait_for(lambda: self._socket.recv(_READ_BYTES), seconds))

    def ping(self, seconds: float) -> Reply:
        """The node's reply to a ping, whatever it says. Raises OSError where it is late, and ValueError as above."""
        deadline = time.monotonic() + seconds
        self._socket.settimeout(seconds)
        self._socket.sendall(self._protocol.send({"op": "ping"}))
        while True:
            if replies := self.hear(deadline - time.monotonic()):
                return replies[0]

    def hear(self, seconds: float) -> list[Reply]:
        """The replies in what comes within that time. Raises OSError where nothing comes, and ValueError as above."""
        self._socket.settimeout(max(attempts.SHORTEST_WAIT, seconds))
        return self._received(self._socket.recv(_READ_BYTES))

    def still_answers(self) -> bool:
        """Whether the node has neither closed the connection meanwhile nor fallen silent."""
        if self._is_at_its_end():
            return False
        if attempts.is_fresh(self._heard, time.monotonic()):
            return True
        try:
            self.ping(attempts.SILENCE_SECONDS)
        except (OSError, ValueError):
            return False
        return True

    def _received(self, data: bytes) -> list[Reply]:
        if not data:
            raise ConnectionError("it closed the connection")
        self._heard = time.monotonic()
        return self._protocol.receive(data)

    def _wait_for(self, act: Callable[[], T], seconds: float) -> T:
        """Send or receive, up to that long, as long as the node is there. Raises OSError."""
        deadline = time.monotonic() + seconds
        while True:
            wait, is_last = attempts.next_wait(deadline - time.monotonic())
            self._socket.settimeout(wait)
            try:
                return act()
            except TimeoutError:
                if is_last or not is_there(self._socket):
                    raise

    def _is_at_its_end(self) -> bool:
        """Whether the node has closed the connection: a write into it would have an unknown outcome for nothing."""
        self._socket.setblocking(False)
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True


def is_there(connected: socket.socket) -> bool:
    """Whether the node answers on another connection: on this one a slow reply holds up all that follow."""
    try:
        with socket.socket(connected.family, socket.SOCK_STREAM) as other:
            _greet(other, connected.getpeername(), attempts.SILENCE_SECONDS)
    except (OSError, ValueError):
        return False
    return True


def dial(address: Address, seconds: float, on_push: OnPush | None = None) -> Connection:
    """Connect to a node and have it answer; the addresses that its name resolves to share the time.

    Raises OSError, and ValueError where the name cannot be, or where no node answers.
    """
    deadline = time.monotonic() + seconds
    found = numeric(address) or look_up(address).wait(seconds)
    failure: OSError | ValueError = TimeoutError(_SILENT)
    for number, (family, kind, proto, _, place) in enumerate(found):
        seconds = attempts.share(deadline - time.monotonic(), len(found) - number)
        connected = socket.socket(family, kind, proto)
        try:
            connection, answer = _greet(connected, place, seconds, on_push)
            if not answer.ok:
                raise ConnectionError(answer.error.message)  # the node has no place for one more connection
        except (OSError, ValueError) as error:
            connected.close()
            failure = error
            continue
        except BaseException:  # Ctrl-C, or the end of the caller's time
            connected.close()
            raise
        return connection
    raise failure


def find_node(nodes: Nodes, timeout: float | None, on_push: OnPush | None = None) -> tuple[Address, Connection]:
    """Connect to the first node that answers, and begin with it the next time. Raises NoNode."""
    search = Search(nodes, timeout, time.monotonic())
    while look := search.next(time.monotonic()):
        address, seconds = look
        try:
            connection = dial(address, seconds, on_push)
        except (OSError, ValueError) as error:
            search.failed(address, why(error), silent=isinstance(error, TimeoutError))
            continue
        nodes.answered(address)
        return address, connection
    raise search.error()


def why(error: OSError | ValueError) -> str:
    """Why a node was not reached, or did not answer, without the number that the system has for it."""
    if isinstance(error, TimeoutError) and not isinstance(error, Unresolved):
        return _SILENT
    return str(getattr(error, "strerror", None) or error)


def _greet(
    unconnected: socket.socket, place: tuple[str, int], seconds: float, on_push: OnPush | None = None
) -> tuple[Connection, Reply]:
    """Connect and ping; each may take that long. Raises OSError, ValueError."""
    unconnected.settimeout(seconds)
    unconnected.connect(place)
    unconnected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = Connection(unconnected, on_push)
    return connection, connection.ping(seconds)
