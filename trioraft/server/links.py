"""The connections between nodes: one outgoing to each peer, and the incoming ones.

Messages go one way on each, from the node that dialled to the one that accepted, so TCP keeps their order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from trioraft.raft.messages import NodeId
from trioraft.server.door import Door
from trioraft.server.transport import Connection
from trioraft.wire.codec import BadLine
from trioraft.wire.framing import LineBuffer, LineTooLong
from trioraft.wire.peers import PeerDecoder, PeerHello, PeerMessage, PeerRefused, decode_handshake, encode, encode_parts

MAX_INTRODUCTION: Final = 256 * 1024
"""The longest line kept for a connection that is not known yet; there may be thousands of these."""

LONG_BYTES: Final = 2 * 1024 * 1024
"""A longer message is sent in its parts: copying it into one would take longer."""

log = logging.getLogger("trioraft.links")


class Link:
    """The outgoing connection to one peer."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.queued = 0
        """How many bytes were put and not yet flushed."""
        self._queue: list[bytes] = []

    def put(self, message: PeerMessage) -> None:
        """Put a message, to be sent with the next flush."""
        parts = encode_parts(message)
        self.queued += sum(map(len, parts))
        self._queue += parts

    def flush(self) -> None:
        """Send the messages put so far, one at least, joined unless they are long."""
        queue = self._queue if self.queued > LONG_BYTES else [b"".join(self._queue)]
        self._queue = []
        self.queued = 0
        for data in queue:
            self.connection.send(data)


class Host(Protocol):
    """The parts of the node that an incoming connection uses."""

    @property
    def door(self) -> Door:
        """The door at which it waits until it has shown who it is."""

    def greet(self, incoming: Incoming, hello: PeerHello) -> PeerHello | PeerRefused:
        """Answer a peer's introduction; with a PeerHello it is accepted."""

    def hear(self, incoming: Incoming, message: PeerMessage) -> None:
        """Take a message of an accepted peer."""

    def lose(self, incoming: Incoming) -> None:
        """Note that an accepted peer's connection is gone."""


class Incoming:
    """The handler of a connection that a peer has dialled."""

    def __init__(self, connection: Connection, host: Host) -> None:
        self.peer: NodeId | None = None
        """The peer's id, once it is accepted."""
        self._connection = connection
        self._host = host
        self._start = b""
        """The bytes of its introduction so far."""
        self._decoder = PeerDecoder()

    def received(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if not data:
            self._connection.close()
            self.broken()
            return
        try:
            if self.peer is None:
                line, end, data = (self._start + data).partition(b"\n")
                if len(line) > MAX_INTRODUCTION:
                    raise BadLine(f"its introduction is longer than {MAX_INTRODUCTION} bytes")
                if not end:
                    self._start = line
                    return
                if not self._introduce(line):
                    return
            for message in self._decoder.feed(data):
                self._host.hear(self, message)
        except BadLine as error:
            who = self._connection.remote if self.peer is None else f"node {self.peer}"
            about = {"about": self.peer}
            log.warning("what %s sends makes no sense (%s): its connection is closed", who, error, extra=about)
            self._connection.close()
            self.broken()

    def drained(self) -> None:
        """Do nothing: only the answer to the handshake goes this way."""

    def broken(self) -> None:
        """The connection is gone."""
        if self.peer is None:
            self._host.door.leave(self._connection)
        else:
            self._host.lose(self)

    def close(self) -> None:
        """Close the connection without telling the host."""
        self._connection.close()

    def _introduce(self, line: bytes) -> bool:
        hello = decode_handshake(line)
        if not isinstance(hello, PeerHello):
            raise BadLine("a peer's first line is its introduction")
        answer = self._host.greet(self, hello)
        self._host.door.leave(self._connection)
        self._connection.send(encode(answer))
        if isinstance(answer, PeerRefused):
            self._connection.finish()
            return False
        self._connection.admit()
        self.peer = hello.sender
        self._start = b""
        return True


class Outgoing:
    """The handler of a connection that this node has dialled: one answer comes, and then the end."""

    def __init__(
        self,
        connection: Connection,
        on_answer: Callable[[PeerHello | PeerRefused], None],
        on_drained: Callable[[], None],
        on_broken: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._on_answer = on_answer
        self._on_drained = on_drained
        self._on_broken = on_broken
        self._buffer = LineBuffer(MAX_INTRODUCTION)

    def received(self, data: bytes) -> None:
        """Take the peer's answer to the handshake, or the end."""
        try:
            lines = self._buffer.feed(data)
            answers = [decode_handshake(line) for line in lines]
        except (BadLine, LineTooLong) as error:
            log.warning("%s is no trioraft node: %s", self._connection.remote, error)
            answers, data = [], b""
        for answer in answers:
            self._on_answer(answer)
        if not data:
            self._connection.close()
            self._on_broken()

    def drained(self) -> None:
        """Tell the host that there is room for more."""
        self._on_drained()

    def broken(self) -> None:
        """The connection is gone."""
        self._on_broken()
