"""The hub over real sockets: one epoll object for all of them, on which one Trio task waits."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import resource
import select
import socket
import time
from typing import Final

import trio

from trioraft.addresses import Address
from trioraft.names import look_up, numeric
from trioraft.server.dialling import connect, resolving
from trioraft.server.guards import give_up
from trioraft.server.transport import DISCARD_SECONDS, NOBODY, Connection, Handler

RECEIVE_BYTES: Final = 256 * 1024
SERVED_AT_ONCE: Final = 32
"""So many connections are served before the node may take a turn: its peers then work while it serves the others."""
ACCEPT_AT_ONCE: Final = 256
SPARE_DESCRIPTORS: Final = 64
"""Never given to clients: the log needs some for its files, and so do peers, whether they dial or are dialled."""
FEW_MEMBERS: Final = 3
"""A node of so many runs where there are no more than those in all: a quarter is for clients then."""
RESERVE: Final = 16
"""So many of these are lent to those who come in when clients have all the places, until it shows who they are."""
CROWDED_DISCARD_SECONDS: Final = 0.2
"""What is left of DISCARD_SECONDS then."""
CROWDED_SECONDS: Final = 0.02
"""How often it is looked whether there is room in the reserve again."""
KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
"""Who came in and is silent for 30 s is asked whether it is there, and is gone if it has not answered 30 s later."""
ALONE_SECONDS: Final = 0.02
"""How long `wait` may find something ready again and again before it gives the other tasks a chance."""
LINGER_SECONDS: Final = 0.001
"""So long `wait` waits by itself before it lets Trio wait: while there is something to do, more comes soon."""
SPIN_SECONDS: Final = 0.0003
"""So long it asks again and again before it sleeps, where waits are mostly shorter: to be woken costs as much as a
turn."""
SPINS_FOR: Final = 2
"""Only where no more connections than so many were ready: under load the processor is worth more to the others."""

_buffer: Final = bytearray(RECEIVE_BYTES)
"""Where all sockets are read to, one at a time: a buffer made anew for each costs more than what it holds."""
_view: Final = memoryview(_buffer)

_BROKEN = select.EPOLLERR | select.EPOLLHUP


class SocketConnection:
    """One connected TCP socket, not blocking."""

    def __init__(self, hub: SocketHub, sock: socket.socket, guest: bool = False) -> None:
        """`guest`: it came in, and takes a place until it is known to be a peer's."""
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # it may be gone already; the first use will tell
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.handler: Handler = NOBODY
        self.remote = _name(sock)
        self._hub = hub
        self._socket = sock
        self._unsent = bytearray()
        self._reading = False
        self._interest = 0
        self._open = True
        self._guest = guest
        self._finishing = False
        self._ended = False
        self.discard_until: float | None = None
        hub.register(self, sock.fileno())

    @property
    def unsent(self) -> int:
        """Bytes kept because the other end does not take them yet."""
        return len(self._unsent)

    def send(self, data: bytes) -> None:
        """Send, now as far as possible."""
        if not self._open:
            return
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._watch()

    def pause(self) -> None:
        """Stop reading."""
        self._reading = False
        self._watch()

    def resume(self) -> None:
        """Go on reading."""
        self._reading = not self._ended
        self._watch()

    def admit(self) -> None:
        """It is a peer's."""
        if self._guest:
            self._guest = False
            self._hub.guests -= 1

    def finish(self) -> None:
        """Send what is kept, say that this is all, discard input for a moment, and close."""
        if not self._open or self._finishing:
            return
        self._finishing = True
        if not self._unsent:
            self._say_last()

    def close(self) -> None:
        """Close now; the handler is not told."""
        if self._open:
            self._open = False
            self.admit()
            self._hub.forget(self, self._socket.fileno())
            self._socket.close()
            # The handler knows this connection: were it kept, only the garbage collector would find the two.
            self.handler = NOBODY
            self._unsent = bytearray()

    def serve(self, events: int) -> None:
        """Do what epoll says can be done."""
        if events & select.EPOLLOUT and self._unsent:
            self._flush()
        if self._open and events & (select.EPOLLIN | _BROKEN):
            if self._reading or self._finishing:
                self._receive()
            elif events & _BROKEN:
                self._break()

    def _receive(self) -> None:
        try:
            size = self._socket.recv_into(_buffer)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        data = _view[:size].tobytes()
        if not data:
            self._ended = True
            self._reading = False
            if self.discard_until is not None:
                self.close()
                return
            self._watch()
        if not self._finishing:
            self.handler.received(data)

    def _flush(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        del self._unsent[:sent]
        if self._unsent:
            return
        self._watch()
        if self._finishing:
            self._say_last()
        else:
            self.handler.drained()

    def _say_last(self) -> None:
        if self._ended:
            self.close()
            return
        self.discard_until = trio.current_time() + DISCARD_SECONDS
        self._hub.finishing.add(self)
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
        else:
            self._watch()

    def _break(self) -> None:
        if self._open:
            handler = self.handler
            self.close()
            handler.broken()

    def _watch(self) -> None:
        if not self._open:
            return
        reading = self._reading or (self._finishing and not self._ended)
        interest = (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if self._unsent else 0)
        if interest != self._interest:
            self._interest = interest
            self._hub.epoll.modify(self._socket.fileno(), interest)


def _listening(address: Address) -> socket.socket:
    """A listening socket at the first address of the name that is this machine's. Raises OSError."""
    with resolving():
        places = numeric(address) or look_up(address).wait(None)  # in its thread, so that Ctrl-C need not wait
    for left, (family, kind, protocol, _, place) in zip(reversed(range(len(places))), places, strict=True):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # what is accepted inherits it
            for option, value in KEEPALIVE.items():
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            sock.bind(place)
            sock.listen(1024)
        except OSError as error:
            sock.close()
            if left and error.errno == errno.EADDRNOTAVAIL:
                continue
            raise
        return sock
    raise OSError(errno.EADDRNOTAVAIL, "the name has no address")


class SocketListener:
    """A listening socket; Trio waits on it, since connections come seldom."""

    def __init__(self, hub: SocketHub, address: Address) -> None:
        self._socket = _listening(address)
        self._hub = hub
        self.address = Address(address.host, self._socket.getsockname()[1])

    async def accept(self) -> list[Connection]:
        """Those that wait, one at least: this task seldom has its turn under load. Raises OSError."""
        connections: list[Connection] = []
        while not connections:
            await trio.lowlevel.wait_readable(self._socket)
            while self._hub.crowded:  # not for long: who is in the reserve shows who it is, or is closed
                await trio.sleep(CROWDED_SECONDS)
            while len(connections) < ACCEPT_AT_ONCE and not self._hub.crowded:
                try:
                    sock, _ = self._socket.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in (errno.ECONNABORTED, errno.EPROTO, errno.EINTR):
                        continue
                    if connections:
                        break  # it will be said when there is nothing else to do
                    raise
                connections.append(SocketConnection(self._hub, sock, guest=True))
                self._hub.guests += 1
        return connections

    def close(self) -> None:
        """Take no more."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


class SocketHub:
    """Every connection of this process, on one epoll object."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.finishing: set[SocketConnection] = set()
        self.guests = 0
        """How many have come in, peers apart."""
        self._connections: dict[int, SocketConnection] = {}
        self._ready: list[tuple[int, int]] = []
        self._alone_until = 0.0
        self._usual_wait = LINGER_SECONDS
        self._may_spin = len(os.sched_getaffinity(0)) > 1
        self._most = _most_connections()
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.epoll.register(self._waker, select.EPOLLIN)

    @property
    def full(self) -> bool:
        """Whether there are more guests than places."""
        return self.guests > self._most

    @property
    def crowded(self) -> bool:
        """Whether the reserve is full too."""
        return self.guests >= self._most + RESERVE

    def listen(self, address: Address) -> SocketListener:
        """Listen there. Raises OSError."""
        return SocketListener(self, address)

    async def dial(self, address: Address, turn: int = 0) -> SocketConnection:
        """Connect to there, to whichever address of the name answers first. Raises OSError."""
        return SocketConnection(self, await connect(address, turn))

    async def wait(self, eager: bool = False, seconds: float | None = None) -> None:
        """Return when a connection is ready, `wake` was called, or so many seconds are over."""
        while True:
            lingers = time.perf_counter() < self._alone_until
            self._ready = self._linger(eager, seconds) if lingers else self._poll(0)
            returns = bool(self._ready) or seconds is not None
            if returns and lingers:
                return
            if returns:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self.epoll.fileno())
            self._alone_until = time.perf_counter() + ALONE_SECONDS
            if returns:
                return

    def _poll(self, seconds: float) -> list[tuple[int, int]]:
        return self.epoll.poll(seconds, SERVED_AT_ONCE)

    def _linger(self, eager: bool, seconds: float | None) -> list[tuple[int, int]]:
        """What is ready within LINGER_SECONDS, or so many seconds if these are fewer."""
        if seconds is not None:
            return self._poll(min(seconds, LINGER_SECONDS))
        if not eager or not self._may_spin:
            return self._poll(LINGER_SECONDS)
        ready: list[tuple[int, int]] = []
        began = time.perf_counter()
        if self._usual_wait < SPIN_SECONDS:
            while not ready and time.perf_counter() - began < SPIN_SECONDS:
                ready = self._poll(0)
        ready = ready or self._poll(LINGER_SECONDS)
        waited = time.perf_counter() - began if len(ready) <= SPINS_FOR else LINGER_SECONDS
        self._usual_wait += (waited - self._usual_wait) / 8
        return ready

    def serve(self) -> None:
        """Call the handlers of the connections that are ready."""
        connections = self._connections
        for descriptor, events in self._ready:
            if descriptor == self._waker:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._waker)
            elif (connection := connections.get(descriptor)) is not None:
                try:
                    connection.serve(events)
                except Exception:
                    give_up(connection)
        self._ready = []

    def more(self) -> bool:
        """Whether a connection is ready now."""
        self._ready = self._poll(0)
        return bool(self._ready)

    def wake(self) -> None:
        """Make `wait` return; may be called from any thread."""
        os.eventfd_write(self._waker, 1)

    def expire(self, now: float) -> None:
        """Close the finished connections whose time to discard is over, which is shorter where others need the room."""
        if self.crowded:
            now += DISCARD_SECONDS - CROWDED_DISCARD_SECONDS
        for connection in list(self.finishing):
            if connection.discard_until is not None and connection.discard_until <= now:
                connection.close()

    def register(self, connection: SocketConnection, descriptor: int) -> None:
        """Watch a new connection; of nothing yet, but that it breaks."""
        self._connections[descriptor] = connection
        self.epoll.register(descriptor, 0)

    def forget(self, connection: SocketConnection, descriptor: int) -> None:
        """Watch a connection no longer: it is about to close."""
        self.epoll.unregister(descriptor)
        del self._connections[descriptor]
        self.finishing.discard(connection)

    def close(self) -> None:
        """Close everything."""
        for connection in list(self._connections.values()):
            connection.close()
        self.epoll.close()
        os.close(self._waker)


def most_open_files() -> float:
    """How many files this process may have open, connections among them."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else limit


def least_open_files(members: int) -> int:
    """How many a node of so many members needs, if clients are to keep nobody out: it dials each, and is dialled."""
    return SPARE_DESCRIPTORS + 2 * max(0, members - FEW_MEMBERS)


def _most_connections() -> float:
    """How many places there are for clients."""
    limit = most_open_files()
    return max(limit - SPARE_DESCRIPTORS, limit // 4)


def _name(sock: socket.socket) -> str:
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return "a connection already gone"
    return str(Address(host, port))
