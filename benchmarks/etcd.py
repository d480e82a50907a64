"""Three nodes of an etcd that is installed here, for comparison: started as its users start it, loaded through gRPC."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.grpc import Connection, fields, number, text, unframed
from benchmarks.load import Address, Load

_KV: Final = "/etcdserverpb.KV/"
_LEASE: Final = "/etcdserverpb.Lease/"
_LOCK: Final = "/v3lockpb.Lock/"
_MOD_REVISION: Final = 2
_GREATER: Final = 1


def is_installed() -> bool:
    """Whether there is an etcd on this machine."""
    return shutil.which("etcd") is not None


class Etcd:
    """A cluster of three. A context, at whose end no process is left."""

    def __init__(self, folder: Path) -> None:
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
        addresses: list[Address] = [one.getsockname()[:2] for one in held]
        for one in held:
            one.close()
        clients, peers = ([f"http://{host}:{port}" for host, port in some] for some in (addresses[:3], addresses[3:]))
        members = ",".join(f"n{node}={peer}" for node, peer in enumerate(peers))
        self._log = folder / "etcd.log"
        self._processes = []
        for node, (client, peer) in enumerate(zip(clients, peers, strict=True)):
            command = ["etcd", "--name", f"n{node}", "--data-dir", str(folder / f"n{node}"), "--log-level", "error"]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            command += ["--initial-cluster", members, "--initial-cluster-state", "new"]
            with self._log.open("ab") as log:
                self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        self._leader = self._wait_for_leader(addresses[:3])

    def _wait_for_leader(self, addresses: Sequence[Address]) -> Address:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for address in addresses:
                with contextlib.suppress(OSError), contextlib.closing(Connection(address)) as connection:
                    status = connection.call("/etcdserverpb.Maintenance/Status", b"")
                    header = status[1][0]
                    assert isinstance(header, bytes)
                    if status.get(4) == fields(header)[2]:
                        return address
            time.sleep(0.05)
        raise TimeoutError("etcd has no leader within 60 s: " + self._log.read_text()[-1000:])

    def transact(self, connections: int, depth: int, seconds: float) -> Load:
        """Load it with transactions: one key is compared, one is put, one is read."""
        key = text(1, b"key-000000000001")
        compare = number(1, _GREATER) + number(2, _MOD_REVISION) + text(3, b"key-000000000001") + number(6, 0)
        then = [text(2, text(2, key + text(2, b"x" * 100))), text(2, text(1, key))]
        transaction = text(1, compare) + b"".join(then)
        with contextlib.closing(self.connect()) as client:
            client.put("key-000000000001", b"x")
        dial = _calls(_KV + "Txn")
        return load.run([self._leader], lambda _: transaction, connections, depth, seconds=seconds, dial=dial)

    def grant(self, count: int) -> list[int]:
        """Grant leases that outlast the benchmark."""
        first = time.monotonic_ns()
        leases = list(range(first, first + count))
        make = [number(1, 3600) + number(2, lease) for lease in leases].__getitem__
        load.run([self._leader], make, 1, min(count, 256), total=count, dial=_calls(_LEASE + "LeaseGrant"))
        return leases

    def keep_alive(self, leases: Sequence[int], connections: int, depth: int, seconds: float) -> Load:
        """Keep leases alive, each by a message of its own, on a stream for each connection."""
        make = [number(1, lease) for lease in leases]
        dial = _stream(_LEASE + "LeaseKeepAlive")
        return load.run([self._leader], lambda at: make[at % len(make)], connections, depth, seconds=seconds, dial=dial)

    def keep_all_alive(self, leases: Sequence[int]) -> float:
        """Keep all leases of one client alive, as quickly as it can: on one stream. Return the seconds that it took."""
        make = [number(1, lease) for lease in leases].__getitem__
        began = time.perf_counter()
        dial = _stream(_LEASE + "LeaseKeepAlive")
        load.run([self._leader], make, 1, min(1000, len(leases)), total=len(leases), dial=dial)
        return time.perf_counter() - began

    def connect(self) -> Client:
        """Connect a client to the leader."""
        return Client(self._leader)

    def close(self) -> None:
        """End every process."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def __enter__(self) -> Etcd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Client:
    """One client of an etcd, for what is measured one at a time."""

    def __init__(self, address: Address) -> None:
        self._line = Connection(address)
        self._second = Connection(address)
        """For what is asked while a call on the first connection goes on."""
        self._waits = 0
        self._lock = b""

    @property
    def socket(self) -> socket.socket:
        """The connection on which replies and events come."""
        return self._line.socket

    def close(self) -> None:
        """Close the connections."""
        self._line.close()
        self._second.close()

    def put(self, key: str, value: bytes) -> None:
        """Put a value, and wait for the reply."""
        self._line.call(_KV + "Put", text(1, key.encode()) + text(2, value))

    def watch(self, keys: Sequence[str]) -> None:
        """Watch keys, on one stream. Return once the server has begun with all of them."""
        stream, begun = self._line.begin("/etcdserverpb.Watch/Watch")
        self._line.socket.sendall(begun)
        for first in range(0, len(keys), 500):
            self._line.send(stream, [text(1, text(1, key.encode())) for key in keys[first : first + 500]])
            left, rest = len(keys[first : first + 500]), b""
            while left:
                for _, data in self._line.receive():
                    told, rest = unframed(rest + (data or b""))
                    left -= len(told)

    def grant(self) -> int:
        """Grant a lease that outlasts the benchmark."""
        lease = self._line.call(_LEASE + "LeaseGrant", number(1, 3600))[2][0]
        assert isinstance(lease, int)
        return lease

    def lock(self, name: str, lease: int) -> None:
        """Ask for a lock. Return once it is held or this client is in the queue, which a key of its own shows."""
        self._waits, begun = self._line.begin(_LOCK + "Lock", text(1, name.encode()) + number(2, lease))
        self._line.socket.sendall(begun)
        key = text(1, f"{name}/{lease:x}".encode())
        while not self._second.call(_KV + "Range", key).get(4):
            time.sleep(0.001)

    def wait_for_lock(self) -> None:
        """Wait until the lock is held."""
        key = self._line.reply(self._waits)[2][0]
        assert isinstance(key, bytes)
        self._lock = key

    def unlock(self) -> None:
        """Give the lock back, without waiting for the reply."""
        self._waits, begun = self._line.begin(_LOCK + "Unlock", text(1, self._lock))
        self._line.socket.sendall(begun)

    def unlocked(self) -> None:
        """Wait for the reply to that."""
        self._line.reply(self._waits)


class _Talk:
    """A connection of a load: what it asks travels in its own way, each reply is some data on a stream."""

    def __init__(self, address: Address) -> None:
        self._line = Connection(address)
        self.socket = self._line.socket


class _Calls(_Talk):
    """A connection on which each request is a call."""

    def __init__(self, address: Address, path: str) -> None:
        super().__init__(address)
        self._path = path
        self._asked: dict[int, float] = {}
        self._answered: set[int] = set()

    def ask(self, requests: Sequence[bytes]) -> None:
        """Begin calls."""
        now = time.perf_counter()
        begun = [self._line.begin(self._path, request) for request in requests]
        self._asked.update((stream, now) for stream, _ in begun)
        self.socket.sendall(b"".join([data for _, data in begun]))

    def hear(self, latencies: list[float]) -> int:
        """Take replies and note how long each took. Return how many there are. Raises RuntimeError for an error."""
        ended = 0
        heard = self._line.receive()
        now = time.perf_counter()
        for stream, data in heard:
            if data is not None:
                self._answered.add(stream)
                continue
            if stream not in self._answered:
                raise RuntimeError(f"a call of {self._path} failed")
            self._answered.remove(stream)
            latencies.append(now - self._asked.pop(stream))
            ended += 1
        return ended


class _Stream(_Talk):
    """A connection on which all requests are messages of one stream, answered in their order."""

    def __init__(self, address: Address, path: str) -> None:
        super().__init__(address)
        self._stream, begun = self._line.begin(path)
        self._asked: deque[float] = deque()
        self._rest = b""
        self.socket.sendall(begun)

    def ask(self, requests: Sequence[bytes]) -> None:
        """Send messages."""
        self._asked.extend([time.perf_counter()] * len(requests))
        self._line.send(self._stream, requests)

    def hear(self, latencies: list[float]) -> int:
        """Take replies and note how long each took. Return how many there are. Raises RuntimeError for an error."""
        heard = b"".join([data or b"" for _, data in self._line.receive()])
        now = time.perf_counter()
        messages, self._rest = unframed(self._rest + heard)
        latencies.extend([now - self._asked.popleft() for _ in messages])
        return len(messages)


def _calls(path: str) -> Callable[[Address], _Calls]:
    return lambda address: _Calls(address, path)


def _stream(path: str) -> Callable[[Address], _Stream]:
    return lambda address: _Stream(address, path)
