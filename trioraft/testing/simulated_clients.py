"""The clients of a simulation: they speak lines to any node, and everything they see is recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from trioraft.raft.messages import NodeId
from trioraft.testing.history import History, Kind, Operation
from trioraft.testing.simulated_node import SimulatedNode, SimulatedSession
from trioraft.wire.codec import encode

MILLISECOND = 1000
RETIRE_AFTER = 10
"""Unknown outcomes, after which a key is used no more: each may take effect at any later time, and all is tried."""


MOST_WAITING = 16
"""Requests that a hasty client has under way."""

_Request = tuple[Operation, dict[str, object]]
"""What is noted of it, and its fields."""


class Surroundings(Protocol):
    """What clients need of the simulation."""

    now: int
    nodes: list[SimulatedNode]

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        """Call that, so many microseconds from now."""


class _Conversation:
    """One connection, from the client's side."""

    def __init__(self, node: NodeId, session: SimulatedSession, number: int) -> None:
        self.node = node
        self.session = session
        self.number = number
        self.open = True
        self.waiting: deque[Operation] = deque()
        """In order."""
        self.spoke = 0
        """When the newest line arrives, and the newest reply: a connection keeps its order."""
        self.heard = 0


class _Client:
    def __init__(self, number: int, own: list[str]) -> None:
        self.number = number
        self.conversation: _Conversation | None = None
        self.asked = 0
        """Counts what it asked, so that an old timeout says nothing about a new request."""
        self.due = False
        """Whether it is about to act."""
        self.own = own
        """Keys that it alone writes, one after the other, without waiting for the replies; none where it is patient."""


class Clients:
    """All clients of a run."""

    def __init__(self, world: Surroundings, random: Random, patience: int) -> None:
        """`patience`: after so many microseconds without an answer a client gives up, and does not know."""
        self.history = History()
        self.calm = False
        self.stale_reads = 0
        self._world = world
        self._random = random
        self._patience = patience
        self._think = random.choice((10, 30, 80)) * MILLISECOND
        self._values = 0
        self._keys = [f"key-{number}" for number in range(random.choice((2, 5, 12)))]
        self._next_key = len(self._keys)
        self._unknown: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._clients = [_Client(number, self._own_keys()) for number in range(random.randint(2, 6))]
        for client in self._clients:
            self._act_within(client, self._think)

    @property
    def keys(self) -> list[str]:
        """Every key that was ever used."""
        return [f"key-{number}" for number in range(self._next_key)]

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet, and may still get one."""
        conversations = [client.conversation for client in self._clients if client.conversation is not None]
        return sum(len(conversation.waiting) for conversation in conversations)

    def node_died(self, node: NodeId) -> None:
        """Every connection to it is broken."""
        for client in self._clients:
            if client.conversation is not None and client.conversation.node == node:
                self._hang_up(client)

    def replied(self, session: SimulatedSession, replies: bytes) -> None:
        """Replies leave the node; they arrive in their order."""
        for client in self._clients:
            conversation = client.conversation
            if conversation is not None and conversation.session is session:
                delay, conversation.heard = self._arrival(conversation.heard)
                self._world.after(delay, self._hear, client, conversation, replies)

    def read_all(self, keys: list[str], node: SimulatedNode) -> None:
        """One more client reads these keys, through that node."""
        client = _Client(len(self._clients), [])
        self._clients.append(client)
        client.conversation = conversation = self._converse(client, node)
        operations = [Operation(client.number, "get", key, self._world.now) for key in keys]
        self._say(client, conversation, [(operation, operation.request()) for operation in operations])

    # A client's life

    def _act_within(self, client: _Client, microseconds: int) -> None:
        """Let it act soon, once, however often it is told so."""
        if not client.due:
            client.due = True
            self._world.after(1 + self._random.randrange(microseconds), self._act, client)

    def _act(self, client: _Client) -> None:
        """Ask for something, if nothing is under way; who is hasty, if not too much is."""
        client.due = False
        if self.calm:
            return
        conversation = client.conversation
        waiting = len(conversation.waiting) if conversation is not None else 0
        if waiting >= (MOST_WAITING if client.own else 1):
            return
        if conversation is None or (not waiting and self._random.random() < 0.1):
            conversation = client.conversation = self._connect(client)
        if conversation is None:
            self._act_within(client, 40 * MILLISECOND)
            return
        self._say(client, conversation, self._draw_some(client))
        self._world.after(self._patience, self._lose_patience, client, client.asked)
        if client.own:
            self._act_within(client, self._think // 8)

    def _connect(self, client: _Client) -> _Conversation | None:
        node = self._random.choice(self._world.nodes)
        return self._converse(client, node) if node.up else None

    def _converse(self, client: _Client, node: SimulatedNode) -> _Conversation:
        return _Conversation(node.node, SimulatedSession(node, client.number), self.history.connect())

    def _own_keys(self) -> list[str]:
        return [self._new_key() for _ in range(MOST_WAITING)] if self._random.random() < 0.5 else []

    def _new_key(self) -> str:
        self._next_key += 1
        return f"key-{self._next_key - 1}"

    def _draw_some(self, client: _Client) -> list[_Request]:
        """What is asked in one go: mostly one request."""
        chance = self._random.random()
        if client.own and chance < 0.8:
            return [self._draw_put(client, client.own[client.asked % len(client.own)])]
        if chance < 0.05:
            # Each to another key: many of one key with unknown outcomes would be in no order that can be found.
            return [self._draw_put(client, key) for key in self._random.sample(self._keys, len(self._keys))]
        return [self._draw(client) for _ in range(self._random.randint(2, 6) if chance < 0.15 else 1)]

    def _draw_put(self, client: _Client, key: str) -> _Request:
        """A put without a condition or a deadline: those that come together are taken together."""
        operation = Operation(client.number, "put", key, self._world.now)
        self._values += 1
        operation.value = b"%d" % self._values
        return operation, operation.request()

    def _draw(self, client: _Client) -> _Request:
        """One request."""
        random = self._random
        key = random.choice(self._keys)
        if random.random() < 0.08:
            operation = Operation(client.number, "get", key, self._world.now, stale=True)
            return operation, operation.request()
        kinds: tuple[Kind, ...] = ("get", "get", "get", "get", "put", "put", "put", "incr", "delete")
        kind = random.choice(kinds)
        operation = Operation(client.number, kind, key, self._world.now)
        if kind == "put":
            self._values += 1
            operation.value = b"%d" % self._values
        if kind in ("put", "delete") and random.random() < 0.3:
            operation.if_rev = random.choice((0, self._revisions.get(key, 0), self._revisions.get(key, 0)))
        fields = operation.request()
        if random.random() < 0.05:
            fields["timeout_ms"] = random.choice((10, 50, 300))
        if random.random() < 0.05:
            fields["forward"] = False
        return operation, fields

    def _say(
        self,
        client: _Client,
        conversation: _Conversation,
        requests: list[_Request],
    ) -> None:
        client.asked += 1
        for operation, _ in requests:
            conversation.waiting.append(self.history.call(operation, conversation.number))
        lines = b"".join(encode(fields) + b"\n" for _, fields in requests)
        delay, conversation.spoke = self._arrival(conversation.spoke)
        self._world.after(delay, self._arrive, client, conversation, lines)

    def _arrival(self, last: int) -> tuple[int, int]:
        """How long the way takes, and when that is: nothing overtakes what was sent before it."""
        now = self._world.now
        at = max(last + 1, now + 50 + self._random.randrange(2000))
        return at - now, at

    def _arrive(self, client: _Client, conversation: _Conversation, lines: bytes) -> None:
        node = self._world.nodes[conversation.node]
        if conversation.open and node.up and node.life == conversation.session.life:
            node.serve(conversation.session, lines)
        elif conversation.open:
            self._hang_up(client)

    def _hear(self, client: _Client, conversation: _Conversation, replies: bytes) -> None:
        if not conversation.open:
            return
        for line in replies.splitlines():
            told = conversation.waiting.popleft()
            self.history.complete(told, self._world.now, line)
            self._learn(client, told)
        if not conversation.waiting or client.own:
            self._act_within(client, self._think)

    def _learn(self, client: _Client, told: Operation) -> None:
        if told.outcome == "unknown":
            self._doubt(client, told.key)
        answer = told.answer
        if told.outcome not in ("done", "conflict") or answer is None or answer.rev is None:
            return
        self.stale_reads += told.stale
        self._revisions[told.key] = answer.rev

    def _lose_patience(self, client: _Client, asked: int) -> None:
        conversation = client.conversation
        if client.asked == asked and conversation is not None and conversation.waiting:
            self._hang_up(client)

    def _hang_up(self, client: _Client) -> None:
        """Give up the connection: what had no answer has an outcome that nobody will know."""
        conversation = client.conversation
        assert conversation is not None
        conversation.open = False
        client.conversation = None
        for operation in conversation.waiting:
            if operation.kind != "get":
                self._doubt(client, operation.key)
        self._act_within(client, self._think)

    def _doubt(self, client: _Client, key: str) -> None:
        self._unknown[key] = self._unknown.get(key, 0) + 1
        if self._unknown[key] >= RETIRE_AFTER:
            for keys in (self._keys, client.own):
                if key in keys:
                    keys[keys.index(key)] = self._new_key()
