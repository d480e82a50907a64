"""Clients in virtual time: they speak bytes to any node, and keep a history."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import msgspec
import trio

from trioraft.addresses import Address
from trioraft.testing.history import History, Kind, Operation
from trioraft.testing.network import MemoryConnection, MemoryHub, MemoryNetwork
from trioraft.wire.codec import decode, encode

MAX_UNKNOWN: Final = 10
"""After so many operations of unknown outcome a key is used no more: it would be too hard to judge."""
ANSWER_SECONDS: Final = 10.0
"""After the faults every request is answered within this."""
MOST_WAITING: Final = 24
"""Requests that a hasty client has under way."""

_KINDS: Final[dict[str, Sequence[Kind]]] = {
    "p": ("put", "put", "get"),
    "d": ("put", "get", "delete"),
    "n": ("incr", "incr", "get"),
}
"""By a key's first letter: what is done to it. Only those in d are ever deleted."""


class Unanswered(AssertionError):
    """A request had no reply though nothing was wrong any more."""


class Keys:
    """The keys in use by all clients."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._keys = [*("p0", "p1", "p2"), *("d0", "d1"), *("n0", "n1")]
        self._made = Counter(key[0] for key in self._keys)
        self._unknown: Counter[str] = Counter()

    def draw(self) -> str:
        """One of them."""
        return self._random.choice(self._keys)

    def unknown(self, key: str) -> None:
        """An operation on it had an unknown outcome."""
        self._unknown[key] += 1
        if self._unknown[key] >= MAX_UNKNOWN and key in self._keys:
            self._made[key[0]] += 1
            self._keys[self._keys.index(key)] = f"{key[0]}{self._made[key[0]]}"


class _Asked(msgspec.Struct):
    """A request on its way."""

    number: int
    operation: Operation


class Talk:
    """One connection, and what was asked on it."""

    def __init__(self, client: SimulatedClient, connection: MemoryConnection) -> None:
        self.number = client.history.connect()
        self.asked: deque[_Asked] = deque()
        self.ended = False
        self.news = trio.Event()
        self._client = client
        self._connection = connection
        self._rest = b""

    def ask(self, asked: Sequence[_Asked], data: bytes) -> None:
        """Send these requests."""
        self.asked.extend(asked)
        self._connection.send(data)

    def received(self, data: bytes) -> None:
        """Replies, or a part of one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            assert self.asked, f"a reply to nothing: {line!r}"
            self._take(self.asked.popleft(), line)
        self.ended = self.ended or not data
        self.news.set()

    def drained(self) -> None:
        """There is room for more."""

    def broken(self) -> None:
        """It is gone."""
        self.ended = True
        self.news.set()

    def close(self) -> None:
        """End it; what was not answered has an unknown outcome."""
        self._connection.close()
        for asked in self.asked:
            if asked.operation.kind != "get":
                self._client.keys.unknown(asked.operation.key)

    def _take(self, asked: _Asked, line: bytes) -> None:
        client = self._client
        client.report(f"client {client.number} is told {line.decode()}")
        reply = decode(line)
        assert reply["id"] == asked.number, f"request {asked.number} is answered by {line!r}"
        operation = asked.operation
        client.history.complete(operation, trio.current_time(), line)
        if operation.outcome == "unknown":
            client.keys.unknown(operation.key)
        rev = operation.answer.rev if operation.answer is not None else None
        if rev:
            client.revisions[operation.key] = rev


class SimulatedClient:
    """One client, which asks one node after another."""

    def __init__(
        self,
        number: int,
        network: MemoryNetwork,
        addresses: Sequence[Address],
        random: Random,
        history: History,
        keys: Keys,
        report: Callable[[str], None],
    ) -> None:
        self.number = number
        self.history = history
        self.keys = keys
        self.report = report
        self.revisions: dict[str, int] = {}
        self.calm = False
        """Whether nothing goes wrong any more: then it waits for every reply, and expects it soon."""
        self._hub = MemoryHub(network, f"client{number}")
        self._addresses = addresses
        self._random = random
        self._requests = 0
        self._pace = random.choice((0.01, 0.03, 0.1))
        self._burst = random.choice((1, 4, 12))

    async def run(self) -> None:
        """Ask until it is calm."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            while not self.calm:
                await self._talk_to(self._random.choice(self._addresses))
                await trio.sleep(self._random.uniform(0, 0.1))
            nursery.cancel_scope.cancel()

    async def say_goodbye(self, address: Address) -> None:
        """Write and read once more through that node, now that nothing goes wrong. Raises Unanswered."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            with trio.fail_after(ANSWER_SECONDS):
                talk, connection = await self._connect(address)
            for kind in ("put", "get"):
                operation = Operation(self.number, kind, f"g{self.number}", trio.current_time(), self._value())
                self._ask(talk, [operation])
                await self._wait(talk)
                if operation.outcome != "done":
                    raise Unanswered(f"{operation} through {address}")
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
            if hasty and random.random() < 0.8:
                operations = [self._draw_own()]
            else:
                operations = [self._draw() for _ in range(random.randint(1, self._burst))]
            self._ask(talk, operations)
            if hasty and len(talk.asked) < MOST_WAITING:
                await trio.sleep(random.expovariate(1 / self._pace) / 4)
                continue
            if random.random() < 0.02:
                break  # hang up without waiting
            if not await self._wait(talk):
                break
            await trio.sleep(random.expovariate(1 / self._pace))
        talk.close()

    async def _wait(self, talk: Talk) -> bool:
        """Whether all that was asked has been answered, while the client had patience."""
        patience = trio.current_time() + self._random.choice((0.3, 3.0, 8.0))
        while talk.asked and not talk.ended:
            calm = self.calm
            talk.news = trio.Event()
            with trio.move_on_at(trio.current_time() + ANSWER_SECONDS if calm else patience) as waiting:
                await talk.news.wait()
            if waiting.cancelled_caught and calm:
                raise Unanswered(f"client {self.number} has had no reply to {talk.asked[0]}")
            if waiting.cancelled_caught and not self.calm:
                return False
        return not talk.asked

    def _value(self) -> bytes:
        return encode(f"{self.number}-{self._requests}")

    def _draw_own(self) -> Operation:
        """A put to a key that nobody else writes or reads: however many are unknown, they are easily judged."""
        return Operation(self.number, "put", f"own{self.number}-{self._requests % 4}", 0.0)

    def _draw(self) -> Operation:
        """What to ask next."""
        random = self._random
        key = self.keys.draw()
        if random.random() < 0.1:
            return Operation(self.number, "get", key, 0.0, stale=True)
        kind: Kind = random.choice(_KINDS[key[0]])
        operation = Operation(self.number, kind, key, 0.0)
        if kind == "incr":
            operation.by = random.choice((1, 1, 5, -2))
        elif kind != "get" and random.random() < 0.25:
            operation.if_rev = random.choice((0, self.revisions.get(key, 0), self.revisions.get(key, 0)))
        return operation

    def _ask(self, talk: Talk, operations: Sequence[Operation]) -> None:
        asked = []
        lines = []
        for operation in operations:
            self._requests += 1
            options: dict[str, object] = {"id": self._requests}
            if operation.kind == "put":
                operation.value = self._value()
            if self._random.random() < 0.05 and not self.calm:
                options["timeout_ms"] = self._random.choice((1, 50, 400))
            if self._random.random() < 0.05 and not self.calm:
                options["forward"] = False
            operation.called = trio.current_time()
            self.history.call(operation, talk.number)
            asked.append(_Asked(self._requests, operation))
            lines.append(encode(operation.request(**options)))
        talk.ask(asked, b"".join(line + b"\n" for line in lines))
