"""The operations beyond single keys, on three nodes: transactions, leases, locks, watches. An etcd is measured alike.

The clients of both are written in Python, in this process, and go to the leader. Both sync every write.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks import etcd, load
from benchmarks.load import Address, Load
from benchmarks.results import Figures, Result

LEASES: Final = (1_000, 10_000)
WATCHERS: Final = (1, 100, 10_000)
WAITERS: Final = (1, 49)
LOADS: Final = ((64, 1), (64, 16))
"""For each load: the number of connections, and of outstanding requests on each."""
WATCHING: Final = 100
"""The connections that share the watchers."""
SETTLED_SECONDS: Final = 0.15
"""How long clients are in the queue before a lock is handed over: an etcd sees to new ones ten times a second."""
ENOUGH: Final = 5
"""The least number of times that something is measured of which a median is shown."""


class Client(Protocol):
    """One client of a system, for what is measured one at a time."""

    @property
    def socket(self) -> socket.socket:
        """The connection on which replies and events come."""

    def put(self, key: str, value: bytes) -> None:
        """Put a value, and wait for the reply."""

    def watch(self, keys: Sequence[str]) -> None:
        """Watch keys, each by a watch of its own. Return once all have begun."""

    def grant(self) -> int:
        """Grant a lease that outlasts the benchmark."""

    def lock(self, name: str, lease: int) -> None:
        """Ask for a lock. Return once it is held or this client is in the queue."""

    def wait_for_lock(self) -> None:
        """Wait until the lock is held."""

    def unlock(self) -> None:
        """Give the lock back, without waiting for the reply."""

    def unlocked(self) -> None:
        """Wait for the reply to that."""

    def close(self) -> None:
        """Close the connection."""


class System(Protocol):
    """Three nodes, and what loads them."""

    def transact(self, connections: int, depth: int, seconds: float) -> Load:
        """Load it with transactions: one key is compared, one is put, one is read."""

    def grant(self, count: int) -> list[int]:
        """Grant leases that outlast the benchmark."""

    def keep_alive(self, leases: Sequence[int], connections: int, depth: int, seconds: float) -> Load:
        """Keep leases alive, one a request."""

    def keep_all_alive(self, leases: Sequence[int]) -> float:
        """Keep all leases of one client alive, as quickly as it can. Return the seconds that it took."""

    def connect(self) -> Client:
        """Connect a client to the leader."""


class Trioraft:
    """Three nodes of this program as a system."""

    def __init__(self, cluster: load.Cluster) -> None:
        self._leader = cluster.addresses[cluster.leader]

    def transact(self, connections: int, depth: int, seconds: float) -> Load:
        """Load it with transactions: one key is compared, one is put, one is read."""
        value = b"x" * 98
        transaction = (
            b'{"op":"txn","checks":[{"key":"key-000000000001","exists":true}],'
            b'"then":[{"op":"put","key":"key-000000000001","value":"%b"},{"op":"get","key":"key-000000000001"}]}'
        ) % value
        with contextlib.closing(self.connect()) as client:
            client.put("key-000000000001", value)
        return load.run([self._leader], lambda _: transaction, connections, depth, seconds=seconds)

    def grant(self, count: int) -> list[int]:
        """Grant leases that outlast the benchmark."""
        with contextlib.closing(self.connect()) as client:
            return client.grant_many(count)

    def keep_alive(self, leases: Sequence[int], connections: int, depth: int, seconds: float) -> Load:
        """Keep leases alive, one a request."""
        make = [b'{"op":"lease_keepalive","lease":%d}' % lease for lease in leases]
        return load.run([self._leader], lambda at: make[at % len(make)], connections, depth, seconds=seconds)

    def keep_all_alive(self, leases: Sequence[int]) -> float:
        """Keep all leases of one client alive, in one request. Return the seconds that it took."""
        with contextlib.closing(self.connect()) as client:
            began = time.perf_counter()
            client.ask({"op": "lease_keepalive", "leases": list(leases)})
            return time.perf_counter() - began

    def connect(self) -> LineClient:
        """Connect a client to the leader."""
        return LineClient(self._leader)


class LineClient:
    """One client of a node, for what is measured one at a time."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self.socket.makefile("rb")
        self._held: dict[str, Any] = {}
        """The unlock of the lock that this client holds or waits for."""

    def close(self) -> None:
        """Close the connection."""
        self._replies.close()
        self.socket.close()

    def ask(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        """Send requests, and wait for the replies to all of them. Raises RuntimeError for an error among them."""
        self._send(*requests)
        return [self._hear() for _ in requests]

    def _send(self, *requests: dict[str, Any]) -> None:
        self.socket.sendall(b"".join([json.dumps(request).encode() + b"\n" for request in requests]))

    def _hear(self) -> dict[str, Any]:
        while True:
            said: dict[str, Any] = json.loads(self._replies.readline())
            if said.get("event") == "progress":
                continue
            if "error" in said:
                raise RuntimeError(f"a request failed: {said}")
            return said

    def put(self, key: str, value: bytes) -> None:
        """Put a value, and wait for the reply."""
        self.ask({"op": "put", "key": key, "value": value.decode()})

    def watch(self, keys: Sequence[str]) -> None:
        """Watch keys, each by a watch of its own. Return once all have begun."""
        watches = [{"op": "watch", "id": number, "key": key} for number, key in enumerate(keys)]
        for first in range(0, len(watches), 500):
            some = watches[first : first + 500]
            self._send(*some)
            for _ in range(2 * len(some)):  # the reply, and that it is synced
                self._hear()

    def grant(self) -> int:
        """Grant a lease that outlasts the benchmark."""
        [lease] = self.grant_many(1)
        return lease

    def grant_many(self, count: int) -> list[int]:
        """Grant leases that outlast the benchmark."""
        leases: list[int] = []
        while len(leases) < count:
            some = min(256, count - len(leases))
            replies = self.ask(*[{"op": "lease_grant", "ttl_ms": 3_600_000}] * some)
            leases.extend(reply["lease"] for reply in replies)
        return leases

    def lock(self, name: str, lease: int) -> None:
        """Ask for a lock. Return once it is held or this client is in the queue."""
        [reply] = self.ask({"id": 1, "op": "lock", "name": name, "lease": lease})
        self._held = {"op": "unlock", "name": name, "lease": lease, "fence": reply.get("fence")}

    def wait_for_lock(self) -> None:
        """Wait until the lock is held."""
        if self._held["fence"] is None:
            self._held["fence"] = self._hear()["fence"]

    def unlock(self) -> None:
        """Give the lock back, without waiting for the reply."""
        self._send(self._held)

    def unlocked(self) -> None:
        """Wait for the reply to that."""
        self._hear()


def measure(system: System, seconds: float) -> list[Result]:
    """Measure everything on three nodes that are up."""
    found = []
    for connections, depth in LOADS:
        rate = system.transact(connections, depth, seconds).rate
        found.append(Result(f"operations: txn, {connections} connections x {depth}", rate, "transactions/s"))
    for count in LEASES:
        leases = system.grant(count)
        name = f"operations: keepalives, {count:,} leases"
        rate = system.keep_alive(leases, *LOADS[-1], seconds).rate
        found.append(Result(f"{name}, one a request, 64 connections x 16", rate, "keepalives/s"))
        once = _median(partial(system.keep_all_alive, leases), seconds)
        found.append(Result(f"{name}, one client for all", count / once, "keepalives/s"))
    for waiters in WAITERS:
        handed = handed_over(system, waiters, seconds)
        found.append(Result(f"operations: unlock to next holder, {waiters} waiting, median", handed * 1e3, "ms"))
    for watchers in WATCHERS:
        put, last = told(system, watchers, seconds)
        name = f"operations: put of a key with {watchers:,} watchers"
        found.append(Result(f"{name}, median", put * 1e3, "ms"))
        found.append(Result(f"{name}, until the last is told, median", last * 1e3, "ms"))
    put, _ = told(system, WATCHERS[-1], seconds, others=True)
    found.append(Result(f"operations: put beside {WATCHERS[-1]:,} watchers of other keys, median", put * 1e3, "ms"))
    return found


def _median(measure: Callable[[], float], seconds: float) -> float:
    """The median of what is measured again and again for so many seconds, and ENOUGH times at least."""
    found: list[float] = []
    began = time.perf_counter()
    while len(found) < ENOUGH or time.perf_counter() - began < seconds:
        found.append(measure())
    return sorted(found)[len(found) // 2]


def handed_over(system: System, waiters: int, seconds: float) -> float:
    """The median time from an unlock until the next in the queue holds the lock, in seconds."""
    name = f"lock-{waiters}"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(system.connect())) for _ in range(waiters + 1)]
        leases = [client.grant() for client in clients]
        for client, lease in zip(clients, leases, strict=True):
            client.lock(name, lease)
        clients[0].wait_for_lock()
        holder = 0

        def hand_over() -> float:
            nonlocal holder
            time.sleep(SETTLED_SECONDS)
            before, holder = holder, (holder + 1) % len(clients)
            began = time.perf_counter()
            clients[before].unlock()
            clients[holder].wait_for_lock()
            passed = time.perf_counter() - began
            clients[before].unlocked()
            clients[before].lock(name, leases[before])
            return passed

        return _median(hand_over, seconds)


def told(system: System, watchers: int, seconds: float, others: bool = False) -> tuple[float, float]:
    """The median times from a put until its reply, and until the last watcher has the event, in seconds.

    `others`: the watchers watch other keys, and none is told.
    """
    key = f"watched-{watchers}"
    keys = [f"other-{number}" if others else key for number in range(watchers)]
    replied: list[float] = []
    with contextlib.ExitStack() as stack:
        ready = stack.enter_context(select.epoll())
        writer = stack.enter_context(contextlib.closing(system.connect()))
        ears: dict[int, _Ear] = {}
        for number in range(shared := min(watchers, WATCHING)):
            client = stack.enter_context(contextlib.closing(system.connect()))
            client.watch(keys[number::shared])
            ears[client.socket.fileno()] = _Ear(client.socket)
            ready.register(client.socket, select.EPOLLIN)

        def put() -> float:
            value = b"%012d" % len(replied)
            left = 0 if others else watchers
            began = time.perf_counter()
            writer.put(key, value + b"x" * 86)
            replied.append(time.perf_counter() - began)
            while left:
                for descriptor, _ in ready.poll(30):
                    left -= ears[descriptor].hear(value)
            return time.perf_counter() - began

        last = _median(put, seconds)
    return sorted(replied)[len(replied) // 2], last


class _Ear:
    """A connection of watchers, on which a value is looked for in whatever comes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def hear(self, value: bytes) -> int:
        """Receive once. Return how often the value came."""
        data = self._rest + self._connection.recv(256 * 1024)
        self._rest = data[1 - len(value) :]
        return data.count(value)


def measure_operations(seconds: float, folder: Path) -> list[Result]:
    """Measure three nodes of this program."""
    with (
        load.limit_of_open_files(4096),
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        load.Cluster(Path(scratch)) as cluster,
    ):
        return measure(Trioraft(cluster), seconds)


def beside_etcd(seconds: float, folder: Path, rounds: int) -> tuple[Figures, Figures]:
    """Measure three nodes of this program and of etcd in turns. Return our figures, then etcd's."""
    ours: Figures = {}
    theirs: Figures = {}

    def measure_etcd() -> list[Result]:
        with tempfile.TemporaryDirectory(dir=folder) as scratch, etcd.Etcd(Path(scratch)) as cluster:
            return measure(cluster, seconds)

    turns: list[tuple[Figures, Callable[[], list[Result]]]]
    turns = [(ours, partial(measure_operations, seconds, folder)), (theirs, measure_etcd)]
    for _ in range(rounds):
        for figures, measure_one in turns:
            for one in measure_one():
                figures.setdefault(one.name, []).append(one)
        turns.reverse()
    return ours, theirs
