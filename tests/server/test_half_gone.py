"""Connections that are half gone: two nodes have one for each direction, and a client may end its half first."""

from __future__ import annotations

import logging
import socket

import pytest
import trio
import trio.testing

from trioraft.addresses import Address
from trioraft.server.driver import Driver
from trioraft.server.sockets import SocketConnection, SocketHub
from trioraft.testing.network import Weather

from ..helpers.virtual_cluster import ADDRESSES, Cluster


@pytest.fixture
async def weather(cluster: Cluster) -> Weather:
    return cluster.weather()


async def a_follower(cluster: Cluster) -> tuple[int, Driver]:
    """The leader and one follower."""
    leader = await cluster.leader()
    follower = cluster.nodes[(leader + 1) % 3].driver
    assert follower is not None
    assert (await cluster.ask(follower.node, {"op": "put", "key": "k", "value": 0}))[0]["ok"]
    return leader, follower


def lose_the_way_back(weather: Weather, leader: int, follower: Driver) -> None:
    """Break the connection that the leader has dialled, and let none of its dials arrive any more."""
    weather.cut(f"node {leader}", ADDRESSES[0].host)
    follower.peers._incoming[leader]._connection.break_off()  # type: ignore[attr-defined]


async def test_nothing_is_passed_on_to_who_cannot_answer(cluster: Cluster, weather: Weather) -> None:
    leader, follower = await a_follower(cluster)
    lose_the_way_back(weather, leader, follower)
    await trio.sleep(0.05)
    assert leader in follower.peers._links
    assert follower.replica.core.leader == leader
    [reply] = await cluster.ask(follower.node, {"op": "put", "key": "k", "value": 1, "timeout_ms": 300})
    assert reply["error"]["applied"] == "no", "it has never left this node"


@pytest.mark.parametrize(
    "request_",
    [{"op": "put", "key": "k", "value": 1}, {"op": "add_member", "address": "new:1", "learner": True}],
    ids=lambda request: request["op"],
)
async def test_what_was_asked_is_given_up_when_the_way_back_is_gone(
    cluster: Cluster,
    weather: Weather,
    request_: dict[str, object],
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    leader, follower = await a_follower(cluster)
    client = await cluster.connect(follower.node)
    follower.peers._incoming[leader]._connection.pause()  # nobody reads the answer any more
    client.send(request_)
    await trio.sleep(0.2)
    assert client.lines == b""
    began = trio.current_time()
    lose_the_way_back(weather, leader, follower)
    [reply] = await client.replies(1)
    assert reply["error"]["applied"] == "unknown"
    assert trio.current_time() - began < 0.1


async def test_what_was_asked_is_given_up_when_the_leader_has_dialled_anew(
    cluster: Cluster,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    """The unread bytes of its earlier connection are not read any more."""
    leader, follower = await a_follower(cluster)
    driver = cluster.nodes[leader].driver
    assert driver is not None
    client = await cluster.connect(follower.node)
    follower.peers._incoming[leader]._connection.pause()
    client.send({"op": "put", "key": "k", "value": 1})
    await trio.sleep(0.2)
    began = trio.current_time()
    driver.peers._replicators[follower.node].redial()
    [reply] = await client.replies(1)
    assert trio.current_time() - began < 0.1
    assert reply["ok"] or reply["error"]["applied"] == "unknown"


@pytest.mark.parametrize("line", [b"ping", b"{", b'{"op":"ping"}', b'{"op":"ping"}\n{"op":"ping"}', b'{"peer"'[:5]])
async def test_the_last_line_is_answered_though_it_has_no_end(cluster: Cluster, line: bytes) -> None:
    client = await cluster.connect(await cluster.leader())
    client.connection.send(line)
    client.connection._give("end")
    with trio.fail_after(5):
        while not client.ended:
            await client.news.wait()
            client.news = trio.Event()
    assert client.lines.count(b"\n") == line.count(b"\n") + 1
    assert client.lines.endswith(b"\n")


# Sockets


class Watched:
    """A handler that counts its calls."""

    def __init__(self) -> None:
        self.ends = 0
        self.breaks = 0

    def received(self, data: bytes) -> None:
        self.ends += not data

    def drained(self) -> None: ...

    def broken(self) -> None:
        self.breaks += 1


def pair(hub: SocketHub) -> tuple[SocketConnection, socket.socket]:
    """Make a connection of the hub, and its other end."""
    listener = hub.listen(Address("127.0.0.1", 0))
    other = socket.create_connection(("127.0.0.1", listener.address.port))
    mine, _ = listener._socket.accept()
    listener._socket.close()
    return SocketConnection(hub, mine), other


def events(hub: SocketHub) -> int:
    """Serve the connections that are ready within a moment. Return how many they were."""
    hub._ready = hub._poll(0.05)
    count = len(hub._ready)
    hub.serve()
    return count


def test_a_half_that_has_ended_is_told_of_once_and_costs_nothing_then() -> None:
    hub = SocketHub()
    connection, other = pair(hub)
    handler = connection.handler = Watched()
    connection.resume()
    other.shutdown(socket.SHUT_WR)
    assert events(hub) == 1
    for _ in range(3):  # as if it had taken everything and had room for more
        connection.pause()
        connection.resume()
        assert events(hub) == 0
    assert handler.ends == 1
    connection.send(b"an answer")
    assert other.recv(100) == b"an answer"
    other.close()
    hub.close()


def test_a_connection_that_is_not_read_is_found_to_be_broken() -> None:
    hub = SocketHub()
    connection, other = pair(hub)
    handler = connection.handler = Watched()
    connection.resume()
    connection.pause()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    other.close()
    assert events(hub) == 1
    assert handler.breaks == 1
    assert events(hub) == 0, "it would be ready again and again"
    hub.close()


async def test_only_a_connection_that_broke_is_told_as_gone(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """A node that introduces itself anew ends its old connection, as when the cluster forms; this does no harm."""
    caplog.set_level(logging.INFO, "trioraft.links")
    leader = await cluster.leader()
    peer = (leader + 1) % 3
    driver = cluster.nodes[leader].driver
    assert driver is not None
    await trio.sleep(0.5)
    caplog.clear()
    driver.peers._replicators[peer].redial()
    await trio.sleep(0.5)
    assert [record.getMessage().partition(" at ")[0] for record in caplog.records] == [f"connected to node {peer}"]
    cluster.nodes[peer].crash()
    await trio.sleep(0.5)
    assert f"the connection to node {peer} is gone" in caplog.text
