"""The replicator, one task a peer: it keeps the outgoing connection up, and notices when the peer's process is dead."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final, Protocol

import trio

from trioraft.addresses import AddressError, member_address
from trioraft.cluster.handshake import Acknowledged
from trioraft.raft.messages import NodeId
from trioraft.replica.troubles import Trouble
from trioraft.server.links import Link, Outgoing
from trioraft.server.transport import Connection, Hub
from trioraft.wire.peers import PeerHello, PeerRefused, encode

HANDSHAKE_SECONDS: Final = 2.0
SHORTEST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
REMEMBERED: Final = 8

log = logging.getLogger("trioraft.links")


class Host(Protocol):
    """The parts of the node that a replicator uses."""

    def introduction(self, peer: NodeId) -> PeerHello:
        """The introduction to that peer."""

    def acknowledged(self, peer: NodeId) -> Acknowledged:
        """The entry up to which the peer is now known to have synced."""

    def objection(self, peer: NodeId, answer: PeerHello, asked: Acknowledged) -> PeerRefused | None:
        """Say why the node that answered is not the peer, or None. `asked`: what was known when it was dialled."""

    def is_removed_by(self, peer: NodeId, refused: PeerRefused, asked: Acknowledged) -> bool:
        """Whether that peer's refusal tells that this node has been removed; if so, it is noted."""

    def link_up(self, peer: NodeId, link: Link) -> None:
        """Take a connection to the peer that is ready for messages."""

    def link_down(self, peer: NodeId) -> None:
        """Note that the connection is gone."""

    def link_free(self) -> None:
        """Note that the connection has room again."""

    def in_trouble(self, trouble: Trouble) -> None:
        """Note why there is no connection to a peer."""

    def peer_lost(self, peer: NodeId) -> None:
        """Note that the peer's process is dead: nobody listens at its address."""


class Replicator:
    """The connection to one peer, dialled again and again."""

    def __init__(self, hub: Hub, host: Host, peer: NodeId, address: str) -> None:
        self.peer = peer
        self.address = address
        self._hub = hub
        self._host = host
        self._again = trio.Event()
        self._hurried = trio.Event()
        self._dialling = trio.CancelScope()
        self._reported: deque[str] = deque(maxlen=REMEMBERED)
        """The log lines about this peer since it was last connected: some errors take turns."""
        self._turn = 0
        """With which address of the peer's name the next dial begins."""
        self._stopped = False

    def stop(self) -> None:
        """Stop for good: the peer is no peer any more."""
        self._stopped = True
        self.redial()

    def redial(self) -> None:
        """Replace the present connection by one with a new introduction."""
        self._again.set()
        self.hurry()

    def hurry(self) -> None:
        """Begin the next try at once, and give up a silent dial, because the peer has shown itself."""
        self._hurried.set()
        self._dialling.cancel()

    async def run(self) -> None:
        """Dial, introduce this node, wait for the end, and begin again, for ever."""
        pause = SHORTEST_PAUSE
        while not self._stopped:
            self._again = trio.Event()
            self._hurried = trio.Event()
            began = trio.current_time()
            try:
                connected = await self._connect_once()
            except Exception:
                log.exception("the connection to node %d has failed, which is a bug; it is dialled again", self.peer)
                connected = False
            if connected:
                pause = SHORTEST_PAUSE  # and at least that long, because some nodes only answer and hang up
            with trio.move_on_at(began + pause):
                await self._hurried.wait()
            await trio.sleep_until(began + SHORTEST_PAUSE)  # two nodes that refuse each other would hurry each other
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _connect_once(self) -> bool:
        """Run one connection from its beginning to its end. Return False if there was none."""
        connection = await self._dial()
        if connection is None:
            return False
        answers: list[PeerHello | PeerRefused] = []
        changed = trio.Event()
        broken = trio.Event()

        def answered(answer: PeerHello | PeerRefused) -> None:
            answers.append(answer)
            changed.set()

        def ended() -> None:
            broken.set()
            changed.set()

        connection.handler = Outgoing(connection, answered, self._host.link_free, ended)
        connection.resume()
        asked = self._host.acknowledged(self.peer)  # its answer may not show yet what the peer acknowledges from now on
        connection.send(encode(self._host.introduction(self.peer)))
        try:
            with trio.move_on_after(HANDSHAKE_SECONDS):
                await changed.wait()
            refusal = self._judge(answers, asked)
            if refusal is not None:
                self._turn += 1
                self._report(refusal)
                return False
            self._reported.clear()
            log.info("connected to node %d at %s", self.peer, self.address, extra={"about": self.peer})
            self._host.link_up(self.peer, Link(connection))
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_first, self._again, nursery.cancel_scope)
                    nursery.start_soon(_first, broken, nursery.cancel_scope)
            finally:
                self._host.link_down(self.peer)
            if self._again.is_set():
                log.debug("the connection to node %d is ended here", self.peer, extra={"about": self.peer})
            else:
                log.info("the connection to node %d is gone", self.peer, extra={"about": self.peer})
            return True
        finally:
            connection.close()

    async def _dial(self) -> Connection | None:
        """Connect to the node that answers at the peer's address. Return None if none answers, or `hurry` is called."""
        try:
            with trio.fail_after(HANDSHAKE_SECONDS), trio.CancelScope() as self._dialling:
                return await self._hub.dial(member_address(self.address), self._turn)
        except ConnectionRefusedError as error:
            self._cannot_be_reached(error, logging.INFO)
            self._host.peer_lost(self.peer)
        except (AddressError, OSError, trio.TooSlowError) as error:
            self._cannot_be_reached(error, logging.WARNING)
        return None

    def _cannot_be_reached(self, error: Exception, level: int) -> None:
        message = f"node {self.peer} at {self.address} cannot be reached: {_reason(error)}"
        self._host.in_trouble(Trouble(self.peer, "to", "connect", message, ""))
        self._report(message, level)

    def _judge(self, answers: list[PeerHello | PeerRefused], asked: Acknowledged) -> str | None:
        """Say what is wrong with the answer to the introduction; nothing if that was said already."""
        if not answers:
            message = (
                f"{self.address} does not introduce itself as node {self.peer}: it closed the connection, or is silent"
            )
            self._host.in_trouble(Trouble(self.peer, "to", "silent", message, ""))
            return message
        answer = answers[0]
        if isinstance(answer, PeerHello):
            objection = self._host.objection(self.peer, answer, asked)
            if objection is None:
                return None
            self._host.in_trouble(Trouble(self.peer, "at", objection.reason, objection.message, objection.hint))
            return f"{objection.message} ({objection.hint})"
        if self._host.is_removed_by(self.peer, answer, asked):
            return ""
        return f"node {self.peer} at {self.address} refuses this node: {answer.message} ({answer.hint})"

    def _report(self, trouble: str, level: int = logging.WARNING) -> None:
        """Log a line once, until there is a connection."""
        if trouble and trouble not in self._reported:
            self._reported.append(trouble)
            log.log(level, "%s", trouble, extra={"about": (self.peer, len(self._reported))})


def _reason(error: Exception) -> str:
    """The words for an error: some errors have a number and no words, and a timeout has neither."""
    if isinstance(error, trio.TooSlowError):
        return f"no answer within {HANDSHAKE_SECONDS:g} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


async def _first(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
