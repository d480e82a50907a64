"""Clients for whole nodes in virtual time: they send bytes to any node, and record a history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, Protocol

import trio

from trioraft.addresses import Address
from trioraft.raft.messages import NodeId
from trioraft.testing.answers import Asked
from trioraft.testing.history import History, Operation
from trioraft.testing.network import MemoryConnection, MemoryHub, MemoryNetwork
from trioraft.testing.pipelines import Done, Exchange, Pipelines
from trioraft.wire.codec import encode

MAX_UNKNOWN: Final = 10
"""From this many operations of unknown outcome on, a key is no longer used: it would be too hard to judge."""
ANSWER_SECONDS: Final = 10.0
"""Within how many seconds every request must be answered once the faults have ended."""
MOST_WAITING: Final = 24
"""The most requests that a hasty client has under way."""

_KINDS: Final[dict[str, Sequence[str]]] = {
    "p": ("put", "put", "get"),
    "d": ("put", "get", "delete"),
    "n": ("incr", "incr", "get"),
}
"""For each first letter of a key: the operations on it. Only keys with a d are ever deleted."""
OWN: Final = "own"
"""The prefix of keys that one client alone writes, without waiting for replies, so that many outcomes are unknown."""
MOST_DOUBTS: Final = 4
"""From this many operations of unknown outcome on, a key is not written in a pipeline."""
NOBODY: Final = 999
"""An id that no member has."""


class Unanswered(AssertionError):
    """A request had no reply, although all faults had ended."""


class Surroundings(Protocol):
    """The clients' knowledge of the cluster."""

    def newcomer(self) -> str:
        """The address for a new member; once there are many members, the address of one of them."""

    def removable(self) -> Sequence[NodeId]:
        """The members that a client may ask to remove."""


class Keys:
    """The keys that all clients use."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._keys = [*("p0", "p1", "p2"), *("d0", "d1"), *("n0", "n1")]
        self._made = Counter(key[0] for key in self._keys)
        self._unknown: Counter[str] = Counter()

    def draw(self) -> str:
        """Draw any key."""
        return self._random.choice(self._keys)

    def draw_for(self, op: str) -> str:
        """Draw a key for that operation, one without many unknown outcomes if it writes."""
        fitting = [key for key in self._keys if op in _KINDS[key[0]]]
        if op == "get" or not fitting:
            return self.draw()
        calm = [key for key in fitting if self._unknown[key] < MOST_DOUBTS]
        return self._random.choice(calm) if calm else self._replace(fitting[0])

    def unknown(self, key: str) -> None:
        """Note that an operation on the key had an unknown outcome."""
        self._unknown[key] += 1
        if self._unknown[key] >= MAX_UNKNOWN and key in self._keys:
            self._replace(key)

    def _replace(self, key: str) -> str:
        self._made[key[0]] += 1
        new = self._keys[self._keys.index(key)] = f"{key[0]}{self._made[key[0]]}"
        return new


class Talk:
    """One connection and the requests on it."""

    def __init__(self, client: SimulatedClient, connection: MemoryConnection) -> None:
        self.exchange = Exchange(client.number, client.history, OWN)
        self.ended = False
        self.news = trio.Event()
        self._client = client
        self._connection = connection
        self._rest = b""

    def ask(self, asked: Asked, operation: Operation | None = None) -> None:
        """Note that this request is sent; `operation` is its entry in the history, if the caller has made one."""
        self.exchange.ask(asked, trio.current_time(), operation)

    def send(self, data: bytes) -> None:
        """Send a part of the requests."""
        self._connection.send(data)

    def shut(self) -> None:
        """Tell the node that no more requests follow."""
        self._connection.shut()

    def received(self, data: bytes) -> None:
        """Take replies, or a part of one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._client.report(f"client {self._client.number} is told {line.decode()}")
            if isinstance(done := self.exchange.take(line, trio.current_time()), Done):
                self._client.learn(done)
        self.ended = self.ended or not data
        self.news.set()

    def drained(self) -> None:
        """Do nothing: sending does not wait for room."""

    def broken(self) -> None:
        """Note that the connection is gone."""
        self.ended = True
        self.news.set()

    def close(self) -> None:
        """Close the connection; the requests without a reply have an unknown outcome."""
        self._connection.close()
        for operation in self.exchange.unanswered_writes():
            self._client.keys.unknown(operation.key)


class SimulatedClient:
    """One client, which talks to one node after another."""

    def __init__(
        self,
        number: int,
        network: MemoryNetwork,
        addresses: Sequence[Address],
        random: Random,
        history: History,
        keys: Keys,
        report: Callable[[str], None],
        cluster: Surroundings,
        changes: bool,
    ) -> None:
        """`changes`: whether it changes the members and the leader."""
        self.number = number
        self.history = history
        self.keys = keys
        self.report = report
        self.asked: Counter[str] = Counter()
        """For each operation: how many requests were answered."""
        self.calm = False
        """Whether the faults have ended: it then waits for every reply, and expects it soon."""
        self._lets_be = False
        """Whether it leaves the members and the leader as they are."""
        self._cluster = cluster
        self._revisions: dict[str, int] = {}
        self._snapshot = 0
        """The index at which the newest known snapshot ends."""
        self._hub = MemoryHub(network, f"client{number}")
        self._addresses = addresses
        self._random = random
        self._requests = 0
        self._pace = random.choice((0.01, 0.03, 0.1))
        self._burst = random.choice((1, 4, 12))
        self._pipelines = Pipelines(random, self, changes)
        self._piped = random.choice((0.0, 0.2, 0.6))
        """How often it sends a pipeline of requests of every kind."""

    async def run(self) -> None:
        """Talk to nodes until it is calm."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            while not self.calm:
                await self._talk_to(self._random.choice(self._addresses))
                await trio.sleep(self._random.uniform(0, 0.1))
            nursery.cancel_scope.cancel()

    async def say_goodbye(self, address: Address) -> None:
        """Write, read and send every other request through that node, after the faults. Raises Unanswered."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            with trio.fail_after(ANSWER_SECONDS):
                talk, connection = await self._connect(address)
            for kind in ("put", "get"):
                operation = Operation(self.number, kind, f"g{self.number}", trio.current_time(), self.value())
                self._ask(talk, [operation])
                await self._wait(talk)
                if operation.outcome != "done":
                    raise Unanswered(f"{operation} through {address}")
            self._pipelines.patient = True
            await self._pipe(talk, self._pipelines.all(), True)
            await self._wait(talk)
            connection.close()
            nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        while True:
            await self._hub.wait()
            self._hub.serve()

    async def _connect(self, address: Address) -> tuple[Talk, MemoryConnection]:
        connection = await self._hub.dial(address)
        talk = connection.handler = Talk(self, connection)
        connection.resume()
        return talk, connection

    async def _talk_to(self, address: Address) -> None:
        try:
            with trio.fail_after(1):
                talk, _ = await self._connect(address)
        except (OSError, trio.TooSlowError):
            return
        random = self._random
        hasty = random.random() < 0.3
        for _ in range(random.randint(1, 60 if hasty else 20)):
            if self.calm or talk.ended:
                break
            if random.random() < self._piped:
                end = random.random() < 0.2
                await self._pipe(talk, self._pipelines.draw(random.randint(1, 12)), end)
                if not await self._wait(talk) or end:
                    break
                continue
            if hasty and random.random() < 0.8:
                operations = [self._draw_own()]
            else:
                operations = [self._draw() for _ in range(random.randint(1, self._burst))]
            self._ask(talk, operations)
            if hasty and len(talk.exchange.waiting) < MOST_WAITING:
                await trio.sleep(random.expovariate(1 / self._pace) / 4)
                continue
            if random.random() < 0.02:
                break  # hang up without waiting
            if not await self._wait(talk):
                break
            await trio.sleep(random.expovariate(1 / self._pace))
        talk.close()

    async def _wait(self, talk: Talk) -> bool:
        """Wait for all replies, as long as the client is patient; whether all have come."""
        patience = trio.current_time() + self._random.choice((0.3, 3.0, 8.0))
        while talk.exchange.waiting and not talk.ended:
            calm = self.calm
            talk.news = trio.Event()
            with trio.move_on_at(trio.current_time() + ANSWER_SECONDS if calm else patience) as waiting:
                await talk.news.wait()
            if waiting.cancelled_caught and calm:
                raise Unanswered(f"client {self.number} has had no reply to {talk.exchange.waiting[0]}")
            if waiting.cancelled_caught and not self.calm:
                return False
        return not talk.exchange.waiting

    async def _pipe(self, talk: Talk, requests: Sequence[Asked], end: bool) -> None:
        """Send these requests in pieces that are cut anywhere. `end`: whether the client sends nothing after them."""
        for asked in requests:
            talk.ask(asked)
        for piece in self._pipelines.cut(self._pipelines.lines(requests, end)):
            talk.send(piece)
            await trio.sleep(self._random.choice((0.0, 0.0, 0.001, 0.02)))
        if end:
            talk.shut()

    def learn(self, done: Done) -> None:
        """Learn from a reply."""
        op, operation = done.asked["op"], done.operation
        self._pipelines.belongings.learn(done.asked, done.reply)
        self.asked[op] += 1
        if operation is not None:
            if operation.outcome == "unknown":
                self.keys.unknown(operation.key)
            if operation.answer is not None and operation.answer.rev:
                self._revisions[operation.key] = operation.answer.rev
        elif op == "snapshot" and done.reply["ok"]:
            self._snapshot = done.reply["index"]

    # What there is to ask for

    def key(self, op: str) -> str:
        """Draw a key for that operation."""
        return self.keys.draw_for(op)

    def value(self) -> bytes:
        """Make a value, a new one each time."""
        self._requests += 1
        return encode(f"{self.number}-{self._requests}")

    def rev(self, key: str) -> int:
        """The newest known revision of the key, or 0."""
        return self._revisions.get(key, 0)

    def snapshot(self) -> int:
        """Draw an index at which a snapshot may end."""
        return self._random.choice((self._snapshot, self._random.randrange(100)))

    def let_be(self) -> None:
        """Leave members and leader as they are from now on: a new leader would begin to send its snapshot anew.

        Nothing is broken on command any more either.
        """
        self._lets_be = True
        self._pipelines.leave_out("transfer_leadership")
        self._pipelines.leave_out("fault")

    def address(self) -> str:
        """An address for a new member."""
        return str(self._addresses[0]) if self._lets_be else self._cluster.newcomer()

    def removable(self) -> NodeId:
        """Draw a member that may be removed, or an id that no member has."""
        some = [] if self._lets_be else self._cluster.removable()
        return self._random.choice([*some, NOBODY])

    def target(self) -> NodeId:
        """Draw a node that may lead."""
        return self._random.randrange(len(self._addresses))

    def _draw_own(self) -> Operation:
        """Make a put to a key that nobody else writes or reads: however many are unknown, they are easy to judge."""
        return Operation(self.number, "put", f"{OWN}{self.number}-{self._requests % 4}", 0.0)

    def _draw(self) -> Operation:
        """Draw the next operation."""
        random = self._random
        key = self.keys.draw()
        if random.random() < 0.1:
            return Operation(self.number, "get", key, 0.0, stale=True)
        kind = random.choice(_KINDS[key[0]])
        operation = Operation(self.number, kind, key, 0.0)
        if kind == "incr":
            operation.by = random.choice((1, 1, 5, -2))
        elif kind != "get" and random.random() < 0.25:
            operation.if_rev = random.choice((0, self.rev(key), self.rev(key)))
        return operation

    def _ask(self, talk: Talk, operations: Sequence[Operation]) -> None:
        lines = []
        for operation in operations:
            if operation.kind == "put":
                operation.value = self.value()
            self._requests += 1
            options: dict[str, Any] = {"id": self._requests}
            if self._random.random() < 0.05 and not self.calm:
                options["timeout_ms"] = self._random.choice((1, 50, 400))
            if self._random.random() < 0.05 and not self.calm:
                options["forward"] = False
            asked = operation.request(**options)
            talk.ask(asked, operation)
            lines.append(encode(asked) + b"\n")
        talk.send(b"".join(lines))
