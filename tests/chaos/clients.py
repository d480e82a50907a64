"""Clients, each a thread with its own connection: they record every request and every reply."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

import msgspec

from trioraft.testing.history import History, Operation
from trioraft.testing.history import Request as Told

from ..helpers.processes import HOST
from .observations import Observations

REPLY_SECONDS = 2.5
"""How long a client waits: longer than a node holds a request without a leader, so that mostly the node gives up."""
MOST_UNKNOWN = 10
MOST_OPERATIONS = 2000
AVOID_SECONDS = 1.0
EXPECTED_ERRORS = {"conflict", "not_leader", "no_quorum", "leader_changed", "timeout", "overloaded", "shutting_down"}


@dataclass
class Key:
    """One key, until it has had its share of operations."""

    name: str
    counter: bool
    """Whether the key holds integers for `incr`; else it holds values of any kind."""
    deletable: bool
    operations: int = 0
    unknown: int = 0
    revs: list[int] = field(default_factory=lambda: [0])
    """Some revisions that the key had, the newest last."""

    @property
    def worn(self) -> bool:
        return self.unknown >= MOST_UNKNOWN or self.operations >= MOST_OPERATIONS

    def saw(self, rev: int) -> None:
        self.revs = [*self.revs[-3:], rev]


class Keys:
    """The keys in use. A key with many unknown writes is replaced, because they are hard for the judge."""

    def __init__(self, count: int) -> None:
        self.made = 0
        self._lock = threading.Lock()
        self._active = [self._make() for _ in range(count)]

    def pick(self, random: Random) -> Key:
        """Draw a key, some much more often than others."""
        with self._lock:
            place = random.randrange(4 if random.random() < 0.3 else len(self._active))
            if self._active[place].worn:
                self._active[place] = self._make()
            key = self._active[place]
            key.operations += 1
            return key

    def _make(self) -> Key:
        number = self.made
        self.made += 1
        return Key(f"k{number:06d}", counter=number % 2 == 1, deletable=number % 4 < 2)


class Load:
    """All clients. A context in which they work; they have ended after it."""

    def __init__(self, ports: list[int], clients: int, keys: int, rate: float, seed: int) -> None:
        self.ports = ports
        self.history = History()
        self.observations = Observations()
        self.keys = Keys(keys)
        self.errors: Counter[str] = Counter()
        self.longest_gap = 0.0
        """For how many seconds no write was acknowledged, through any node."""
        self.broken: list[BaseException] = []
        self.pause_seconds = clients / rate
        self.stopping = threading.Event()
        self._last_written = 0.0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._guarded, args=(Client(self, number, Random(seed * 1000 + number)),))
            for number in range(clients)
        ]

    def connect(self) -> int:
        """Note a new connection of a client, and return its number."""
        with self._lock:
            return self.history.connect()

    def call(self, operations: list[Operation], connection: int | None = None) -> None:
        """Record an operation that is about to be asked on a connection, in the order of the times."""
        with self._lock:
            now = time.monotonic()
            for operation in operations:
                operation.called = now
                self.history.call(operation, connection)

    def note(self, operation: Operation) -> Told:
        """Record among the requests that are compared with the log what was called just now on a connection."""
        assert operation.connection is not None
        request = Told(operation.client, operation.connection, operation.place, operation.request(), operation.called)
        self.history.requests.append(request)
        return request

    def written(self, now: float) -> None:
        with self._lock:
            if self._last_written:
                self.longest_gap = max(self.longest_gap, now - self._last_written)
            self._last_written = max(now, self._last_written)

    def _guarded(self, client: Client) -> None:
        try:
            client.run()
        except BaseException as error:
            self.broken.append(error)

    def __enter__(self) -> Self:
        self._last_written = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join()
        if self._last_written:
            self.longest_gap = max(self.longest_gap, time.monotonic() - self._last_written)


@dataclass
class Request:
    """One request without a reply yet."""

    id: int
    operation: Operation
    key: Key
    told: Told | None = None
    """Its entry among the requests that are compared with the log."""


class Client:
    """Ask one node, one request or a few at a time, for as long as the node answers."""

    def __init__(self, load: Load, number: int, random: Random) -> None:
        self._load = load
        self._number = number
        self._random = random
        self._made = 0
        self._avoid: dict[int, float] = {}

    def run(self) -> None:
        stopping = self._load.stopping
        while not stopping.is_set():
            node = self._choose_node()
            try:
                with socket.create_connection((HOST, self._load.ports[node]), REPLY_SECONDS) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._use(connection)
            except (OSError, EOFError):
                self._avoid[node] = time.monotonic() + AVOID_SECONDS
                stopping.wait(0.02)

    def _choose_node(self) -> int:
        now = time.monotonic()
        nodes = [node for node in range(len(self._load.ports)) if self._avoid.get(node, 0.0) < now]
        return self._random.choice(nodes or range(len(self._load.ports)))

    def _use(self, connection: socket.socket) -> None:
        """Ask for a while, or until the connection breaks."""
        load, random = self._load, self._random
        number = load.connect()
        hasty = random.random() < 0.3
        next_at = time.monotonic()
        with connection.makefile("rb") as replies:
            for _ in range(random.randint(1, 100)):
                count = random.randint(8, 24) if hasty else 1 if random.random() < 0.9 else random.randint(2, 8)
                next_at = max(next_at, time.monotonic() - 0.5)
                next_at += load.pause_seconds * count * random.uniform(0.5, 1.5)
                if load.stopping.wait(max(0.0, next_at - time.monotonic())):
                    return
                if hasty:
                    requests = [self._make_own(number, place) for place in range(count)]
                    parts = [[request] for request in requests]
                else:
                    requests = [self._make() for _ in range(count)]
                    parts = [requests.copy()]
                try:
                    for part in parts:
                        load.call([request.operation for request in part], number)
                        for request in part:
                            request.told = load.note(request.operation)
                        connection.sendall(b"".join([self._line(request) for request in part]))
                        if hasty:
                            load.stopping.wait(random.uniform(0, 0.01))
                    while requests:
                        line = replies.readline()
                        if not line.endswith(b"\n"):
                            raise EOFError
                        self._complete(requests.pop(0), line)
                finally:
                    for request in requests:
                        request.key.unknown += request.operation.kind != "get"

    def _make(self) -> Request:
        random = self._random
        key = self._load.keys.pick(random)
        kind: str
        if key.counter:
            (kind,) = random.choices(("get", "put", "delete", "incr"), (35, 15, 3 * key.deletable, 47))
        else:
            (kind,) = random.choices(("get", "put", "delete"), (45, 50, 8 * key.deletable))
        self._made += 1
        operation = Operation(self._number, kind, key.name, 0.0)
        if kind == "put":
            operation.value = self._value(key)
        elif kind == "incr":
            operation.by = random.randint(1, 10**9)
        if kind in ("put", "delete") and random.random() < 0.4:
            operation.if_rev = random.choice((key.revs[-1], key.revs[-1], key.revs[-1], random.choice(key.revs), 0))
        operation.stale = kind == "get" and random.random() < 0.3
        return Request(self._made, operation, key)

    def _make_own(self, connection: int, place: int) -> Request:
        """Make a put to a key that nobody else writes, so that many puts under way are easy to judge."""
        self._made += 1
        key = Key(f"own{connection}-{place}", counter=False, deletable=False)
        return Request(self._made, Operation(self._number, "put", key.name, 0.0, self._value(key)), key)

    def _value(self, key: Key) -> bytes:
        """Make a value that nobody else has put."""
        if key.counter:
            return b"%d" % (self._random.getrandbits(50) * 1000 + self._number)
        name = b"%d-%d" % (self._number, self._made)
        if self._random.random() < 0.01:
            return b'"%b %b"' % (name, b"x" * self._random.randint(1000, 20_000))
        return self._random.choice((b'"%b"', b'{"by": "%b", "n": 1.50}', b'["%b",null]')) % name

    def _line(self, request: Request) -> bytes:
        random = self._random
        more: dict[str, object] = {"id": request.id}
        if random.random() < 0.05:
            more["timeout_ms"] = random.choice((20, 200, 1000))
        if random.random() < 0.02:
            more["forward"] = False
        return msgspec.json.encode(request.operation.request(**more)) + b"\n"

    def _complete(self, request: Request, line: bytes) -> None:
        load, operation, key = self._load, request.operation, request.key
        now = time.monotonic()
        try:
            assert line.startswith(b'{"id":%d,' % request.id)
            load.history.complete(operation, now, line)
            assert request.told is not None
            request.told.returned, request.told.line = now, line
        except (msgspec.MsgspecError, AssertionError):
            load.observations.report(f"a reply that makes no sense: {line!r}")
            raise EOFError from None
        load.observations.stale_reads += operation.stale
        if operation.outcome != "done":
            self._note_error(operation, line)
        if operation.outcome == "unknown":
            key.unknown += 1
        if operation.answer is None:
            return
        rev, value = operation.answer.rev, operation.answer.value
        if operation.outcome == "done" and operation.kind != "get":
            load.written(now)
            value = operation.value if operation.kind == "put" else None
        if rev:
            key.saw(rev)
            if value is not None:
                load.observations.saw(key.name, rev, value)

    def _note_error(self, operation: Operation, line: bytes) -> None:
        error = msgspec.json.decode(line)["error"]
        applied = error.get("applied")
        self._load.errors[error["code"] + (f", applied {applied}" if applied else "")] += 1
        wrong = error["code"] not in EXPECTED_ERRORS
        if wrong or (operation.kind != "get" and applied not in ("no", "unknown")):
            self._load.observations.report(f"{operation.kind} of {operation.key} was answered {line!r}")


def read_everything(load: Load, names: list[str], batch: int = 100) -> None:
    """Read each key through each node, as the last operations of the history. Raises OSError, EOFError."""
    for node, port in enumerate(load.ports):
        client = 1000 + node
        with socket.create_connection((HOST, port), 10.0) as connection, connection.makefile("rb") as replies:
            for start in range(0, len(names), batch):
                operations = [Operation(client, "get", name, 0.0) for name in names[start : start + batch]]
                load.call(operations)
                connection.sendall(b"".join(msgspec.json.encode(each.request()) + b"\n" for each in operations))
                for operation in operations:
                    line = replies.readline()
                    if not line.endswith(b"\n"):
                        raise EOFError(f"node {node} answers no more")
                    load.history.complete(operation, time.monotonic(), line)
                    if operation.outcome != "done":
                        load.observations.report(f"node {node}, with all faults over, answered {line!r}")
                    elif operation.answer is not None and operation.answer.value is not None:
                        load.observations.saw(operation.key, operation.answer.rev or 0, operation.answer.value)
