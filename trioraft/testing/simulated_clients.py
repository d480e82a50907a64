"""The clients of the fast simulation: they send lines to any node, and record everything that they see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random

from trioraft.raft.messages import NodeId
from trioraft.testing.belongings import Fields
from trioraft.testing.history import Operation
from trioraft.testing.pipelines import Done, Pipelines
from trioraft.testing.simulated_connections import Connections, Conversation, Surroundings
from trioraft.testing.simulated_node import SimulatedNode
from trioraft.wire.operations import OPERATIONS

MILLISECOND = 1000
RETIRE_AFTER = 10
"""From this many unknown outcomes on, a key is no longer used: each may take effect later, and the judge tries all."""


MOST_WAITING = 16
"""The most requests that a hasty client has under way."""
MOST_DOUBTS = 4
"""From this many writes under way or of unknown outcome on, a key is not written in a pipeline."""
LASTING = 3
"""How many nodes stay members whatever clients ask: with fewer there would be no elections."""
GUESTS = 3
"""The most newcomers; none of them has a node."""
NOBODY = 999
"""An id that no member has."""

_Request = tuple[Operation | None, Fields]
"""The entry in the history, if one was made already, and the request's fields."""


class _Client:
    def __init__(self, clients: Clients, number: int, own: list[str]) -> None:
        self.number = number
        self.conversation: Conversation | None = None
        self.hear = partial(clients.hear, self)
        self.lose = partial(clients.lose, self)
        self.asked = 0
        """How often it has asked, so that an old timeout does not concern a new request."""
        self.due = False
        """Whether its next act is scheduled."""
        self.own = own
        """The keys that it alone writes, in turn, without waiting for replies; none for a patient client."""


class Clients:
    """All clients of a run."""

    def __init__(
        self, world: Surroundings, connections: Connections, random: Random, patience: int, changes: bool
    ) -> None:
        """`patience`: after how many microseconds without a reply a client gives up, with an unknown outcome.

        `changes`: whether they change the members and the leader.
        """
        self.stale_reads = 0
        self.asked: dict[str, int] = dict.fromkeys(OPERATIONS, 0)
        """For each operation: how many requests were answered."""
        self._calm = False
        self._world = world
        self._connections = connections
        self._random = random
        self._patience = patience
        self._think = random.choice((10, 30, 80)) * MILLISECOND
        self._values = 0
        self._keys = [f"key-{number}" for number in range(random.choice((2, 5, 12)))]
        self._next_key = len(self._keys)
        self._unknown: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._snapshot: int = 0
        """The index at which the newest known snapshot ends."""
        self._guests: list[NodeId] = []
        self._pipelines = Pipelines(random, self, changes)
        self._piped = random.choice((0.02, 0.1, 0.3))
        """How often a client sends a pipeline of requests of every kind."""
        self._clients = [_Client(self, number, self._own_keys()) for number in range(random.randint(2, 6))]
        for client in self._clients:
            self._act_within(client, self._think)

    @property
    def calm(self) -> bool:
        """Whether the faults have ended: the clients then only wait for their replies."""
        return self._calm

    @calm.setter
    def calm(self, calm: bool) -> None:
        self._calm = self._pipelines.patient = calm

    @property
    def keys(self) -> list[str]:
        """Every key that was ever used."""
        return [f"key-{number}" for number in range(self._next_key)]

    @property
    def waiting(self) -> int:
        """How many requests have no reply yet and may still get one."""
        conversations = [client.conversation for client in self._clients if client.conversation is not None]
        return sum(len(conversation.exchange.waiting) for conversation in conversations)

    def ask_all(self, keys: list[str], node: SimulatedNode) -> None:
        """Let one more client read these keys through that node, and send a request of every operation."""
        client = _Client(self, len(self._clients), [])
        self._clients.append(client)
        client.conversation = conversation = self._connections.converse(client, client.number, node)
        operations = [Operation(client.number, "get", key, self._world.now) for key in keys]
        self._say(client, conversation, [(operation, operation.request()) for operation in operations])
        self._say(client, conversation, [(None, asked) for asked in self._pipelines.all()], True)

    # What there is to ask for

    def key(self, op: str) -> str:
        """Draw a key for that operation. A key with many unknown outcomes is not written: nobody could judge it."""
        if OPERATIONS[op].kind == "write":
            doubts = Counter(self._unknown)
            for client in self._clients:
                if client.conversation is not None:
                    doubts.update(write.key for write in client.conversation.exchange.unanswered_writes())
            return self._random.choice([key for key in self._keys if doubts[key] < MOST_DOUBTS] or [self._new_key()])
        return self._random.choice(self._keys)

    def value(self) -> bytes:
        """Make a value, a new one each time."""
        self._values += 1
        return b"%d" % self._values

    def rev(self, key: str) -> int:
        """The newest known revision of the key, or 0."""
        return self._revisions.get(key, 0)

    def snapshot(self) -> int:
        """Draw an index at which a snapshot may end."""
        return self._random.choice((self._snapshot, self._random.randrange(50)))

    def address(self) -> str:
        """An address for a new member; after the faults only that of a present member."""
        return "node-0:1" if self.calm else f"guest-{self._random.randrange(GUESTS)}:1"

    def removable(self) -> NodeId:
        """Draw a guest, or a node that need not stay; after the faults only an id that no member has."""
        some: list[NodeId] = [] if self.calm else [*self._guests, *range(LASTING, len(self._world.nodes))]
        return self._random.choice([*some, NOBODY])

    def target(self) -> NodeId:
        """Draw a node that may lead."""
        return self._random.randrange(len(self._world.nodes))

    # A client's life

    def _act_within(self, client: _Client, microseconds: int) -> None:
        """Let the client act soon; only once, however often this is called."""
        if not client.due:
            client.due = True
            self._world.after(1 + self._random.randrange(microseconds), self._act, client)

    def _act(self, client: _Client) -> None:
        """Ask for something: a patient client if nothing is under way, a hasty one if not too much is."""
        client.due = False
        if self.calm:
            return
        conversation = client.conversation
        waiting = len(conversation.exchange.waiting) if conversation is not None else 0
        if conversation is not None and conversation.ended:
            if not waiting:  # what was opened there may keep the connection open for ever
                conversation.hang_up()
            return
        if waiting >= (MOST_WAITING if client.own else 1):
            return
        if conversation is None or (not waiting and self._random.random() < 0.1):
            conversation = client.conversation = self._connect(client)
        if conversation is None:
            self._act_within(client, 40 * MILLISECOND)
            return
        if self._random.random() < self._piped:
            pipeline = self._pipelines.draw(self._random.randint(1, 12))
            self._say(client, conversation, [(None, asked) for asked in pipeline], self._random.random() < 0.2)
        else:
            self._say(client, conversation, self._draw_some(client))
        self._world.after(self._patience, self._lose_patience, client, client.asked)
        if client.own:
            self._act_within(client, self._think // 8)

    def _connect(self, client: _Client) -> Conversation | None:
        if client.conversation is not None:
            client.conversation.hang_up()
        node = self._random.choice(self._world.nodes)
        return self._connections.converse(client, client.number, node) if node.up else None

    def _own_keys(self) -> list[str]:
        return [self._new_key() for _ in range(MOST_WAITING)] if self._random.random() < 0.5 else []

    def _new_key(self) -> str:
        self._next_key += 1
        return f"key-{self._next_key - 1}"

    def _draw_some(self, client: _Client) -> list[_Request]:
        """Draw the requests to send at once: mostly one."""
        chance = self._random.random()
        if client.own and chance < 0.8:
            return [self._draw_put(client, client.own[client.asked % len(client.own)])]
        if chance < 0.05:
            # Each put has another key: for many unknown outcomes of one key, no order could be found in time.
            return [self._draw_put(client, key) for key in self._random.sample(self._keys, len(self._keys))]
        return [self._draw(client) for _ in range(self._random.randint(2, 6) if chance < 0.15 else 1)]

    def _draw_put(self, client: _Client, key: str) -> _Request:
        """Make a put without a condition or a deadline: the node takes puts like these together."""
        operation = Operation(client.number, "put", key, self._world.now, value=self.value())
        return operation, operation.request()

    def _draw(self, client: _Client) -> _Request:
        """Draw one request."""
        random = self._random
        key = random.choice(self._keys)
        if random.random() < 0.08:
            operation = Operation(client.number, "get", key, self._world.now, stale=True)
            return operation, operation.request()
        kinds: tuple[str, ...] = ("get", "get", "get", "get", "put", "put", "put", "incr", "delete")
        kind = random.choice(kinds)
        operation = Operation(client.number, kind, key, self._world.now)
        if kind == "put":
            operation.value = self.value()
        if kind in ("put", "delete") and random.random() < 0.3:
            operation.if_rev = random.choice((0, self.rev(key), self.rev(key)))
        fields = operation.request()
        if random.random() < 0.05:
            fields["timeout_ms"] = random.choice((10, 50, 300))
        if random.random() < 0.05:
            fields["forward"] = False
        return operation, fields

    def _say(
        self,
        client: _Client,
        conversation: Conversation,
        requests: list[_Request],
        end: bool = False,
    ) -> None:
        """Send the requests in pieces that are cut anywhere. `end`: whether the client sends nothing after them."""
        client.asked += 1
        for operation, asked in requests:
            conversation.exchange.ask(asked, self._world.now, operation)
        pieces = self._pipelines.cut(self._pipelines.lines([asked for _, asked in requests], end))
        conversation.send(pieces, end)

    def hear(self, client: _Client, conversation: Conversation, lines: Sequence[bytes]) -> None:
        """Take lines from a node."""
        for line in lines:
            done = conversation.exchange.take(line, self._world.now)
            if not isinstance(done, Done):
                continue
            self._pipelines.belongings.learn(done.asked, done.reply)
            self.asked[done.asked["op"]] += 1
            if done.operation is not None:
                self._learn(client, done.operation)
            elif done.asked["op"] == "snapshot" and done.reply["ok"]:
                self._snapshot = int(done.reply["index"])
            elif done.asked["op"] == "add_member" and done.reply["ok"]:
                self._guests.append(done.reply["member"]["id"])
        if not conversation.exchange.waiting or client.own:
            self._act_within(client, self._think)

    def lose(self, client: _Client, conversation: Conversation) -> None:
        """Note that a connection is gone: the requests without a reply have an unknown outcome for ever."""
        client.conversation = None
        for operation in conversation.exchange.unanswered_writes():
            self._doubt(client, operation.key)
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
        if client.asked == asked and conversation is not None and conversation.exchange.waiting and not self.calm:
            conversation.hang_up()

    def _doubt(self, client: _Client, key: str) -> None:
        self._unknown[key] = self._unknown.get(key, 0) + 1
        if self._unknown[key] >= RETIRE_AFTER:
            for keys in (self._keys, client.own):
                if key in keys:
                    keys[keys.index(key)] = self._new_key()
