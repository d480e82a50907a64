"""More clients than a node has descriptors: peers still get their places, and clients are told."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trioraft.addresses import parse_address
from trioraft.client import Client, NoNode

from ..helpers.processes import HOST, Cluster, Line, Node, eventually, sockets_left

pytestmark = pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is not installed (util-linux)")

PING = b'{"op":"ping"}\n'
FIRST_WORDS = {
    "idle": PING,
    "silent": b"",
    "an introduction that never ends": b'{"peer":"hello",',
}


@contextlib.contextmanager
def limited(folder: Path, descriptors: int) -> Iterator[Cluster]:
    """Run three nodes with that limit of open files each, and a leader."""
    with Cluster(folder) as cluster:
        for node in cluster.nodes:
            node.wrapper = ["prlimit", f"--nofile={descriptors}"]
        cluster.start()
        cluster.leader()
        yield cluster


def serves(node: Node) -> bool:
    """Whether the node has a place for a client with a question."""
    status = node.try_status()
    return status is not None and status["ok"]


def received(connection: socket.socket) -> bytes:
    """All bytes that have come by now."""
    connection.setblocking(False)
    try:
        return connection.recv(1 << 16)
    except BlockingIOError:
        return b""


class Besiegers:
    """Clients that reconnect as soon as they are closed, and only say their first words."""

    def __init__(self, node: Node, count: int, words: bytes) -> None:
        self._node = node
        self._words = words
        self._ended = threading.Event()
        self.held: list[socket.socket | None] = [None] * count
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._ended.is_set():
            for place, connection in enumerate(self.held):
                if connection is None or self._is_closed(connection):
                    self.held[place] = self._connect()
            time.sleep(0.01)

    def _connect(self) -> socket.socket | None:
        connection = socket.socket()
        connection.settimeout(1)
        try:
            connection.connect((HOST, self._node.port))
            connection.sendall(self._words)
        except OSError:
            connection.close()
            return None
        connection.setblocking(False)
        return connection

    def _is_closed(self, connection: socket.socket) -> bool:
        try:
            while connection.recv(1 << 16):
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        connection.close()
        return True

    def __enter__(self) -> Besiegers:
        self._thread.start()
        eventually(lambda: all(self.held), "all have been connected once")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(20)
        for connection in self.held:
            if connection is not None:
                connection.close()


@pytest.mark.parametrize(
    ("words", "descriptors"),
    [
        pytest.param(
            words,
            descriptors,
            id=f"{name}-{descriptors}",
            marks=[] if name == "silent" and descriptors == 64 else pytest.mark.slow,
        )
        for name, words in FIRST_WORDS.items()
        for descriptors in (64, 200)
    ],
)
def test_a_follower_comes_back_however_many_clients_the_leader_has(
    tmp_path: Path, descriptors: int, words: bytes
) -> None:
    with limited(tmp_path, descriptors) as cluster:
        leader = cluster.leader()
        follower = cluster.followers()[0]
        other = cluster.followers()[1]
        term = leader.status()["term"]
        with Line(other.port) as through, Besiegers(leader, 2 * descriptors, words):
            follower.kill()
            assert through.ask({"op": "put", "key": "k", "value": 1})["ok"]
            follower.start()
            follower.listens()
            eventually(lambda: follower.get("k").get("value") == 1, "the leader hears the follower again", 20)
            # With the other node gone, every write needs the one that came back.
            other.kill()
            eventually(lambda: follower.put("k", 2)["ok"], "writes are acknowledged")
            assert follower.status()["term"] == term, "nobody had to be elected"
            assert leader.process is not None
            assert sockets_left(leader.process.pid) <= descriptors - 8, "some are left for the log"


def test_a_client_that_finds_no_place_is_told_so_in_one_line(tmp_path: Path) -> None:
    with limited(tmp_path, 64) as cluster:
        node = cluster.nodes[0]
        with contextlib.ExitStack() as stack:
            refused = []
            for _ in range(40):
                line = stack.enter_context(Line(node.port))
                line.send(PING)
                reply = line.read()
                if not reply["ok"]:
                    assert reply["error"]["code"] == "overloaded"
                    assert reply["error"]["applied"] == "no"
                    assert line.socket.recv(1) == b"", "and then the connection is closed"
                    refused.append(line)
            assert refused
            assert len(refused) < 40
            assert node.log.count("no more clients are taken") == 1
        eventually(lambda: serves(node), "when they are gone, there is room again")


def test_who_uses_the_client_is_served_by_the_next_node(tmp_path: Path) -> None:
    with limited(tmp_path, 64) as cluster, contextlib.ExitStack() as stack:
        places = [parse_address(f"{HOST}:{node.port}") for node in cluster.nodes]
        for _ in range(40):
            line = stack.enter_context(Line(cluster.nodes[0].port))
            line.send(PING)
            line.read()
        with Client(places) as client:
            assert client.call("put", key="k", value=1).ok
        with Client(places[:1]) as client, pytest.raises(NoNode, match="as many are connected"):
            client.call("put", key="k", value=2)  # no client is told that its write may have been applied


@pytest.mark.slow
def test_who_has_never_said_a_word_makes_room(tmp_path: Path) -> None:
    with limited(tmp_path, 64) as cluster:
        node = cluster.nodes[0]
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection((HOST, node.port))) for _ in range(40)]
            eventually(lambda: serves(node), "those with something to ask are served", 30)
            said = [part for connection in silent if (part := received(connection))]
            assert len(said) > 20
            assert {json.loads(part)["error"]["code"] for part in said} == {"overloaded"}


@pytest.mark.skipif(not shutil.which("ss"), reason="ss is not installed (iproute2)")
def test_a_client_whose_machine_is_gone_is_found_out(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.start()
        node = cluster.nodes[0]
        with Line(node.port) as line:
            assert line.ask(PING)["ok"]
            port = line.socket.getsockname()[1]
            command = ["ss", "-tnoH", f"sport = :{node.port} and dport = :{port}"]
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert (timer := re.search(r"timer:\(keepalive,([0-9.]+)sec", shown)), shown
            assert float(timer[1]) <= 60
