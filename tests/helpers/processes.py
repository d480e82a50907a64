"""Real nodes as real processes, which tests start, ask, pause and kill. Every process is ended."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

from . import prepared

T = TypeVar("T")

HOST = "127.0.0.1"
FIRST_LEADER_SECONDS = 2.0
"""How long three nodes may take to elect a leader; the time that Python takes to start does not count."""
START_SECONDS = 20.0
"""How long Python may take to start on a busy machine."""


def free_ports(count: int) -> list[int]:
    """Find unused ports below the ephemeral range, which no outgoing connection can get."""
    low = 32768
    with contextlib.suppress(OSError, ValueError):
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(low // 2, low)
        if port in ports:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            ports.append(port)
    return ports


def is_running(process: int) -> bool:
    """Whether a process is there and has not ended; one that nobody has waited for has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(look: Callable[[], T | None], what: str, seconds: float = 10.0) -> T:
    """Call `look` again and again until its answer is true, and return it. AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def running(words: str) -> list[str]:
    """The processes with these words in their command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if words.encode() in place.read_bytes():
                found.append(place.parent.name)
    return found


def undisturbed(folder: Path, attempt: Callable[[Path], object], times: int = 3) -> None:
    """Make an attempt in a folder of its own, and again if it returns what went wrong. Fails where each does.

    For what a busy machine may spoil by itself, as it may cost a leader its lead, but not each time.
    """
    troubles: list[object] = []
    for number in range(times):
        place = folder / str(number)
        place.mkdir()
        if not (trouble := attempt(place)):
            return
        troubles.append(trouble)
    pytest.fail(f"each time something went wrong: {troubles}")


def is_full(pipe: int) -> bool:
    """Whether a pipe has less room than 2000 bytes, as less than a line. `pipe` is its end to read from."""
    held = array.array("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
    return held > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - 2000


def end_sending(connection: socket.socket) -> None:
    """End the sending direction. If the other end has hung up already, this is no error."""
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:  # Python has no class for it: it is no ConnectionError
            raise


def vanish(connection: socket.socket) -> None:
    """Close a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def talk(port: int, data: bytes, timeout: float = 10.0, half_close: bool = True) -> bytes:
    """Send bytes, end the sending direction, and return all bytes until the node closes, like `nc -N`."""
    with socket.create_connection((HOST, port), timeout) as connection:
        connection.sendall(data)
        if half_close:
            end_sending(connection)
        received = []
        while part := connection.recv(1 << 16):
            received.append(part)
        return b"".join(received)


def ask_port(port: int, request: dict[str, Any] | bytes, timeout: float = 10.0) -> dict[str, Any]:
    """Send one request on a connection of its own, and return the reply. Raises OSError or ValueError without one."""
    with Line(port, timeout) as line:
        return line.ask(request)


class Line:
    """A client's connection that stays open."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self.socket = socket.create_connection((HOST, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def send(self, *requests: dict[str, Any] | bytes) -> None:
        self.socket.sendall(
            b"".join(
                request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n" for request in requests
            )
        )

    def read_line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError(f"the connection ended after {line!r}")
        return line

    def read(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self.read_line())
        return reply

    def ask(self, request: dict[str, Any] | bytes) -> dict[str, Any]:
        self.send(request)
        return self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()


class Node:
    """One node: its folder and port last, while its processes come and go."""

    def __init__(self, index: int, port: int, servers: Path, folder: Path) -> None:
        self.index = index
        self.port = port
        self.servers = servers
        self.data = folder / f"n{index}"
        self.log_file = folder / f"n{index}.log"
        self.process: prepared.Process | None = None
        self.options: list[str] = []
        self.wrapper: list[str] = []
        """A command before the node's own that keeps its process id, such as `strace -D`."""
        self.program: Path | None = None
        """The source tree that the next process runs; None stands for this checkout."""

    def start(self) -> None:
        assert not self.running
        words = ["node", str(self.index), str(self.servers), "--data-dir", str(self.data), *self.options]
        environment = {**os.environ, **_sources(self.program)}
        with self.log_file.open("ab") as log, open(os.devnull) as nothing:
            if not self.wrapper and self.program is None:
                streams = [nothing.fileno(), log.fileno(), log.fileno()]
                self.process = prepared.start("trioraft_cli", words, streams, environment)
                return
            command = [*_die_with_us(), *self.wrapper, sys.executable, "-m", "trioraft_cli", *words]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.program, env=environment
            )

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the process with SIGKILL, and wait for its end."""
        self.signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def stop(self) -> int:
        """Stop the process with SIGTERM, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, seconds: float = 20.0) -> int:
        """Wait for a node that ends by itself, and return its exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def restart(self) -> None:
        if self.running:
            self.kill()
        self.start()
        self.listens()

    def listens(self) -> None:
        """Wait until the node answers; fail at once if it has ended."""

        def answers() -> bool:
            assert self.running, f"node {self.index} ended: {self.log}"
            return self.try_status() is not None

        eventually(answers, f"node {self.index} answers", START_SECONDS)

    def ask(self, request: dict[str, Any] | bytes, timeout: float = 10.0) -> dict[str, Any]:
        return ask_port(self.port, request, timeout)

    def status(self) -> dict[str, Any]:
        return self.ask({"op": "status"})

    def try_status(self) -> dict[str, Any] | None:
        try:
            return self.ask({"op": "status"}, 2.0)
        except (OSError, ValueError):
            return None

    def put(self, key: str, value: Any) -> dict[str, Any]:
        return self.ask({"op": "put", "key": key, "value": value})

    def get(self, key: str, read: str = "linearizable") -> dict[str, Any]:
        return self.ask({"op": "get", "key": key, "read": read})

    @property
    def log(self) -> str:
        """The node's log over all its processes."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def everything(self) -> dict[str, Any]:
        """All keys and values that this node itself holds."""
        held: dict[str, Any] = {}
        with Line(self.port) as line:
            after: str | None = None
            more = True
            while more:
                request: dict[str, Any] = {"op": "scan", "read": "stale"}
                if after is not None:
                    request["after"] = after
                reply = line.ask(request)
                assert reply["ok"], reply
                held |= {item["key"]: item["value"] for item in reply["items"]}
                more = reply["more"]
                after = reply["items"][-1]["key"] if reply["items"] else None
        return held


def _sources(program: Path | None) -> dict[str, str]:
    """The environment in which Python finds a source tree before the installed checkout."""
    return {} if program is None else {"PYTHONPATH": os.pathsep.join(map(str, (program, program / "cli")))}


def _die_with_us() -> list[str]:
    """A command before a node's own, so that the node ends with the tests, even if these are killed with SIGKILL."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


class Cluster:
    """Several nodes with a servers.txt of their own. A context, at whose end no process is left."""

    def __init__(self, folder: Path, size: int = 3) -> None:
        self.folder = folder
        self.servers = folder / "servers.txt"
        ports = free_ports(size)
        self.servers.write_text("".join(f"{HOST}:{port}\n" for port in ports))
        self.nodes = [Node(index, port, self.servers, folder) for index, port in enumerate(ports)]

    def __enter__(self) -> Self:
        return self

    def end(self) -> None:
        """Kill every node."""
        for node in self.nodes:
            if node.running:
                node.signal(signal.SIGKILL)
        for node in self.nodes:
            if node.process is not None:
                node.wait()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()
        for node in self.nodes:
            print(f"--- node {node.index}, port {node.port}\n{node.log}")  # pytest shows this if a test fails

    def start(self, nodes: Sequence[Node] | None = None) -> Self:
        """Start nodes and wait until they answer."""
        chosen = self.nodes if nodes is None else nodes
        for node in chosen:
            node.start()
        for node in chosen:
            node.listens()
        return self

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.running]

    def leader(self, seconds: float = 10.0, among: Sequence[Node] | None = None) -> Node:
        """Wait for a node that says it leads, and with which a majority agrees."""

        def look() -> Node | None:
            statuses = {node.index: node.try_status() for node in (self.running if among is None else among)}
            known = [status for status in statuses.values() if status is not None]
            for status in known:
                agree = sum(other["leader"] == status["node"] and other["term"] == status["term"] for other in known)
                if status["role"] == "leader" and agree > len(self.nodes) // 2:
                    leader: Node = self.nodes[status["node"]]
                    return leader
            return None

        return eventually(look, "a leader", seconds)

    def followers(self) -> list[Node]:
        leader = self.leader()
        return [node for node in self.running if node is not leader]

    def caught_up(self, seconds: float = 10.0) -> None:
        """Wait until every running node has applied all that the leader has committed."""

        def look() -> bool:
            statuses = [node.try_status() for node in self.running]
            if any(status is None for status in statuses):
                return False
            ends = {
                (status["last_applied"], status["commit_index"], status["last_index"]) for status in statuses if status
            }
            return len(ends) == 1 and len(set(*ends)) == 1

        eventually(look, "all running nodes have applied the same", seconds)

    def write_until_done(
        self, key: str, value: Any, seconds: float = 10.0, nodes: Sequence[Node] | None = None
    ) -> float:
        """Write through the running nodes in turn until a write is acknowledged. Return how many seconds that took."""
        began = time.monotonic()

        def write() -> bool:
            for node in self.running if nodes is None else nodes:
                with contextlib.suppress(OSError, ValueError):
                    if node.ask({"op": "put", "key": key, "value": value}, 1.0)["ok"]:
                        return True
            return False

        eventually(write, f"a write of {key} is acknowledged", seconds)
        return time.monotonic() - began


@contextlib.contextmanager
def running_cluster(folder: Path, size: int = 3, options: Sequence[str] = ()) -> Iterator[Cluster]:
    """Run a cluster that has a leader, within the context; `options` are those of each node."""
    with Cluster(folder, size) as cluster:
        for node in cluster.nodes:
            node.options = list(options)
        cluster.start()
        cluster.leader()
        yield cluster


def sockets_left(process: int) -> int:
    """How many descriptors a process holds open."""
    return len(os.listdir(f"/proc/{process}/fd"))
