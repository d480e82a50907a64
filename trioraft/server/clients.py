"""Connections as they come in: who is it, and, for a client, its session on its connection."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from trioraft.replica.failures import decides
from trioraft.replica.requests import Requests
from trioraft.replica.session import Session, read_alike
from trioraft.replica.slots import ReadSlot, Slot, WriteSlot
from trioraft.server import door, links
from trioraft.server.guards import give_up
from trioraft.server.links import Incoming
from trioraft.server.transport import Connection
from trioraft.wire.operations import AnyRequest, Operation
from trioraft.wire.replies import Piece, Reply

_PEER_START: Final = b'{"peer"'
_TLS_HANDSHAKE: Final = 0x16
FEW: Final = 4
"""The requests of fewer clients than so many are looked at one by one."""
MANY: Final = 64
"""So many are taken together at most."""
JOINING_BYTES: Final = 8 * 1024
"""Who asks more at once than that is looked at by itself."""
JOINT_REPLY_BYTES: Final = 64 * 1024
"""Gets of more than so much are."""
PORTION_BYTES: Final = 256 * 1024
"""So much of its replies a client is given at most before it is others' turn."""

log = logging.getLogger("trioraft.clients")


class Host(door.Host, Protocol):
    """What a client needs of its node."""

    @property
    def peers(self) -> links.Host:
        """Who takes a connection that turns out to be a peer's."""

    requests: Requests
    max_request_bytes: int
    clients: set[Client]
    dirty: deque[Client | Crowd]
    reply_room: int
    joining: list[Client]


class Recognizer:
    """Reads the first bytes of a connection, and hands it to the handler that it is for."""

    def __init__(self, connection: Connection, host: Host) -> None:
        self._connection = connection
        self._host = host
        self._start = b""
        host.door.enter(connection)

    def received(self, data: bytes) -> None:
        """Bytes, as yet of somebody unknown."""
        start = self._start = self._start + data
        if start[:1] == bytes([_TLS_HANDSHAKE]):
            log.warning("%s speaks TLS, and this port does not: connect without it", self._connection.remote)
            self._host.door.leave(self._connection)
            self._connection.close()
        elif start.startswith(_PEER_START):
            self._hand_to(Incoming(self._connection, self._host.peers), start)
        elif data and len(start) < len(_PEER_START) and _PEER_START.startswith(start):
            return  # it may yet become a peer's introduction
        elif self._host.door.admits_client(self._connection):
            client = Client(self._connection, self._host)
            self._hand_to(client, start)
            if not data and start:
                client.received(b"")

    def drained(self) -> None:
        """Nothing was sent."""

    def broken(self) -> None:
        """Nobody came to be known."""
        self._host.door.leave(self._connection)

    def _hand_to(self, handler: Client | Incoming, start: bytes) -> None:
        self._connection.handler = handler
        handler.received(start)


class Client:
    """One client: its session on its connection."""

    def __init__(self, connection: Connection, host: Host) -> None:
        self._connection = connection
        self._host = host
        self._dirty = False
        self._reading = True
        self._session = Session(host.max_request_bytes, self._settled, host.requests.reply_size)
        self._longest = min(host.max_request_bytes, JOINING_BYTES)
        self.lines = b""
        """Requests that those of others may come together with, and that have not been looked at yet."""
        self._asked: Slot | None = None
        """What a crowd asks for it, with that of others."""
        self._place: Slot | None = None
        """Where its reply goes, if more has come since."""
        host.clients.add(self)

    @property
    def busy(self) -> bool:
        """Whether it is owed a reply."""
        return self._asked is not None or not self._session.idle or self._connection.unsent > 0

    def received(self, data: bytes) -> None:
        """Bytes of requests; none at all when the client has asked its last."""
        if self._may_join(data):
            self.lines = data
            self._host.joining.append(self)
            return
        if self._asked is not None and self._place is None:
            self._place = self._session.queue_behind(self._asked)
        self._take_lines()
        self._receive(data)

    def _take_lines(self) -> None:
        lines, self.lines = self.lines, b""
        if lines:
            self._receive(lines)

    def go_alone(self) -> None:
        """Take these requests, which were not asked together with those of others after all."""
        try:
            self._take_lines()
        except Exception:
            give_up(self._connection)

    def join(self, slot: Slot) -> int:
        """They are asked with that slot, together with those of others; how many they are."""
        count = self.lines.count(b"\n")
        self.lines = b""
        self._asked = slot
        return count

    def answered(self, reply: Reply) -> None:
        """The replies to them."""
        asked, place = self._asked, self._place
        self._asked = self._place = None
        if place is None and isinstance(reply, bytes):
            self._connection.send(reply)
        elif not self._session.abandoned:
            assert asked is not None
            self._host.requests.answer(place or self._session.queue_behind(asked), reply)

    def drained(self) -> None:
        """The client has read what it was given: the rest has its turn with those of others."""
        self._settled()

    def broken(self) -> None:
        """The client is gone; what it asked takes its course, and what has not been looked at yet is let go of."""
        self.abandon()

    def abandon(self) -> None:
        """Hold nothing any more: this goes with its connection, and is not left for the garbage collector to find."""
        self._host.clients.discard(self)
        self._session.abandon()
        self._asked = self._place = None
        self.lines = b""

    def flush(self) -> bool:
        """Send a portion of the replies that are ready; True if that made room for requests that had waited."""
        try:
            return self._flush()
        except Exception:
            give_up(self._connection)
            return False

    def _flush(self) -> bool:
        self._dirty = False
        connection = self._connection
        # What the client has not read yet fills the room; the rest follows when it has.
        room = PORTION_BYTES - connection.unsent
        if room > 0 and (data := self._session.take_replies(room)):
            connection.send(data)
            self._host.reply_room -= len(data)
            if len(data) == room and not connection.unsent:
                self._settled()  # there may be more, and it reads as fast as it is given
        # While it is read from, there is nothing that waits for room, and more to come.
        return not self._reading and self._take()

    def _may_join(self, data: bytes) -> bool:
        """Whether it is whole lines, and nothing else is under way."""
        whole = len(data) <= self._longest and data[-1:] == b"\n"
        return whole and not self.lines and self._asked is None and self._session.fresh and not self._connection.unsent

    def _receive(self, data: bytes) -> None:
        self._session.receive(data)
        self._take()

    def _take(self) -> bool:
        session = self._session
        requests = self._host.requests
        unsent = self._connection.unsent
        taken = False
        for slot in session.requests(unsent):
            requests.accept(slot)
            taken = True
        if session.wants_input(unsent):
            if not self._reading:
                self._reading = True
                self._connection.resume()
            return taken
        if self._reading:
            self._reading = False
            self._connection.pause()
        if session.done:
            self.abandon()
            self._connection.finish()
        return taken

    def _settled(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._host.dirty.append(self)


class Crowd:
    """Clients that have asked at once, all for one kind of thing: for all that is done with that, they are one."""

    def __init__(
        self, host: Host, clients: Sequence[Client], operation: Operation, requests: list[AnyRequest], size: int
    ) -> None:
        """`requests` are plain ones, of so many bytes: what these clients have asked, one after the other."""
        self._host = host
        kind = WriteSlot if operation.kind == "write" else ReadSlot
        self._count = len(requests)
        self._slot = kind(self, operation, requests, size, self._count)
        self._clients = [(client, client.join(self._slot)) for client in clients]
        host.requests.accept(self._slot)

    def on_answered(self) -> None:
        """The replies are there."""
        self._host.dirty.append(self)

    def pass_reads_on(self, write: WriteSlot) -> Sequence[ReadSlot]:  # noqa: ARG002
        """There is no read before it."""
        return ()

    def outgrown(self, more: int) -> None:
        """It counts for each of the clients, when they are given their replies."""

    @decides
    def flush(self) -> bool:
        """Give each its replies; False, for none of them waited for room."""
        reply = self._slot.reply or b""
        del self._slot  # it knows of this crowd: the two would have to be found as garbage
        pieces: list[Piece] = reply if isinstance(reply, list) else [reply]
        if len(pieces) == self._count:  # a piece is a reply
            begin = 0
            for client, count in self._clients:
                end = begin + count
                client.answered(b"".join(pieces[begin:end]))
                begin = end
        else:  # values have grown large, and are not copied
            left = iter(pieces)
            for client, count in self._clients:
                client.answered([piece for _ in range(count) for piece in _up_to_newline(left)])
        return False


def _up_to_newline(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The next of them, up to one that ends with a newline."""
    for piece in pieces:
        yield piece
        if piece[-1:] == b"\n":
            return


def take_joining(host: Host) -> None:
    """Take the requests that others may come together with; of many clients, those of a kind at once."""
    clients, host.joining = host.joining, []
    puts = [client for client in clients if b'"put"' in client.lines]
    gets = [client for client in clients if b'"put"' not in client.lines]
    for alike in (puts, gets):
        for begin in range(0, len(alike), MANY):
            _take_together(host, alike[begin : begin + MANY])


def _take_together(host: Host, clients: Sequence[Client]) -> None:
    """Take what these have asked, which is probably of one kind."""
    lines = b"".join([client.lines for client in clients])
    read = read_alike(lines, len(lines), host.requests.reply_size) if len(clients) >= FEW else None
    if read is not None and read[2] - len(lines) <= JOINT_REPLY_BYTES:
        Crowd(host, clients, *read[:2], len(lines))
        return
    for client in clients:
        client.go_alone()
