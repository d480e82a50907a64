"""A network in memory: the hub of `trioraft.server.transport` without sockets, for whole nodes in virtual time."""

from __future__ import annotations

import errno
import os
from typing import Final

import trio

from trioraft.addresses import Address
from trioraft.server.transport import DISCARD_SECONDS, Connection, Handler

CAPACITY: Final = 256 * 1024
"""Bytes that a connection takes before its other end reads."""


class _Unset:
    def received(self, data: bytes) -> None: ...

    def drained(self) -> None: ...

    def broken(self) -> None: ...


class MemoryConnection:
    """One end of a connection."""

    def __init__(self, hub: MemoryHub, remote: str) -> None:
        self.handler: Handler = _Unset()
        self.remote = remote
        self.hub = hub
        self.other: MemoryConnection
        self.is_open = True
        self.discard_until: float | None = None
        self._inbox = bytearray()
        self._unsent = bytearray()
        self._reading = False
        self._ended = False
        """Whether the other end has said its last."""
        self._end_told = False
        self._finishing = False
        self._was_full = False
        self._reset = False
        hub.connections.add(self)

    @property
    def unsent(self) -> int:
        """Bytes kept because the other end does not take them yet."""
        return len(self._unsent)

    def send(self, data: bytes) -> None:
        """Send, now as far as possible."""
        if self.is_open:
            self._unsent += data
            self._push()

    def pause(self) -> None:
        """Stop reading."""
        self._reading = False

    def resume(self) -> None:
        """Go on reading."""
        self._reading = True
        self.hub.mark(self)

    def finish(self) -> None:
        """Send what is kept, say that this is all, discard input for a moment, and close."""
        if self.is_open and not self._finishing:
            self._finishing = True
            self._say_last_if_sent()

    def close(self) -> None:
        """Close now; the handler is not told."""
        if self.is_open:
            self.is_open = False
            self.hub.connections.discard(self)
            self.other.end_from_other()

    def break_off(self) -> None:
        """Break the connection under both ends."""
        for end in (self, self.other):
            end._reset = True
            end.hub.mark(end)

    def end_from_other(self) -> None:
        """The other end has said its last."""
        self._ended = True
        self.hub.mark(self)

    def serve(self) -> None:
        """Do what can be done now."""
        if self._reset and self.is_open:
            self.is_open = False
            self.hub.connections.discard(self)
            self.handler.broken()
        if self.is_open and self._was_full and not self._unsent:
            self._was_full = False
            self.handler.drained()
        if not self.is_open or not (self._reading or self._finishing):
            return
        data = bytes(self._inbox)
        self._inbox.clear()
        self.other._push()
        if self._finishing:
            if self._ended and self.discard_until is not None:
                self.close()
            return
        if data:
            self.handler.received(data)
        if self._ended and not self._inbox and not self._end_told and self.is_open and self._reading:
            self._end_told = True
            self._reading = False
            self.handler.received(b"")

    def _push(self) -> None:
        """Move what the other end has room for."""
        if not self.is_open or not self.other.is_open:
            self._unsent.clear()
            return
        room = CAPACITY - len(self.other._inbox)
        if self._unsent and room > 0:
            self.other._inbox += self._unsent[:room]
            del self._unsent[:room]
            self.hub.mark(self.other)
        if self._unsent:
            self._was_full = True
        else:
            if self._was_full:
                self.hub.mark(self)
            self._say_last_if_sent()

    def _say_last_if_sent(self) -> None:
        if self._finishing and not self._unsent and self.discard_until is None:
            self.discard_until = trio.current_time() + DISCARD_SECONDS
            self.other.end_from_other()
            self.hub.mark(self)


class MemoryListener:
    """Connections dialled to an address."""

    def __init__(self, hub: MemoryHub, address: Address) -> None:
        self.address = address
        self._hub = hub
        self._waiting: list[Connection] = []
        self._arrived = trio.Event()
        hub.network.listeners[address] = self

    async def accept(self) -> list[Connection]:
        """Those that wait, one at least."""
        await self._arrived.wait()
        self._arrived = trio.Event()
        waiting, self._waiting = self._waiting, []
        return waiting

    def connect(self, hub: MemoryHub) -> MemoryConnection:
        """A new connection from that hub; its other end is to be accepted."""
        near = MemoryConnection(hub, str(self.address))
        far = MemoryConnection(self._hub, f"{hub.name} in memory")
        near.other, far.other = far, near
        self._waiting.append(far)
        self._arrived.set()
        return near

    def close(self) -> None:
        """Take no more."""
        if self._hub.network.listeners.get(self.address) is self:
            del self._hub.network.listeners[self.address]


class MemoryNetwork:
    """All addresses that somebody listens on."""

    def __init__(self) -> None:
        self.listeners: dict[Address, MemoryListener] = {}


class MemoryHub:
    """All connections of one node, or of one client."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self.network = network
        self.name = name
        self.connections: set[MemoryConnection] = set()
        self._ready: dict[MemoryConnection, None] = {}
        self._event = trio.Event()

    def listen(self, address: Address) -> MemoryListener:
        """Listen there. Raises OSError."""
        if address in self.network.listeners:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return MemoryListener(self, address)

    async def dial(self, address: Address) -> MemoryConnection:
        """Connect to there. Raises ConnectionRefusedError where nobody listens."""
        await trio.lowlevel.checkpoint()
        listener = self.network.listeners.get(address)
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return listener.connect(self)

    def mark(self, connection: MemoryConnection) -> None:
        """That connection is ready."""
        self._ready[connection] = None
        self._event.set()

    async def wait(self) -> None:
        """Return when a connection is ready or `wake` was called."""
        await self._event.wait()
        self._event = trio.Event()

    def serve(self) -> None:
        """Call the handlers of the connections that are ready."""
        ready, self._ready = self._ready, {}
        for connection in ready:
            connection.serve()

    def wake(self) -> None:
        """Make `wait` return."""
        self._event.set()

    def expire(self, now: float) -> None:
        """Close the finished connections whose time to discard is over."""
        for connection in list(self.connections):
            if connection.discard_until is not None and connection.discard_until <= now:
                connection.close()

    def close(self) -> None:
        """Close everything, as the end of a process does."""
        for connection in list(self.connections):
            connection.close()
