"""One task a peer: keeps the outgoing connection up, and notices when the peer's process is dead."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final, Protocol

import trio

from trioraft.addresses import AddressError, member_address
from trioraft.cluster.handshake import Acknowledged
from trioraft.raft.messages import NodeId
from trioraft.server.links import Link, Outgoing
from trioraft.server.transport import Connection, Hub
from trioraft.wire.peers import PeerHello, PeerRefused, encode

HANDSHAKE_SECONDS: Final = 2.0
SHORTEST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
REMEMBERED: Final = 8

log = logging.getLogger("trioraft.links")


class Host(Protocol):
    """What a replicator needs of its node."""

    def introduction(self, peer: NodeId) -> PeerHello:
        """What to say to that peer first."""

    def acknowledged(self, peer: NodeId) -> Acknowledged:
        """How far the peer is known to have synced by now."""

    def objection(self, peer: NodeId, answer: PeerHello, asked: Acknowledged) -> PeerRefused | None:
        """Why the one who answered is not the peer, or None; `asked` is what was known when it was asked."""

    def is_removed_by(self, peer: NodeId, refused: PeerRefused, asked: Acknowledged) -> bool:
        """Whether the refusal, of one that is that peer, tells that this node has been removed; it is noted."""

    def link_up(self, peer: NodeId, link: Link) -> None:
        """A connection to the peer is ready for messages."""

    def link_down(self, peer: NodeId) -> None:
        """It is gone."""

    def link_free(self) -> None:
        """A connection has room again."""

    def peer_lost(self, peer: NodeId) -> None:
        """The peer's process is dead: nobody listens at its address."""


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
        """What has been said of this peer since it was last connected: some troubles take turns."""
        self._turn = 0
        """With which address of a name that has several the next dial begins."""
        self._stopped = False

    def stop(self) -> None:
        """The peer is no peer any more."""
        self._stopped = True
        self.redial()

    def redial(self) -> None:
        """Give up the present connection, for a new one with another introduction."""
        self._again.set()
        self.hurry()

    def hurry(self) -> None:
        """Begin the next try at once, and give up a dial that is silent so far: the peer has shown itself."""
        self._hurried.set()
        self._dialling.cancel()

    async def run(self) -> None:
        """Dial, introduce, wait for the end, and again."""
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
                pause = SHORTEST_PAUSE  # and that long at least: there are some who only answer and hang up
            with trio.move_on_at(began + pause):
                await self._hurried.wait()
            await trio.sleep_until(began + SHORTEST_PAUSE)  # two that fail at each other hurry each other
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _connect_once(self) -> bool:
        """One connection, from its beginning to its end; False if it did not come about."""
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
        asked = self._host.acknowledged(
            self.peer
        )  # what the peer acknowledges from now on, its answer may not show yet
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
        """A connection to whoever answers at the peer's address; None where nobody does, or `hurry` was called."""
        try:
            with trio.fail_after(HANDSHAKE_SECONDS), trio.CancelScope() as self._dialling:
                return await self._hub.dial(member_address(self.address), self._turn)
        except ConnectionRefusedError as error:
            self._report(self._unreachable(error), logging.INFO)
            self._host.peer_lost(self.peer)
        except (AddressError, OSError, trio.TooSlowError) as error:
            self._report(self._unreachable(error))
        return None

    def _unreachable(self, error: Exception) -> str:
        return f"node {self.peer} at {self.address} cannot be reached: {_reason(error)}"

    def _judge(self, answers: list[PeerHello | PeerRefused], asked: Acknowledged) -> str | None:
        """What is wrong with the answer to the introduction, in words; none where it has been said."""
        if not answers:
            return (
                f"{self.address} does not introduce itself as node {self.peer}: it closed the connection, or is silent"
            )
        answer = answers[0]
        if isinstance(answer, PeerHello):
            objection = self._host.objection(self.peer, answer, asked)
            return None if objection is None else f"{objection.message} ({objection.hint})"
        if self._host.is_removed_by(self.peer, answer, asked):
            return ""
        return f"node {self.peer} at {self.address} refuses this node: {answer.message} ({answer.hint})"

    def _report(self, trouble: str, level: int = logging.WARNING) -> None:
        """Say it once, until there is a connection."""
        if trouble and trouble not in self._reported:
            self._reported.append(trouble)
            log.log(level, "%s", trouble, extra={"about": (self.peer, len(self._reported))})


def _reason(error: Exception) -> str:
    """What there is to say of it; some errors have a number and no words, and a time that is over has neither."""
    if isinstance(error, trio.TooSlowError):
        return f"no answer within {HANDSHAKE_SECONDS:g} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


async def _first(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
