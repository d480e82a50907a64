"""The users of the fast simulation: they talk to one node after another, until each has brought its work to an end."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from trioraft.testing.pipelines import Done
from trioraft.testing.simulated_connections import Connections, Conversation, Surroundings
from trioraft.testing.users.crew import NUMBERS
from trioraft.testing.users.user import Next, User
from trioraft.wire.codec import encode

_IDLE: Final = 100_000
"""After about so many microseconds a user may do something of itself."""


class SimulatedUser:
    """One user and its connection."""

    def __init__(
        self, user: User, number: int, world: Surroundings, connections: Connections, random: Random, patience: int
    ) -> None:
        """`patience`: after how many microseconds without a reply it leaves a node."""
        self.user = user
        self._number = number
        self._world = world
        self._connections = connections
        self._random = random
        self._patience = patience
        self._conversation: Conversation | None = None
        self._due = False
        self._heard = 0
        """When it heard something, or had nothing to hear."""
        self._act_within(_IDLE)

    def hear(self, conversation: Conversation, lines: Sequence[bytes]) -> None:
        """Take lines from a node."""
        for line in lines:
            if conversation is not self._conversation:
                return  # it has left meanwhile
            told = conversation.exchange.take(line, self._world.now)
            self._heard = self._world.now
            if isinstance(told, Done):
                self._do(self.user.answered(told.asked, told.reply))
            else:
                self._do(self.user.told(told.stream, told.push))

    def lose(self, conversation: Conversation) -> None:
        """Note that the connection is gone."""
        del conversation
        self._conversation = None

    def _act_within(self, microseconds: int) -> None:
        self._world.after(1 + self._random.randrange(microseconds), self._act)

    def _act(self) -> None:
        """Connect, or let the user do something of itself."""
        if self.user.done:
            return
        self._act_within(2 * _IDLE)
        conversation = self._conversation
        if conversation is None:
            node = self._random.choice(self._world.nodes)
            if node.up:
                self._conversation = self._connections.converse(self, self._number, node)
                self._heard = self._world.now
                self._do(self.user.connected())
        elif conversation.exchange.waiting and self._world.now - self._heard > self._patience:
            conversation.hang_up()
        else:
            self._do(self.user.idle())

    def _do(self, asked: Next) -> None:
        conversation = self._conversation
        assert conversation is not None
        if asked is None:
            conversation.hang_up()
            return
        if not conversation.exchange.waiting:
            self._heard = self._world.now
        for one in asked:
            conversation.exchange.ask(one, self._world.now)
        if asked:
            conversation.send([b"".join(encode(one) + b"\n" for one in asked)])


def start_users(
    users: Sequence[User], world: Surroundings, connections: Connections, random: Random, patience: int
) -> None:
    """Let each of these users begin."""
    for number, user in enumerate(users, NUMBERS):
        SimulatedUser(user, number, world, connections, random, patience)
