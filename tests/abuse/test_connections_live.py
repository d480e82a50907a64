"""Clients that misuse connections: they say too much, too slowly, too often, or never read."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..helpers.bystanders import MEBIBYTE, nobody_is_harmed
from ..helpers.processes import HOST, Cluster, Line, Node, end_sending, eventually, sockets_left, vanish

LARGE = "x" * 1_000_000


def send_until_closed(node: Node, start: bytes, block: bytes, most: int) -> tuple[int, bytes]:
    """Send the block again and again until the node closes. Return how many bytes it took, and its replies."""
    sent = 0
    received = b""
    with socket.create_connection((HOST, node.port), 20) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(start)
            while sent < most:
                connection.sendall(block)
                sent += len(block)
            end_sending(connection)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                received += part
    return sent, received


def without_a_newline(cluster: Cluster, mebibytes: int) -> None:
    """Send that much, on as many connections as it takes; each sender is told why it is closed."""
    starts = [b"", b'{"op":"put","key":"k","value":"', b'{"op":"put","key":"k","value":' + b"[" * 1000, b"GET /", b"\n"]
    with nobody_is_harmed(cluster):
        sent = connections = 0
        while sent < mebibytes * MEBIBYTE:
            node = cluster.nodes[connections % 3]
            more, reply = send_until_closed(
                node, starts[connections % len(starts)], b"[" * MEBIBYTE, mebibytes * MEBIBYTE
            )
            assert json.loads(reply)["error"]["code"] == "line_too_long"
            sent += more
            connections += 1
        assert connections < mebibytes, "most of it came on connections that were not closed at once"


def test_a_quarter_of_a_gigabyte_without_a_newline(steady: Cluster) -> None:
    without_a_newline(steady, 256)


@pytest.mark.slow
def test_a_gigabyte_without_a_newline(steady: Cluster) -> None:
    without_a_newline(steady, 1024)


def test_megabytes_of_blank_lines_are_no_requests(steady: Cluster) -> None:
    with nobody_is_harmed(steady):
        sent, reply = send_until_closed(steady.nodes[0], b"", b"\n\r\n \n" * 100_000, 20 * MEBIBYTE)
        assert (sent >= 20 * MEBIBYTE, reply) == (True, b"")


@pytest.fixture(scope="module")
def with_large_values(steady: Cluster) -> Iterator[Cluster]:
    """Write ten large values, which make log entries as large."""
    keys = [f"large-{number}" for number in range(10)]
    for key in keys:
        assert steady.nodes[0].put(key, LARGE)["ok"]
    yield steady
    for key in keys:
        assert steady.nodes[0].ask({"op": "delete", "key": key})["ok"]


@pytest.fixture
def large(with_large_values: Cluster) -> Cluster:
    """Ten large values; the one that tests change is written again."""
    assert with_large_values.nodes[0].put("large-1", LARGE)["ok"]
    return with_large_values


NEVER_READ = {
    "gets": [b'{"op":"get","key":"large-1"}\n'],
    "stale gets": [b'{"op":"get","key":"large-1","read":"stale"}\n'],
    "scans": [b'{"op":"scan","prefix":"large"}\n'],
    "scans of one": [b'{"op":"scan","prefix":"large","limit":1}\n'],
    "stale scans of one": [b'{"op":"scan","prefix":"large","limit":1,"read":"stale"}\n'],
    "show_log": [b'{"op":"show_log","limit":1000}\n', b'{"op":"show_log","from":1,"limit":1000}\n', b"show_log\n"],
    "conflicts": [b'{"op":"put","key":"large-1","value":1,"if_rev":0}\n', b'{"op":"incr","key":"large-2"}\n'],
    "help": [b'{"op":"help"}\n', b"help\n", b"status\n"],
    "errors": [b"x\n", b'{"op":"nothing"}\n', b"\x80\n"],
    "gets of a key before it is there": [
        b'{"op":"put","key":"large-1","value":1}\n',
        b'{"op":"put","key":"large-1","value":"%b"}\n' % LARGE.encode(),
        *[b'{"op":"get","key":"large-1"}\n'] * 1000,
    ],
}


@pytest.mark.parametrize("asked", NEVER_READ.values(), ids=list(NEVER_READ))
def test_a_client_that_never_reads_is_not_read_any_more(large: Cluster, asked: list[bytes]) -> None:
    block = b"".join(asked)
    block *= max(1, 100_000 // len(block))
    with nobody_is_harmed(large), contextlib.ExitStack() as stack:
        sent = dict.fromkeys(
            (stack.enter_context(socket.create_connection((HOST, node.port), 10)) for node in large.nodes * 2), 0
        )
        for connection in sent:
            connection.setblocking(False)
        while takers := select.select([], sent, [], 0.4)[1]:  # until no node takes anything for that long
            for connection in takers:
                at = sent[connection] % len(block)
                sent[connection] += connection.send(block[at:])
            assert max(sent.values()) < 100 * MEBIBYTE, "the node reads on though nobody reads what it says"


@pytest.mark.parametrize(
    ("asked", "count"),
    [(b'{"op":"get","key":"large-1"}\n' * 400, 100), (b'{"op":"put","key":"k","value":"' + b"x" * 900_000, 40)],
    ids=["a lot", "half a line"],
)
def test_what_clients_took_that_ask_and_leave_is_given_back(large: Cluster, asked: bytes, count: int) -> None:
    node = large.leader()
    with nobody_is_harmed(large):
        for _ in range(3):
            some = [socket.create_connection((HOST, node.port), 10) for _ in range(count)]
            for connection in some:
                connection.sendall(asked)
            time.sleep(0.3)  # the senders are slow
            for connection in some:
                vanish(connection)


def test_who_reads_at_last_gets_every_answer(large: Cluster) -> None:
    requests = b"".join(b'{"id":%d,"op":"get","key":"large-%d"}\n' % (number, number % 10) for number in range(200))
    with nobody_is_harmed(large), Line(large.nodes[0].port) as line:
        line.send(requests)
        end_sending(line.socket)
        for number in range(200):
            reply = line.read()
            assert (reply["id"], len(reply["value"])) == (number, len(LARGE))
        assert line.socket.recv(1) == b""


def test_byte_after_byte_on_many_connections(steady: Cluster) -> None:
    with nobody_is_harmed(steady), contextlib.ExitStack() as stack:
        lines = [stack.enter_context(Line(steady.nodes[number % 3].port)) for number in range(200)]
        requests = [b'{"op":"put","key":"drop-%03d","value":1%03d}\r\n' % (number, number) for number in range(200)]
        for place in range(len(requests[0])):
            for line, request in zip(lines, requests, strict=True):
                line.send(request[place : place + 1])
        for line in lines:
            assert line.read()["ok"]
        for number, line in enumerate(lines):
            assert line.ask(b'{"op":"get","key":"drop-%03d"}\n' % number)["value"] == 1000 + number


def test_lines_that_grow_by_a_byte_and_never_end(steady: Cluster) -> None:
    with nobody_is_harmed(steady), contextlib.ExitStack() as stack:
        lines = [stack.enter_context(Line(steady.nodes[number % 3].port)) for number in range(30)]
        for line in lines:
            line.send(b'{"op":"put","key":"k","value":"')
        for _ in range(1000):
            for line in lines:
                line.send(b"x")
        for line in lines:
            assert line.ask(b'"}\n')["ok"]


def how_many() -> int:
    """How many connections the limits of this process allow, and of the nodes that inherited them."""
    return min(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 300)


def test_thousands_of_idle_connections(steady: Cluster) -> None:
    node = steady.nodes[0]
    assert node.process is not None
    before = sockets_left(node.process.pid)
    with nobody_is_harmed(steady) as bystanders:
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(socket.create_connection((HOST, node.port), 10)) for _ in range(how_many())]
            for number, connection in enumerate(idle):
                connection.sendall([b"", b'{"op":"pi', b'{"op":"ping"}\n', b'{"pee'][number % 4])
            eventually(lambda: sockets_left(node.process.pid) >= before + len(idle), "all are taken")  # type: ignore[union-attr]
            rounds = [bystander.rounds for bystander in bystanders]
            eventually(
                lambda: all(now.rounds > then + 10 for now, then in zip(bystanders, rounds, strict=True)),
                "the others go on",
            )
            for connection in idle[2::4]:
                assert json.loads(connection.recv(100))["ok"]
        eventually(lambda: sockets_left(node.process.pid) <= before + 2, "the descriptors are given back")  # type: ignore[union-attr]


@pytest.mark.parametrize("end", ["half-closed", "reset", "silent"])
def test_half_open_connections(steady: Cluster, end: str) -> None:
    node = steady.nodes[1]
    assert node.process is not None
    pid = node.process.pid
    before = sockets_left(pid)
    starts = [b"", b'{"op":"pi', b'{"op":"ping"}\n{"op"', b'{"op":"get","key":"k"}\n' * 100, b'{"peer"', b"\x80"]
    with nobody_is_harmed(steady):
        held = []
        for number in range(300):
            connection = socket.create_connection((HOST, node.port), 10)
            connection.sendall(starts[number % len(starts)])
            held.append(connection)
        for connection in held:
            if end == "half-closed":
                end_sending(connection)
            elif end == "reset":
                vanish(connection)
        if end == "half-closed":  # the node sends its last line and closes first
            for number, connection in enumerate(held):
                said = b""
                while part := connection.recv(1 << 16):
                    said += part
                assert (said != b"") == (number % len(starts) not in (0, 4)), (starts[number % len(starts)], said)
        for connection in held:
            connection.close()
        eventually(lambda: sockets_left(pid) <= before + 2, "the descriptors are given back")


@pytest.mark.parametrize("seconds", [0.5, pytest.param(5.0, marks=pytest.mark.slow)])
def test_connections_that_come_and_go_as_fast_as_they_can(steady: Cluster, seconds: float) -> None:
    with nobody_is_harmed(steady):
        ends = time.monotonic() + seconds
        count = 0
        while time.monotonic() < ends:
            for node in steady.nodes:
                socket.create_connection((HOST, node.port), 10).close()
                count += 1
        assert count > 100


@pytest.mark.skipif(not Path("/usr/bin/prlimit").exists(), reason="prlimit is not installed (util-linux)")
def test_a_node_without_descriptors_serves_those_whom_it_has(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        for node in cluster.nodes:
            node.wrapper = ["prlimit", "--nofile=200"]
        cluster.start()
        leader = cluster.leader()
        assert leader.process is not None
        pid = leader.process.pid
        with nobody_is_harmed(cluster) as bystanders, Line(leader.port) as status, contextlib.ExitStack() as stack:
            assert status.ask({"op": "status"})["ok"]
            waiting = [stack.enter_context(socket.create_connection((HOST, leader.port), 10)) for _ in range(400)]
            eventually(lambda: "no more clients are taken" in leader.log, "it says so")
            assert sockets_left(pid) <= 200 - 20, "some descriptors are kept for the log and for peers"
            rounds = [bystander.rounds for bystander in bystanders]
            eventually(
                lambda: all(now.rounds > then + 10 for now, then in zip(bystanders, rounds, strict=True)),
                "the others go on",
            )
            assert status.ask({"op": "status"})["ok"]
            for connection in waiting:
                connection.close()
        cluster.write_until_done("after", 1)
        eventually(lambda: sockets_left(pid) < 40, "the descriptors are given back")
