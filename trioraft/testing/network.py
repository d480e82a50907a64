"""A network in memory for whole nodes in virtual time: the hub of `trioraft.server.transport` without sockets."""

from __future__ import annotations

import errno
import math
import os
import zlib
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final, Literal, Protocol

import trio

from trioraft.addresses import Address
from trioraft.server.guards import give_up
from trioraft.server.transport import DISCARD_SECONDS, Connection, Handler

CAPACITY: Final = 256 * 1024
"""How many bytes a connection takes before its other end reads."""


class Agenda(Protocol):
    """A schedule of calls."""

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Make the call `seconds` from now."""


class Weather:
    """The delays between hubs, and the directions in which nothing gets through.

    A hub's name is the host of the address that it listens on. Bytes sent in a cut direction are not lost: they arrive
    once the direction is mended, as TCP sends them again. Each direction between two hubs is cut and mended by itself.
    """

    def __init__(self, agenda: Agenda, random: Random, report: Callable[[str], None]) -> None:
        """`report` is told of each delivery in one line."""
        self.agenda = agenda
        self.random = random
        self.report = report
        self.seconds: tuple[float, float] = (0.0002, 0.002)
        """The shortest and the longest time that bytes take, if nothing holds them up."""
        self.split_chance = 0.2
        """How often bytes sent in one piece arrive in several."""
        self.silent: dict[str, None] = {}
        """The hubs that answer no dial: the machine is off, or its queue is full."""
        self.refusing: dict[str, None] = {}
        """The hubs at which dials are refused, even if the node is alive."""
        self._cut: dict[tuple[str, str], list[_Wire]] = {}
        """For each cut direction: the wires that hold bytes back."""
        self._changed = trio.Event()

    def delay(self) -> float:
        """Draw how many seconds the next delivery takes; a few take ten times as long."""
        low, high = self.seconds
        return self.random.uniform(low, high) * (10 if self.random.random() < 0.02 else 1)

    def split(self, data: bytes) -> list[bytes]:
        """Split bytes into the pieces in which they arrive."""
        pieces = []
        if len(data) > 1 and self.random.random() < self.split_chance:
            for _ in range(self.random.randint(1, 3)):
                at = self.random.randrange(len(data))
                pieces.append(data[:at])
                data = data[at:]
        pieces.append(data)
        return [piece for piece in pieces if piece]

    def cut(self, sender: str, receiver: str) -> None:
        """Let nothing through in that direction."""
        self._cut.setdefault((sender, receiver), [])

    def mend(self, sender: str, receiver: str) -> None:
        """Let everything through in that direction, including what waits."""
        for wire in self._cut.pop((sender, receiver), ()):
            self.agenda.after(self.delay(), wire.release)
        self.changed()

    def mend_all(self) -> None:
        """Let everything through, and every dial be answered."""
        for sender, receiver in list(self._cut):
            self.mend(sender, receiver)
        self.silent.clear()
        self.refusing.clear()
        self.changed()

    def changed(self) -> None:
        """Wake the dials that wait for an answer: they may get one now."""
        self._changed.set()
        self._changed = trio.Event()

    async def reach(self, sender: str, receiver: str) -> None:
        """Return once a dial can arrive, and its answer can come back."""
        while receiver in self.silent or (sender, receiver) in self._cut or (receiver, sender) in self._cut:
            await self._changed.wait()
        await trio.sleep(self.delay())

    def holds(self, wire: _Wire) -> bool:
        """Whether the direction of that wire is cut; `mend` will release the wire then."""
        waiting = self._cut.get(wire.direction)
        if waiting is None:
            return False
        waiting.append(wire)
        return True


class _Wire:
    """The bytes on their way to one end of a connection, in order."""

    def __init__(self, weather: Weather, receiver: MemoryConnection) -> None:
        self.bytes = 0
        self._weather = weather
        self._receiver = receiver
        self._pieces: deque[bytes | Literal["end", "reset"]] = deque()
        self._due = 0.0
        self._held = 0

    @property
    def direction(self) -> tuple[str, str]:
        """The names of the sending and the receiving hub."""
        return self._receiver.other.hub.name, self._receiver.hub.name

    def carry(self, piece: bytes | Literal["end", "reset"]) -> None:
        """Let the piece arrive after everything that is on its way already."""
        weather = self._weather
        pieces = weather.split(piece) if isinstance(piece, bytes) else [piece]
        for part in pieces:
            self._pieces.append(part)
            self.bytes += len(part) if isinstance(part, bytes) else 0
            now = trio.current_time()
            self._due = max(self._due, now + weather.delay())
            weather.agenda.after(self._due - now, self._arrive)

    def release(self) -> None:
        """Deliver the pieces that were held."""
        held, self._held = self._held, 0
        for _ in range(held):
            self._arrive()

    def _arrive(self) -> None:
        if self._held or self._weather.holds(self):
            self._held += 1
            return
        piece = self._pieces.popleft()
        self.bytes -= len(piece) if isinstance(piece, bytes) else 0
        receiver = self._receiver
        if receiver.is_open:
            self._weather.report("{} to {}: {}".format(*self.direction, _summary(piece)))
            receiver.arrive(piece)


def _summary(piece: bytes | str) -> str:
    return piece if isinstance(piece, str) else f"{len(piece)} bytes, crc {zlib.crc32(piece):08x}"


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
        """Whether the other end will send nothing more."""
        self._end_told = False
        self._finishing = False
        self._shut = False
        """Whether to end this direction once all is sent; the other end may go on sending."""
        self._was_full = False
        self._reset = False
        weather = hub.network.weather
        self._wire = None if weather is None else _Wire(weather, self)
        """The bytes on their way to this end; without weather everything arrives at once."""
        hub.connections[self] = None

    @property
    def unsent(self) -> int:
        """How many bytes are kept because the other end does not take them yet."""
        return len(self._unsent)

    def send(self, data: bytes) -> None:
        """Send as much as possible now, and keep the rest."""
        if self.is_open:
            self.hub.sending()
            self._unsent += data
            self._push()

    def pause(self) -> None:
        """Stop reading."""
        self._reading = False

    def resume(self) -> None:
        """Read again."""
        self._reading = True
        self.hub.mark(self)

    def admit(self) -> None:
        """Accept the connection as a peer's; this network counts none."""

    def finish(self) -> None:
        """Send what is kept, then end, discard input for a moment, and close."""
        if self.is_open and not self._finishing:
            self._finishing = True
            self._say_last_if_sent()

    def shut(self) -> None:
        """End this direction once all is sent; the other direction is still read."""
        self._shut = True
        self._push()

    def close(self) -> None:
        """Close now; the handler is not told."""
        if self.is_open:
            self.vanish()
            self._give("end")

    def vanish(self) -> None:
        """Disappear, as at a power cut: the other end learns of it only through `disown`."""
        self.is_open = False
        self.hub.connections.pop(self, None)

    def disown(self) -> None:
        """Reset the connection at the other end, because the machine is back and does not know it."""
        self._give("reset")

    def break_off(self) -> None:
        """Break the connection under both ends."""
        for end in (self, self.other):
            end.arrive("reset")

    def arrive(self, piece: bytes | Literal["end", "reset"]) -> None:
        """Take bytes, the end or a reset from the other end."""
        if isinstance(piece, bytes):
            self._inbox += piece
        elif piece == "end":
            self._ended = True
        else:
            self._reset = True
        self.hub.mark(self)

    def _give(self, piece: bytes | Literal["end", "reset"]) -> None:
        """Send bytes, the end or a reset to the other end."""
        if self.other._wire is None:
            self.other.arrive(piece)
        else:
            self.other._wire.carry(piece)

    def serve(self) -> None:
        """Call the handler for everything that has happened; do nothing before there is a handler."""
        if isinstance(self.handler, _Unset):
            return
        if self._reset and self.is_open:
            self.vanish()
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
        """Move as many bytes as the other end has room for."""
        if not self.is_open or not self.other.is_open:
            self._unsent.clear()
            return
        way = self.other._wire
        room = self.hub.network.capacity - len(self.other._inbox) - (way.bytes if way else 0)
        if self._unsent and room > 0:
            data = bytes(self._unsent[:room])
            del self._unsent[:room]
            self._give(data)
        if self._unsent:
            self._was_full = True
        else:
            if self._was_full:
                self.hub.mark(self)
            self._say_last_if_sent()
            if self._shut and not self._finishing:
                self._shut = False
                self._give("end")

    def _say_last_if_sent(self) -> None:
        if self._finishing and not self._unsent and self.discard_until is None:
            self.discard_until = trio.current_time() + DISCARD_SECONDS
            self._give("end")
            self.hub.mark(self)


class MemoryListener:
    """A listener for connections that are dialled to one address."""

    def __init__(self, hub: MemoryHub, address: Address) -> None:
        self.address = address
        self._hub = hub
        self._waiting: list[Connection] = []
        self._arrived = trio.Event()
        hub.network.listeners[address] = self

    async def accept(self) -> list[Connection]:
        """Wait for connections, and return all that wait, at least one."""
        await self._arrived.wait()
        self._arrived = trio.Event()
        waiting, self._waiting = self._waiting, []
        return waiting

    def connect(self, hub: MemoryHub) -> MemoryConnection:
        """Make a connection from that hub; its other end waits to be accepted."""
        near = MemoryConnection(hub, str(self.address))
        far = MemoryConnection(self._hub, f"{hub.name} in memory")
        near.other, far.other = far, near
        self._waiting.append(far)
        self._arrived.set()
        return near

    def close(self) -> None:
        """Accept no more connections."""
        if self._hub.network.listeners.get(self.address) is self:
            del self._hub.network.listeners[self.address]


class MemoryNetwork:
    """The addresses that hubs listen on, and the weather between them; without weather nothing takes time."""

    def __init__(self, weather: Weather | None = None, capacity: int = CAPACITY) -> None:
        """`capacity`: how many bytes a connection takes before its other end reads."""
        self.listeners: dict[Address, MemoryListener] = {}
        self.weather = weather
        self.capacity = capacity


class MemoryHub:
    """The connections of one node or of one client."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self.network = network
        self.name = name
        self.connections: dict[MemoryConnection, None] = {}
        self.full = False
        """Whether the clients use up all places for connections."""
        self.sending: Callable[[], None] = lambda: None
        """A call before each send; an error that it raises stops the sender half-way."""
        self._ready: dict[MemoryConnection, None] = {}
        self._event = trio.Event()
        self._frozen: trio.Event | None = None
        self._closed = False

    @property
    def frozen(self) -> bool:
        """Whether the hub's process stands still."""
        return self._frozen is not None

    def listen(self, address: Address) -> MemoryListener:
        """Listen on that address. Raises OSError where another hub does."""
        if address in self.network.listeners:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return MemoryListener(self, address)

    async def dial(self, address: Address, turn: int = 0) -> MemoryConnection:  # noqa: ARG002
        """Connect to that address. Raises ConnectionRefusedError where nobody listens."""
        await trio.lowlevel.checkpoint()
        await self._allowed_to_run()
        weather = self.network.weather
        listener = self.network.listeners.get(address)
        if weather is not None:
            if address.host in weather.refusing:
                await trio.sleep(weather.delay())
                raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            await weather.reach(self.name, address.host)
            await self._allowed_to_run()
            listener = self.network.listeners.get(address)
        connection = None if listener is None else listener.connect(self)
        try:
            if weather is not None:
                await weather.reach(address.host, self.name)
            await self._allowed_to_run()
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        if connection is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return connection

    def mark(self, connection: MemoryConnection) -> None:
        """Mark a connection as ready to be served."""
        self._ready[connection] = None
        self._event.set()

    async def wait(self, eager: bool = False, seconds: float | None = None) -> None:  # noqa: ARG002
        """Wait until a connection is ready, `wake` is called or the time is over, and the process may run."""
        with trio.move_on_after(math.inf if seconds is None else seconds):
            await self._event.wait()
        await self._allowed_to_run()
        self._event = trio.Event()

    def serve(self) -> None:
        """Call the handlers of the connections that are ready."""
        ready, self._ready = self._ready, {}
        for connection in ready:
            try:
                connection.serve()
            except Exception:
                give_up(connection)

    def more(self) -> bool:
        """Whether a connection is ready now."""
        return bool(self._ready)

    def wake(self) -> None:
        """Make `wait` return."""
        self._event.set()

    def freeze(self) -> None:
        """Let the process stand still: it serves nothing and dials nothing before `thaw`."""
        if self._frozen is None:
            self._frozen = trio.Event()

    def thaw(self) -> None:
        """Let the process go on."""
        if self._frozen is not None:
            self._frozen.set()
            self._frozen = None

    def expire(self, now: float) -> None:
        """Close the finished connections whose time for discarding input is over."""
        for connection in list(self.connections):
            if connection.discard_until is not None and connection.discard_until <= now:
                connection.close()

    def close(self) -> None:
        """Close all connections and stop, as the end of a process does."""
        self._closed = True
        for connection in list(self.connections):
            connection.close()

    def vanish(self) -> list[MemoryConnection]:
        """Disappear, as at a power cut. Return the connections, to be disowned when the power is back."""
        self._closed = True
        connections = list(self.connections)
        for connection in connections:
            connection.vanish()
        return connections

    async def _allowed_to_run(self) -> None:
        while self._frozen is not None:
            await self._frozen.wait()
        if self._closed:
            await trio.sleep_forever()
