"""The connections of one process of a load: made without waiting, and made again when they break."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from trioraft.wire.codec import DecodeError, decode

SILENCE_SECONDS: Final = 5.0
"""How long a node may owe all answers on a connection, or not accept one, until another node is tried."""
_PAUSE_SECONDS: Final = 0.02
"""The pause after a connection could not be made."""
_MOST_HOPS: Final = 3
"""How often in a row a node's word for who leads is followed."""
_MILLISECOND: Final = 1_000_000
_BUFFER_BYTES: Final = 256 * 1024
_STATUS: Final = b'{"op":"status"}\n'
_CLOSED: Final = "the node closed it"
_SILENT: Final = f"no answer for {SILENCE_SECONDS:.0f} s"


class Place(msgspec.Struct, frozen=True):
    """A node's address as the cluster names it, and as the system takes it."""

    name: str
    family: int
    address: tuple[str | int, ...]


class Owner(Protocol):
    """What makes use of connections."""

    def opened(self, channel: Channel, now: int) -> None:
        """A connection is open: nothing has been sent."""

    def received(self, channel: Channel, size: int, now: int) -> None:
        """So many bytes have come into the buffer."""

    def broke(self, channel: Channel, why: str) -> None:
        """An open connection has ended; it will be made again."""


class Channel:
    """One connection, whichever socket it has at the moment."""

    __slots__ = ("_hops", "_hub", "_place", "_socket", "_unsent", "groups", "heard", "is_open", "outstanding", "rest")

    def __init__(self, hub: Channels, place: int) -> None:
        self._hub = hub
        self._place = place
        self._hops = 0
        self._socket: socket.socket | None = None
        self._unsent = b""
        self.is_open = False
        self.heard = 0
        """When it was opened, or last heard of."""
        self.rest = bytearray()
        """The beginning of a line whose end has not come."""
        self.outstanding = 0
        """How many requests have no answer yet."""
        self.groups: deque[list[Any]] = deque()
        """These requests, in order: for each group when it was sent, of which kind it is, and how many are left."""

    def dial(self) -> None:
        """Begin to connect to the place whose turn it is."""
        place = self._hub.places[self._place]
        self.heard = time.monotonic_ns()
        try:
            self._socket = socket.socket(place.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            code = self._socket.connect_ex(place.address)
        except OSError as error:
            code = error.errno or errno.EIO
        if code not in (0, errno.EINPROGRESS):
            self._fail(os.strerror(code))
            return
        assert self._socket is not None
        self._hub.listen(self._socket.fileno(), self._event, select.EPOLLIN | select.EPOLLOUT)

    def send(self, data: bytes) -> None:
        """Send, now or once there is room."""
        if self._unsent:
            self._unsent += data
            return
        assert self._socket is not None
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._fail(_reason(error))
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._hub.change(self._socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def check(self, now: int) -> None:
        """Give the connection up if the node has owed something for too long."""
        owes = self._socket is not None and (self.outstanding or not self.is_open)
        if owes and now - self.heard > SILENCE_SECONDS * 1e9:
            self._fail(_SILENT)

    def close(self) -> None:
        """Close it for good."""
        if self._socket is not None:
            self._hub.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self.is_open = False

    def _event(self, events: int) -> None:
        if not self.is_open:
            self._go_on(events)
            return
        assert self._socket is not None
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT and (size := self._receive()):
            now = self.heard = time.monotonic_ns()
            self._hub.owner.received(self, size, now)

    def _flush(self) -> None:
        assert self._socket is not None
        data, self._unsent = self._unsent, b""
        self._hub.change(self._socket.fileno(), select.EPOLLIN)
        self.send(data)

    def _receive(self) -> int:
        """How many bytes have come; none where the connection has ended, or nothing is there."""
        if self._socket is None:  # it has broken since
            return 0
        try:
            size = self._socket.recv_into(self._hub.buffer)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._fail(_reason(error))
            return 0
        if not size:
            self._fail(_CLOSED)
        return size

    def _go_on(self, events: int) -> None:
        """Go on with a connection that is being made."""
        assert self._socket is not None
        if events & select.EPOLLOUT:
            if code := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._fail(os.strerror(code))
                return
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._hub.change(self._socket.fileno(), select.EPOLLIN)
            if self._hub.seeks_leader:
                self.send(_STATUS)
            else:
                self._open()
        elif size := self._receive():
            self.rest += memoryview(self._hub.buffer)[:size]
            if self.rest.endswith(b"\n"):
                line = bytes(self.rest)
                self.rest.clear()
                self._told(line)

    def _told(self, line: bytes) -> None:
        """Follow what a node says of itself: it leads, or another does, or nobody."""
        try:
            status = decode(line, _Status)
        except DecodeError:
            self._fail("what answers is no node")
            return
        if status.error is not None:
            self._fail(f"{status.error.code}: {status.error.message}")
            return
        leader = self._hub.place_of(status.leader)
        if leader is None or self._hub.places[leader].name == self._hub.places[self._place].name:
            self._open()
        elif self._hops >= _MOST_HOPS:
            self._open()  # they do not agree; this one passes on what it is asked
        else:
            self._hops += 1
            self.close()
            self._place = leader
            self._hub.dial_later(self, 0.0)

    def _open(self) -> None:
        self._hops = 0
        self.is_open = True
        self.heard = time.monotonic_ns()
        self._hub.owner.opened(self, self.heard)

    def _fail(self, why: str) -> None:
        """Close it, and try the next place after a pause."""
        was_open = self.is_open
        self.close()
        self.rest.clear()
        self._unsent = b""
        self._place = (self._place + 1) % len(self._hub.places)
        self._hub.dial_later(self, 0.0 if was_open else _PAUSE_SECONDS)
        if was_open:
            self._hub.owner.broke(self, why)
        else:
            self._hub.why_closed = why


class Channels:
    """The connections of a process, and the loop that serves them."""

    def __init__(self, places: Sequence[Place], seeks_leader: bool) -> None:
        """`seeks_leader`: whether a node that names another leader is left for that one."""
        self.places = places
        self.seeks_leader = seeks_leader
        self.owner: Owner
        self.buffer = bytearray(_BUFFER_BYTES)
        """What has come last, on whichever connection."""
        self.why_closed = "it was not tried"
        """Why a connection could not be made the last time."""
        self.all: list[Channel] = []
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._resting: list[tuple[int, Channel]] = []

    def add(self, count: int, first: int) -> None:
        """Make so many connections, spread over the places from the one with that number on."""
        for number in range(count):
            channel = Channel(self, (first + number) % len(self.places))
            self.all.append(channel)
            self.dial_later(channel, 0.0)

    def turn(self, until: int) -> None:
        """Serve what has come; wait for it up to that time, or end a little before it."""
        now = time.monotonic_ns()
        if self._resting:
            self._resting, due = [], self._resting
            for at, channel in due:
                if at <= now:
                    channel.dial()
                else:
                    self._resting.append((at, channel))
                    until = min(until, at)
        left = until - now
        if left > 2 * _MILLISECOND:
            events = self._epoll.poll((left - _MILLISECOND) / 1e9)
        else:  # epoll counts in milliseconds, which is long for a request that is due
            select.select([self._epoll], [], [], max(0.0, left / 1e9))
            events = self._epoll.poll(0)
        handlers = self._handlers
        for number, what in events:
            handler = handlers.get(number)
            if handler is not None:
                handler(what)

    def listen(self, number: int, handler: Callable[[int], None], events: int) -> None:
        """Have a descriptor's events handled."""
        self._handlers[number] = handler
        self._epoll.register(number, events)

    def change(self, number: int, events: int) -> None:
        """Look for these events from now on."""
        self._epoll.modify(number, events)

    def forget(self, number: int) -> None:
        """Have a descriptor's events no longer handled."""
        if self._handlers.pop(number, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(number)

    def dial_later(self, channel: Channel, seconds: float) -> None:
        """Make a connection at a later turn: until this one has ended, an event may be meant for its old socket."""
        self._resting.append((time.monotonic_ns() + round(seconds * 1e9), channel))

    def place_of(self, name: str | None) -> int | None:
        """The number of a place with that name."""
        return next((number for number, place in enumerate(self.places) if place.name == name), None)

    def unconnected(self) -> dict[str, int]:
        """How many connections are not open, and why the last one was not made."""
        count = sum(not channel.is_open for channel in self.all)
        return {self.why_closed: count} if count else {}

    def check(self, now: int) -> None:
        """Give up connections whose nodes are silent."""
        for channel in self.all:
            channel.check(now)

    def close(self) -> None:
        """Close all connections."""
        for channel in self.all:
            channel.close()
        self._epoll.close()


class _Error(msgspec.Struct):
    code: str
    message: str


class _Status(msgspec.Struct):
    leader: str | None = msgspec.field(name="leader_address", default=None)
    error: _Error | None = None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
