"""A hub whose connections between nodes obey the faults that are set on command. Those of clients are left alone.

A cut is silence, as a network has it: bytes are held, nobody is told of an end, dials get no answer. What was sent is
not lost as long as its connection lives, and a node gives a connection up on which it has been unheard for too long.
A lost share is what TCP makes of it: what is lost is sent again later, all behind it waits, and where it is lost again
and again the connection breaks. A message may be missing on no connection that lives: the nodes rely on that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from trioraft.addresses import Address
from trioraft.raft.messages import NodeId
from trioraft.raft.ready import Random
from trioraft.server.accepting import PEER_START
from trioraft.server.dialling import SILENT_SECONDS
from trioraft.server.faults import FAIR, Faults
from trioraft.server.guards import give_up
from trioraft.server.links import MAX_INTRODUCTION
from trioraft.server.transport import NOBODY, Connection, Handler, Hub, Listener
from trioraft.wire.codec import BadLine
from trioraft.wire.faults import Way
from trioraft.wire.peers import PeerHello, decode_handshake

RESEND_SECONDS: Final = 0.2
"""After how long TCP sends again what was lost; it waits twice as long before each further attempt."""
IN_FLIGHT_BYTES: Final = 256 * 1024
"""How many bytes are held in a direction before the sender has to wait, as it has to for full buffers."""

Piece = bytes | None
"""What goes over a connection: bytes, none of which mean the end, or None, behind which nothing comes at all."""


class _Lane:
    """One direction of a connection between nodes: what is on its way, in order."""

    def __init__(
        self, faults: Faults, random: Random, peer: NodeId, way: Way, patience: float, deliver: Callable[[Piece], None]
    ) -> None:
        """`patience`: after how many seconds of a cut the connection breaks for what is held."""
        self.bytes = 0
        """How many bytes are held."""
        self._faults = faults
        self._random = random
        self._peer = peer
        self._way: Way = way
        self._patience = patience
        self._deliver = deliver
        self._held: deque[tuple[float, float, Piece]] = deque()
        """When each piece was sent, when it is due, and the piece."""

    def __bool__(self) -> bool:
        """Whether something is held."""
        return bool(self._held)

    def carry(self, piece: Piece, now: float) -> None:
        """Deliver the piece, or hold it until it is due and all before it is delivered."""
        weather = self._faults.weather(self._peer, self._way)
        if weather is FAIR and not self._held:
            self._deliver(piece)
            return
        self._held.append((now, now + weather.delay + self._draw_loss(weather.loss), piece))
        self.bytes += len(piece or b"")

    def release(self, now: float) -> None:
        """Deliver what is due."""
        while self._held and self._is_free(now):
            _, _, piece = self._held.popleft()
            self.bytes -= len(piece or b"")
            self._deliver(piece)

    def clear(self) -> None:
        """Drop what is held."""
        self._held.clear()
        self.bytes = 0

    @property
    def breaks_at(self) -> float:
        """When the connection breaks for what is held; infinite where it does not."""
        if not self._held:
            return math.inf
        since, due, _ = self._held[0]
        if self._faults.weather(self._peer, self._way).is_cut:
            return since + self._patience
        return since + SILENT_SECONDS if due == math.inf else math.inf

    @property
    def next_due(self) -> float:
        """When something is to be delivered next, unless the faults change."""
        if not self._held or self._faults.weather(self._peer, self._way).is_cut:
            return math.inf
        return self._held[0][1]

    def _is_free(self, now: float) -> bool:
        weather = self._faults.weather(self._peer, self._way)
        return weather is FAIR or (not weather.is_cut and self._held[0][1] <= now)

    def _draw_loss(self, percent: int) -> float:
        """How many seconds it takes until a copy arrives; infinite where all are lost that are sent in time."""
        late, wait = 0.0, RESEND_SECONDS
        while percent and self._random.randrange(0, 100) < percent:
            late += wait
            wait *= 2
            if late > SILENT_SECONDS:
                return math.inf
        return late


class FaultyConnection:
    """A connection that obeys the faults, once its first line has told that it is one between nodes."""

    def __init__(self, hub: FaultyHub, inner: Connection, *, dialled: bool) -> None:
        """`dialled`: by this node."""
        self.handler: Handler = NOBODY
        self.remote = inner.remote
        self._hub = hub
        self._inner = inner
        self._dialled = dialled
        self._peer: NodeId | None = None
        self._lanes: dict[Way, _Lane] = {}
        """Both directions; none for a client, and before the first line."""
        self._start: bytes | None = None if dialled else b""
        """What has come of the first line; None once it is known who has dialled."""
        self._is_open = True
        self._is_paused = False
        """Whether nothing is read because so much is held that has come in."""
        self._has_ended = False
        """Whether the other end has said its last."""
        self._is_heard = dialled
        """Whether anything that came in was delivered."""
        inner.handler = self

    # For the owner of the connection

    @property
    def unsent(self) -> int:
        """Bytes kept because the other end does not take them yet."""
        lane = self._lanes.get("to")
        return self._inner.unsent + (0 if lane is None else max(0, lane.bytes - IN_FLIGHT_BYTES))

    def send(self, data: bytes) -> None:
        """Send, now as far as possible."""
        if self._dialled and self._peer is None:
            self._meet(data)
        self._put("to", data)

    def pause(self) -> None:
        """Stop reading."""
        self._inner.pause()

    def resume(self) -> None:
        """Go on reading."""
        self._inner.resume()

    def admit(self) -> None:
        """It is a peer's."""
        self._inner.admit()

    def finish(self) -> None:
        """Send what is kept, say that this is all, discard input for a moment, and close."""
        self._put("to", None)

    def close(self) -> None:
        """Close now; the handler is not told, and neither is a peer that this node does not reach."""
        if not self._is_open:
            return
        self._is_open = False
        self._let_go()
        for lane in self._lanes.values():
            lane.clear()
        self._hub.held.pop(self, None)
        if self._peer is not None and not self._has_ended and self._hub.faults.weather(self._peer, "to").is_cut:
            self._hub.leave_open(self._inner, self._peer)
        else:
            self._inner.close()

    # For the hub

    def received(self, data: bytes) -> None:
        """Bytes came in; none at all: the other end has said its last."""
        if self._start is not None:
            start = self._start + data
            if data and _is_unfinished(start):
                self._start = start
                return
            self._start = None
            self._meet(start)
            if start:
                self._put("from", start)
            if data:
                return
        self._has_ended = self._has_ended or not data
        self._put("from", data)
        if self._has_ended and not self._is_heard:
            self._break()  # a dial that was given up: nobody here has heard of it

    def drained(self) -> None:
        """All that the inner connection had to keep has gone out."""
        if not self._lanes.get("to"):
            self.handler.drained()

    def broken(self) -> None:
        """The inner connection is gone."""
        self._has_ended = True
        self._put("from", None)

    def release(self, now: float) -> None:
        """Deliver what is due, or break where it has been held for too long."""
        for lane in self._lanes.values():
            lane.release(now)
        if any(lane.breaks_at <= now for lane in self._lanes.values()):
            self._break()
        elif not any(self._lanes.values()):
            self._hub.held.pop(self, None)
        if self._is_paused and self._lanes["from"].bytes <= IN_FLIGHT_BYTES:
            self._is_paused = False
            self._inner.resume()

    @property
    def next_due(self) -> float:
        """When `release` has something to do next, unless the faults change."""
        return min(min(lane.next_due, lane.breaks_at) for lane in self._lanes.values())

    def _meet(self, line: bytes) -> None:
        """Learn from the first line, if it is one of a node, which peer is at the other end."""
        self._peer = peer = _peer_in(line, dialled=self._dialled)
        if peer is not None:
            faults, random = self._hub.faults, self._hub.random
            patience = SILENT_SECONDS if self._dialled else math.inf
            self._lanes["to"] = _Lane(faults, random, peer, "to", patience, self._give)
            self._lanes["from"] = _Lane(faults, random, peer, "from", math.inf, self._take)

    def _put(self, way: Way, piece: Piece) -> None:
        if not self._is_open:
            return
        lane = self._lanes.get(way)
        if lane is None:
            (self._give if way == "to" else self._take)(piece)
            return
        lane.carry(piece, trio.current_time())
        if lane:
            self._hub.hold(self)
        if way == "from" and lane.bytes > IN_FLIGHT_BYTES:
            self._is_paused = True
            self._inner.pause()

    def _give(self, piece: Piece) -> None:
        """Let the piece go out."""
        if piece is None:
            self._inner.finish()
            self._let_go()
        else:
            self._inner.send(piece)

    def _let_go(self) -> None:
        """Tell the handler nothing more. Connections that know each other would wait for the garbage collector."""
        self.handler = self._inner.handler = NOBODY

    def _take(self, piece: Piece) -> None:
        """Let the piece come in."""
        self._is_heard = True
        if piece is None:
            self._break()
        else:
            self.handler.received(piece)

    def _break(self) -> None:
        if self._is_open:
            handler = self.handler
            self.close()
            handler.broken()


class FaultyListener:
    """A listener whose connections obey the faults."""

    def __init__(self, hub: FaultyHub, inner: Listener) -> None:
        self.address = inner.address
        self._hub = hub
        self._inner = inner

    async def accept(self) -> list[Connection]:
        """Those that wait, one at least. Raises OSError."""
        return [FaultyConnection(self._hub, inner, dialled=False) for inner in await self._inner.accept()]

    def close(self) -> None:
        """Take no more."""
        self._inner.close()


class FaultyHub:
    """All connections of one node, over another hub."""

    def __init__(self, inner: Hub, faults: Faults, random: Random) -> None:
        """`random` decides what is lost."""
        self.faults = faults
        self.random = random
        self.held: dict[FaultyConnection, None] = {}
        """The connections on which something is held."""
        self._inner = inner
        self._left_open: dict[Connection, NodeId] = {}
        """The connections that are closed for this node, and whose end no peer has been told of."""
        self._changed = trio.Event()
        self._next = math.inf
        """When something that is held is due."""
        faults.on_change.append(self._change)

    @property
    def full(self) -> bool:
        """Whether more have come in, peers apart, than there are places for."""
        return self._inner.full

    def listen(self, address: Address) -> FaultyListener:
        """Listen there. Raises OSError."""
        return FaultyListener(self, self._inner.listen(address))

    async def dial(self, address: Address, turn: int = 0) -> FaultyConnection:
        """Connect to there, as soon as no cut is in the way. Raises OSError."""
        while not self.faults.reaches(str(address)):
            await self._changed.wait()
        return FaultyConnection(self, await self._inner.dial(address, turn), dialled=True)

    async def wait(self, eager: bool = False, seconds: float | None = None) -> None:
        """Return when a connection is ready, `wake` was called, or so many seconds are over."""
        with trio.move_on_at(min(self._next, self.faults.next_end)) as scope:
            await self._inner.wait(eager, seconds)
        if scope.cancelled_caught:
            self._inner.wake()
            await self._inner.wait(eager, seconds)  # which a process that stands still does not leave

    def serve(self) -> None:
        """Call the handlers of the connections that are ready, or on which something is due."""
        self.faults.expire()
        self._inner.serve()
        now = trio.current_time()
        for connection in list(self.held):
            try:
                connection.release(now)
            except Exception:
                give_up(connection)
        self._next = min((connection.next_due for connection in self.held), default=math.inf)

    def more(self) -> bool:
        """Whether a connection is ready now."""
        return self._inner.more()

    def wake(self) -> None:
        """Make `wait` return; may be called from any thread."""
        self._inner.wake()

    def expire(self, now: float) -> None:
        """Close the finished connections whose time to discard is over."""
        self._inner.expire(now)

    def close(self) -> None:
        """Close everything."""
        self._inner.close()

    def hold(self, connection: FaultyConnection) -> None:
        """Something is held on that connection."""
        self.held[connection] = None
        if connection.next_due < self._next:
            self._next = connection.next_due
            self._inner.wake()

    def leave_open(self, connection: Connection, peer: NodeId) -> None:
        """Have that connection, which is no longer used, end for the peer only when that can be told so."""
        self._left_open[connection] = peer

    def _change(self) -> None:
        """The faults are others."""
        for connection, peer in list(self._left_open.items()):
            if not self.faults.weather(peer, "to").is_cut:
                del self._left_open[connection]
                connection.close()
        self._changed.set()
        self._changed = trio.Event()
        self._inner.wake()


def _is_unfinished(start: bytes) -> bool:
    """Whether this may yet become the first line of a node."""
    if len(start) < len(PEER_START):
        return PEER_START.startswith(start)
    return start.startswith(PEER_START) and b"\n" not in start and len(start) <= MAX_INTRODUCTION


def _peer_in(line: bytes, *, dialled: bool) -> NodeId | None:
    """The peer that the introduction names, which this node sends if it has dialled; None where it is none."""
    if not line.startswith(PEER_START):
        return None
    try:
        hello = decode_handshake(line.partition(b"\n")[0])
    except BadLine:
        return None
    if not isinstance(hello, PeerHello):
        return None
    return hello.receiver if dialled else hello.sender
