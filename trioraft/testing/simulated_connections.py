"""The connections of the fast simulation between clients and nodes: bytes arrive late, in pieces, and in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

from trioraft.raft.messages import NodeId
from trioraft.testing.history import History
from trioraft.testing.pipelines import Exchange
from trioraft.testing.simulated_node import SimulatedNode, SimulatedSession


class Surroundings(Protocol):
    """The parts of the simulation that connections use."""

    now: int
    nodes: list[SimulatedNode]

    def do(self, node: SimulatedNode, act: Callable[..., None], *arguments: Any) -> None:
        """Let a node do something: later where it stands still; where its disk has failed, it ends."""

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        """Make the call `delay` microseconds from now."""


class Owner(Protocol):
    """The client at one end of a connection."""

    def hear(self, conversation: Conversation, lines: Sequence[bytes]) -> None:
        """Take whole lines from the node."""

    def lose(self, conversation: Conversation) -> None:
        """Note that the connection is gone."""


class Conversation:
    """One connection, from the client's side."""

    def __init__(self, connections: Connections, owner: Owner, session: SimulatedSession, exchange: Exchange) -> None:
        self.exchange = exchange
        self.open = True
        self.ended = False
        """Whether the client has said that it will ask no more."""
        self.session = session
        self._connections = connections
        self._owner = owner
        self._spoke = 0
        """When the newest bytes arrive at the node; later ones arrive after them."""
        self._heard = 0
        """When the newest replies arrive at the client; later ones arrive after them."""
        self._rest = b""
        """The beginning of a line whose end has not arrived."""

    def send(self, pieces: Sequence[bytes], end: bool = False) -> None:
        """Send these pieces. `end`: whether the client sends nothing after them."""
        self.ended = end
        for piece in [*pieces, b""] if end else pieces:
            delay, self._spoke = self._connections.arrival(self._spoke)
            self._connections.world.after(delay, self._arrive, piece)

    def hang_up(self) -> None:
        """Give up the connection."""
        self._connections.forget(self)
        self._lose()

    def reply(self, replies: bytes) -> None:
        """Let bytes that leave the node arrive at the client."""
        delay, self._heard = self._connections.arrival(self._heard)
        self._connections.world.after(delay, self._hear, replies)
        self._look_for_end()

    @property
    def node(self) -> NodeId:
        """The node at the other end."""
        return self.session.node.node

    def _arrive(self, data: bytes) -> None:
        node, world = self.session.node, self._connections.world
        if self.open and node.up and node.life == self.session.life:
            world.do(node, self._serve, data)
        elif self.open:
            self.hang_up()

    def _serve(self, data: bytes) -> None:
        """Let the node have the bytes, which may have waited while it stood still."""
        if self.open:
            self.session.node.serve(self.session, data)
            self._look_for_end()

    def _hear(self, replies: bytes) -> None:
        if self.open:
            *lines, self._rest = (self._rest + replies).split(b"\n")
            self._owner.hear(self, lines)

    def _look_for_end(self) -> None:
        """If the node has closed the connection, let the client learn it."""
        if self.session.done:
            delay, self._heard = self._connections.arrival(self._heard)
            self._connections.world.after(delay, self._hear_end)

    def _hear_end(self) -> None:
        if self.open:
            assert not self.exchange.waiting, f"never answered: {self.exchange.waiting[0]}"
            self.hang_up()

    def _lose(self) -> None:
        self.open = False
        self.session.abandon()
        self._owner.lose(self)


class Connections:
    """All connections of clients that are open."""

    def __init__(self, world: Surroundings, random: Random, history: History) -> None:
        self.world = world
        self._random = random
        self._history = history
        self._open: dict[SimulatedSession, Conversation] = {}

    def converse(self, owner: Owner, number: int, node: SimulatedNode) -> Conversation:
        """Connect the client of that number to a node that is up."""
        session = SimulatedSession(node, number)
        self._open[session] = conversation = Conversation(self, owner, session, Exchange(number, self._history))
        return conversation

    def forget(self, conversation: Conversation) -> None:
        """Note that a connection is closed."""
        self._open.pop(conversation.session, None)

    def replied(self, session: SimulatedSession, replies: bytes) -> None:
        """Let replies that leave a node arrive at their client, in order."""
        conversation = self._open.get(session)
        if conversation is not None:
            conversation.reply(replies)

    def node_died(self, node: NodeId) -> None:
        """Break every connection to a node that has died."""
        for conversation in list(self._open.values()):
            if conversation.node == node:
                conversation.hang_up()

    def arrival(self, last: int) -> tuple[int, int]:
        """Draw the delay and the time of an arrival after the `last` one: nothing overtakes on a connection."""
        now = self.world.now
        at = max(last + 1, now + 50 + self._random.randrange(2000))
        return at - now, at
