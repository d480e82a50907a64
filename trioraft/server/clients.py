"""Connections as they come in: who is it, and, for a client, its session on its connection."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from trioraft.server import links
from trioraft.server.links import Incoming
from trioraft.server.requests import Requests
from trioraft.server.session import MAX_UNANSWERED_BYTES, Session, Slot
from trioraft.server.transport import Connection
from trioraft.wire.requests import AnyRequest, PlainPut, parse_alike

_PEER_START: Final = b'{"peer"'
_TLS_HANDSHAKE: Final = 0x16
FEW: Final = 4
"""The requests of fewer clients than so many are looked at one by one."""
MANY: Final = 64
"""So many are taken together at most."""
JOINING_BYTES: Final = 8 * 1024
"""Longer lines are looked at by themselves."""

log = logging.getLogger("trioraft.clients")


class Host(links.Host, Protocol):
    """What a client needs of its node."""

    requests: Requests
    max_request_bytes: int
    clients: set[Client]
    dirty: list[Client | Crowd]
    alone: list[Client]


class Recognizer:
    """Reads the first bytes of a connection, and hands it to the handler that it is for."""

    def __init__(self, connection: Connection, host: Host) -> None:
        self._connection = connection
        self._host = host
        self._start = b""

    def received(self, data: bytes) -> None:
        """Bytes, as yet of somebody unknown."""
        start = self._start = self._start + data
        if start[:1] == bytes([_TLS_HANDSHAKE]):
            log.warning("%s speaks TLS, and this port does not: connect without it", self._connection.remote)
            self._connection.close()
        elif start.startswith(_PEER_START):
            self._hand_to(Incoming(self._connection, self._host), start)
        elif data and len(start) < len(_PEER_START) and _PEER_START.startswith(start):
            return  # it may yet become a peer's introduction
        else:
            client = Client(self._connection, self._host)
            self._hand_to(client, start)
            if not data and start:
                client.received(b"")

    def drained(self) -> None:
        """Nothing was sent."""

    def broken(self) -> None:
        """Nobody came to be known."""

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
        self.line = b""
        """A request that others may come together with, and that has not been looked at yet."""
        self._asked: Slot | None = None
        """What a crowd has asked for it, with that of others."""
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
            self.line = data
            self._host.alone.append(self)
            return
        if self._asked is not None and self._place is None:
            self._place = self._session.follow(self._asked)
        self.take_line()
        self._receive(data)

    def take_line(self) -> None:
        """Let the line that came alone go its own way."""
        if self.line:
            line, self.line = self.line, b""
            self._receive(line)

    def join(self, slot: Slot) -> None:
        """That line is asked for with that slot, together with those of others."""
        self.line = b""
        self._asked = slot

    def answered(self, reply: bytes) -> None:
        """The reply to that line."""
        self._asked = None
        if self._place is None:
            self._connection.send(reply)
        else:
            place, self._place = self._place, None
            self._host.requests.settle(place, reply)

    def drained(self) -> None:
        """The client has read its replies."""
        self.flush()

    def broken(self) -> None:
        """The client is gone; what it asked takes its course."""
        self._host.clients.discard(self)

    def flush(self) -> bool:
        """Send the replies that are ready; True if that made room for requests that had waited."""
        self._dirty = False
        connection = self._connection
        # What the client has not read yet fills the room; the rest follows when it has.
        room = MAX_UNANSWERED_BYTES - connection.unsent
        while room > 0 and (data := self._session.take_replies(room)):
            connection.send(data)
            if len(data) < room:
                break  # these were all
            room = MAX_UNANSWERED_BYTES - connection.unsent
        # While it is read from, there is nothing that waits for room, and more to come.
        return not self._reading and self._take()

    def _may_join(self, data: bytes) -> bool:
        """Whether it is a line, and nothing else is under way."""
        end = data.find(b"\n") + 1
        free = not self.line and self._asked is None and self._session.fresh and not self._connection.unsent
        return 0 < end == len(data) <= self._longest and free

    def _receive(self, data: bytes) -> None:
        self._session.receive(data)
        self._take()

    def _take(self) -> bool:
        session = self._session
        requests = self._host.requests
        unsent = self._connection.unsent
        taken = False
        for slot in session.requests(unsent):
            requests.take(slot)
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
            self._host.clients.discard(self)
            self._connection.finish()
        return taken

    def _settled(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._host.dirty.append(self)


class Crowd:
    """Clients that have asked one thing each, at once: for all that is done with that, they are one client."""

    def __init__(self, host: Host, clients: Sequence[Client], requests: list[AnyRequest], size: int) -> None:
        """`requests` are plain ones of one kind, of so many bytes, one of each client."""
        self._clients = clients
        self._session = Session(host.max_request_bytes, lambda: host.dirty.append(self), host.requests.reply_size)
        slot = self._session.place(requests, size)
        for client in clients:
            client.join(slot)
        host.requests.take(slot)

    def flush(self) -> bool:
        """Give each its reply; False, for none of them waited for room."""
        replies = b""
        while not self._session.idle:
            replies += self._session.take_replies()
        del self._session  # it knows of this crowd: the two would have to be found as garbage
        # What follows the last newline is no reply.
        for client, reply in zip(self._clients, replies.split(b"\n"), strict=False):
            client.answered(reply + b"\n")
        return False


def take_alone(host: Host) -> None:
    """Take the requests that have come alone on their connections; of many clients, those of a kind together."""
    clients, host.alone = host.alone, []
    puts = [client for client in clients if b'"put"' in client.line]
    gets = [client for client in clients if b'"put"' not in client.line]
    for alike in (puts, gets):
        for begin in range(0, len(alike), MANY):
            _take_together(host, alike[begin : begin + MANY])


def _take_together(host: Host, clients: Sequence[Client]) -> None:
    """Take what these have asked, which is probably of one kind."""
    lines = b"".join([client.line for client in clients])
    requests = parse_alike(lines, MANY) if len(clients) >= FEW else None
    if requests is not None and len(requests) == len(clients):
        size = 0 if type(requests[0]) is PlainPut else sum(map(host.requests.reply_size, requests))
        if size <= JOINING_BYTES:
            Crowd(host, clients, requests, len(lines))
            return
    for client in clients:
        client.take_line()
