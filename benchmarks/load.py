"""Real nodes on this machine under a closed loop: clients that keep a number of requests outstanding."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

import msgspec

Address = tuple[str, int]
Make = Callable[[int], bytes]
"""Makes the request of that number, as a line without its end."""


class Load(msgspec.Struct, frozen=True):
    """The result of a load: how many requests were answered, how many a second, and latencies in seconds."""

    count: int
    rate: float
    p50: float
    p99: float


class Talk(Protocol):
    """One connection of a load, which notes when each of its requests was sent."""

    @property
    def socket(self) -> socket.socket:
        """The connection itself."""

    def ask(self, requests: Sequence[bytes]) -> None:
        """Send requests."""

    def hear(self, latencies: list[float]) -> int:
        """Take replies and note how long each took. Return how many there are. Raises RuntimeError for an error."""


class Cluster:
    """Nodes as separate processes, with their data in one folder. A context, at whose end no process is left."""

    def __init__(self, folder: Path, size: int = 3) -> None:
        self.folder = folder
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(size)]
        self.addresses: list[Address] = [one.getsockname()[:2] for one in held]
        for one in held:
            one.close()
        self._servers = folder / "servers.txt"
        self._servers.write_text("".join(f"{host}:{port}\n" for host, port in self.addresses))
        self.processes = [self._start(node) for node in range(size)]
        self.leader = self.wait_for_leader()

    def _start(self, node: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "trioraft_cli", "node", str(node), str(self._servers)]
        with (self.folder / f"node-{node}.log").open("ab") as log:
            return subprocess.Popen([*command, "--data-dir", str(self.folder / f"node-{node}")], stderr=log)

    def wait_for_leader(self) -> int:
        """Wait for a leader, and return its index. Raises TimeoutError after 60 s."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for node, address in enumerate(self.addresses):
                with contextlib.suppress(OSError, ValueError):
                    if ask(address, {"op": "status"}).get("role") == "leader":
                        return node
            time.sleep(0.05)
        raise TimeoutError("no leader within 60 s: " + (self.folder / "node-0.log").read_text()[-1000:])

    def restart(self, node: int) -> float:
        """Stop a node and start it again. Return how many seconds it takes until it has applied all that it had."""
        before = ask(self.addresses[node], {"op": "status"})["last_applied"]
        self.processes[node].send_signal(signal.SIGTERM)
        self.processes[node].wait(60)
        began = time.monotonic()
        self.processes[node] = self._start(node)
        while time.monotonic() < began + 120:
            with contextlib.suppress(OSError, ValueError, KeyError):
                if ask(self.addresses[node], {"op": "status"})["last_applied"] >= before:
                    return time.monotonic() - began
            time.sleep(0.02)
        raise TimeoutError("the node did not come back within two minutes")

    def memory(self, node: int) -> int:
        """How many bytes of memory the node's process holds."""
        pages = int(Path(f"/proc/{self.processes[node].pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def processor_times(self) -> list[float]:
        """The processor time of each node's process so far, in seconds: all its threads, and the kernel for it."""
        return [time.clock_gettime(_processor_clock(process.pid)) for process in self.processes]

    def close(self) -> None:
        """End every process."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _processor_clock(process: int) -> int:
    """The number of Linux's clock for a process's processor time. /proc only has hundredths of seconds."""
    return ~process << 3 | 2


def ask(address: Address, request: dict[str, object]) -> dict[str, Any]:
    """Send one request on a connection of its own, and return the reply."""
    with socket.create_connection(address, timeout=30) as line:
        line.sendall(json.dumps(request).encode() + b"\n")
        with line.makefile("rb") as replies:
            reply: dict[str, Any] = json.loads(replies.readline())
            return reply


def put(keys: int, size: int, seed: int = 1) -> Make:
    """Make puts to random ones of `keys` keys, with values of `size` bytes."""
    random = Random(seed)
    value = "x" * (size - 2)
    return lambda number: (
        b'{"id":%d,"op":"put","key":"key-%012d","value":"%b"}'
        % (
            number,
            random.randrange(keys),
            value.encode(),
        )
    )


def put_in_order(size: int) -> Make:
    """Make puts to new keys in order, with values of `size` bytes."""
    value = b"x" * (size - 2)
    return lambda number: b'{"id":%d,"op":"put","key":"key-%012d","value":"%b"}' % (number, number, value)


def get(keys: int, read: str = "linearizable", seed: int = 1) -> Make:
    """Make gets of random ones of `keys` keys."""
    random = Random(seed)
    return lambda number: (
        b'{"id":%d,"op":"get","key":"key-%012d","read":"%b"}'
        % (
            number,
            random.randrange(keys),
            read.encode(),
        )
    )


class Lines:
    """A connection to a node: a line for each request, and a line in reply."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.asked: deque[float] = deque()

    def ask(self, lines: Sequence[bytes]) -> None:
        """Send lines without their ends."""
        now = time.perf_counter()
        self.asked.extend([now] * len(lines))
        self.socket.sendall(b"".join([line + b"\n" for line in lines]))

    def hear(self, latencies: list[float]) -> int:
        """Take replies and note how long each took. Return how many there are. Raises RuntimeError for an error."""
        data = self.rest + self.socket.recv(256 * 1024)
        *lines, self.rest = data.split(b"\n")
        now = time.perf_counter()
        for line in lines:
            if b'"ok":true' not in line:
                raise RuntimeError(f"a request failed: {line[:300]!r}")
            latencies.append(now - self.asked.popleft())
        return len(lines)


def run(
    addresses: Sequence[Address],
    make: Make,
    connections: int,
    depth: int,
    *,
    seconds: float = 0.0,
    total: int = 0,
    dial: Callable[[Address], Talk] = Lines,
) -> Load:
    """Keep `depth` requests outstanding on each connection, for `seconds`, or until `total` are answered.

    At least one is answered, however long that takes.
    """
    latencies: list[float] = []
    asked = 0
    with contextlib.ExitStack() as stack:
        talks = [dial(addresses[number % len(addresses)]) for number in range(connections)]
        for talk in talks:
            stack.enter_context(talk.socket)
        ready = stack.enter_context(select.epoll())
        by_descriptor = {talk.socket.fileno(): talk for talk in talks}
        began = time.perf_counter()
        for descriptor, talk in by_descriptor.items():
            ready.register(descriptor, select.EPOLLIN)
            talk.ask([make(asked + number) for number in range(depth)])
            asked += depth
        while len(latencies) < (total or 1) or (not total and time.perf_counter() - began < seconds):
            for descriptor, _ in ready.poll(30):
                talk = by_descriptor[descriptor]
                answered = talk.hear(latencies)
                more = min(answered, max(0, total - asked)) if total else answered
                if more:
                    talk.ask([make(asked + number) for number in range(more)])
                    asked += more
        passed = time.perf_counter() - began
    latencies.sort()
    return Load(
        len(latencies), len(latencies) / passed, latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    )


@contextlib.contextmanager
def limit_of_open_files(wanted: int) -> Iterator[None]:
    """Let this process and its children open `wanted` files, as far as the system allows."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
