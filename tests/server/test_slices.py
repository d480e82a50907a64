"""Large replies to many clients, and large values: no turn handles all, each gets a share, and no node seems dead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trioraft.kv.machine import MAX_SCAN_BYTES
from trioraft.kv.store import Store
from trioraft.raft.core import Core
from trioraft.replica.replica import Replica
from trioraft.replica.session import Session
from trioraft.server.driver import Driver
from trioraft.storage.snapshots import SnapshotWriter
from trioraft.testing.disk_threads import ImmediateThread
from trioraft.testing.network import MemoryConnection
from trioraft.wire.codec import encode
from trioraft.wire.peers import Propose

from ..helpers.virtual_cluster import Client, Cluster

MEBIBYTE = 1024 * 1024
A_TURN = 8 * MEBIBYTE
"""More bytes than a turn may send or make, which takes a node some milliseconds."""
MANY = 40
GETS = 6
LARGE = "x" * 500_000
OWN = b"own-key"


class Turns:
    """The work in each turn of all nodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[Counter[Any]] = [Counter()]
        turn = Replica.turn

        def watched(replica: Replica) -> None:
            self.done.append(Counter())
            turn(replica)

        monkeypatch.setattr(Replica, "turn", watched)
        self._monkeypatch = monkeypatch

    def count(self, owner: Any, name: str, what: Callable[..., tuple[Any, int]]) -> None:
        """Count the work done by calls of that method, or of that function of a module."""
        method = getattr(owner, name)

        def counted(*arguments: Any) -> Any:
            kind, number = what(*arguments)
            self.done[-1][kind] += number
            return method(*arguments)

        self._monkeypatch.setattr(owner, name, counted)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    return Turns(monkeypatch)


async def asking(cluster: Cluster, requests: list[dict[str, object]]) -> list[Client]:
    """Make clients of the leader that send these requests, for keys of their own where given, and do not read."""
    leader = await cluster.leader()
    some = [await cluster.connect(leader) for _ in range(MANY)]
    for number, client in enumerate(some):
        client.connection.pause()
        lines = b"".join(encode(request) + b"\n" for request in requests)
        client.connection.send(lines.replace(OWN, b"own-%02d" % number))
    return some


async def test_values_are_sent_in_portions_to_each_in_its_turn(cluster: Cluster, turns: Turns) -> None:
    leader = await cluster.leader()
    await cluster.ask(leader, {"op": "put", "key": "large", "value": LARGE})
    turns.count(MemoryConnection, "send", lambda connection, data: (connection, len(data)))
    some = await asking(cluster, [{"id": number, "op": "get", "key": "large"} for number in range(GETS)])
    for client in some:
        client.connection.resume()
    sent: Counter[MemoryConnection] = Counter()
    for client in some:
        replies = await client.replies(GETS)
        assert [reply["id"] for reply in replies] == list(range(GETS))
        assert all(reply["value"] == LARGE for reply in replies)
    for turn in turns.done:
        assert turn.total() < A_TURN
        sent += turn
        shares = [sent[client.connection.other] for client in some]
        assert max(shares) - min(shares) < MEBIBYTE, "nobody is far ahead of anybody"
    assert sum(sent[client.connection.other] for client in some) > MANY * GETS * len(LARGE)


async def test_scans_that_wait_for_their_turn_do_not_see_the_writes_behind_them(cluster: Cluster, turns: Turns) -> None:
    leader = await cluster.leader()
    await cluster.ask(leader, *[{"op": "put", "key": f"k{number}", "value": "x" * 3000} for number in range(400)])
    turns.count(Store, "scan", lambda *_: ("scans", 1))
    scans = [{"id": number, "op": "scan", "prefix": "k"} for number in range(4)]
    own: list[dict[str, object]] = [
        {"id": 4, "op": "scan", "prefix": "own-key"},
        {"id": 5, "op": "put", "key": "own-key", "value": "new"},
        {"id": 6, "op": "scan", "prefix": "own-key"},
    ]
    some = await asking(cluster, [*scans, *own])
    for client in some:
        client.connection.resume()
    for client in some:
        replies: list[Any] = await client.replies(7)
        assert [reply["id"] for reply in replies] == list(range(7))
        assert all(len(reply["items"]) > 300 for reply in replies[:4])
        assert [len(reply["items"]) for reply in (replies[4], replies[6])] == [0, 1], "a write is seen by what follows"
    assert sum(turn["scans"] for turn in turns.done) == MANY * 6


async def test_scans_are_made_a_few_a_turn(cluster: Cluster, turns: Turns) -> None:
    leader = await cluster.leader()
    turns.count(Store, "scan", lambda *_: ("scans", 1))
    some = await asking(cluster, [{"id": number, "op": "scan"} for number in range(4)])
    for client in some:
        client.connection.resume()
    await cluster.ask(leader, {"op": "put", "key": "k", "value": 1})
    for client in some:
        assert len(await client.replies(4)) == 4
    assert sum(turn["scans"] for turn in turns.done) == MANY * 4
    assert max(turn["scans"] for turn in turns.done) * MAX_SCAN_BYTES <= A_TURN


async def test_who_leaves_while_its_scans_wait_is_not_served(cluster: Cluster, turns: Turns) -> None:
    await cluster.leader()
    turns.count(Store, "scan", lambda *_: ("scans", 1))
    some = await asking(cluster, [{"id": number, "op": "scan"} for number in range(4)])
    await trio.sleep(0.0)
    for client in some:
        client.connection.other.break_off()
    await trio.sleep(1)
    assert sum(turn["scans"] for turn in turns.done) < MANY * 4


@pytest.mark.parametrize("through", ["the leader", "a follower"])
async def test_large_writes_of_many_are_sent_on_their_way_a_few_a_turn(
    cluster: Cluster, turns: Turns, through: str
) -> None:
    leader = await cluster.leader()
    node = leader if through == "the leader" else (leader + 1) % 3
    turns.count(Core, "propose", lambda _, payloads: ("proposed", sum(map(len, payloads))))
    turns.count(
        Replica,
        "send",
        lambda _, __, message: ("passed on", sum(map(len, message.commands)) if isinstance(message, Propose) else 0),
    )
    some = [await cluster.connect(node) for _ in range(MANY // 2)]
    for number, client in enumerate(some):
        key = f"own-{number}"
        puts = [{"id": part, "op": "put", "key": key, "value": LARGE + str(part)} for part in range(2)]
        client.send(*puts, {"id": 2, "op": "get", "key": key})
    for client in some:
        replies: list[Any] = await client.replies(3)
        assert [(reply["id"], reply["ok"]) for reply in replies] == [(0, True), (1, True), (2, True)]
        assert replies[0]["rev"] < replies[1]["rev"] == replies[2]["rev"]
        assert replies[2]["value"] == LARGE + "1"
    for what in ("proposed", "passed on") if node != leader else ("proposed",):
        assert sum(turn[what] for turn in turns.done) > MANY * len(LARGE)
        assert max(turn[what] for turn in turns.done) < A_TURN


async def test_a_snapshot_of_large_values_is_taken_a_few_a_turn(cluster: Cluster, turns: Turns) -> None:
    leader = await cluster.leader()
    for number in range(MANY):
        await cluster.ask(leader, {"op": "put", "key": f"k{number}", "value": LARGE})
    turns.count(SnapshotWriter, "append", lambda _, lines, __: ("bytes", len(lines)))
    (reply,) = await cluster.ask(leader, {"op": "snapshot"})
    assert reply["keys"] == MANY
    assert sum(turn["bytes"] for turn in turns.done) > MANY * len(LARGE)
    assert max(turn["bytes"] for turn in turns.done) < MEBIBYTE


@pytest.mark.parametrize("through", ["the leader", "a follower"])
async def test_a_value_that_travels_longer_than_an_election_timeout_costs_no_election(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    through: str,
) -> None:
    cluster = Cluster(nursery, seed=5)
    weather = cluster.weather()
    monkeypatch.setattr(weather, "delay", lambda: 0.2)
    cluster.network.capacity = 128 * 1024  # every 0.2 s, so a value takes more than 1.6 s
    for node in cluster.nodes:
        node.start()
    leader = await cluster.leader()
    term = term_of(cluster, leader)
    asked = leader
    if through == "a follower":
        asked = (leader + 1) % 3
        cluster.nodes[(leader + 2) % 3].crash()  # the leader needs to hear this very follower
    for number in range(3):
        (reply,) = await cluster.ask(asked, {"op": "put", "key": f"k{number}", "value": "x" * 1_040_000})
        assert reply["ok"], reply
    assert term_of(cluster, leader) == term


class Slow(ImmediateThread):
    """Each write takes two seconds, and parts of it reach the disk all the while."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver
        self._until = 0.0

    def start(self, write: Callable[[], None]) -> None:
        super().start(write)
        self._until = trio.current_time() + 2

    def finished(self, wait: bool = True) -> bool:
        if trio.current_time() >= self._until:
            return super().finished(wait)
        if (log := self._driver.replica.log) is not None:
            log.segments.moved = True
        return False


async def test_disks_that_are_slow_and_do_not_hang_cost_no_election(cluster: Cluster) -> None:
    leader = await cluster.leader()
    term = term_of(cluster, leader)
    for node in cluster.nodes:
        assert node.driver is not None
        assert node.driver.replica.log is not None
        node.driver.replica.log._thread = Slow(node.driver)
    began = trio.current_time()
    (reply,) = await cluster.ask(leader, {"op": "put", "key": "k", "value": 1})
    assert reply["ok"], reply
    assert trio.current_time() - began > 2
    assert term_of(cluster, leader) == term


def term_of(cluster: Cluster, leader: int) -> int:
    """The term in which all live nodes follow that leader."""
    cores = [node.driver.replica.core for node in cluster.nodes if node.driver is not None]
    assert {core.leader for core in cores} == {leader}
    (term,) = {core.term for core in cores}
    return term


@given(
    st.lists(st.one_of(st.binary(min_size=1, max_size=9), st.lists(st.binary(max_size=9), min_size=1, max_size=5))),
    st.lists(st.integers(1, 12), min_size=1),
)
def test_replies_come_whole_and_in_order_whatever_portions_they_are_taken_in(
    replies: list[Any], rooms: list[int]
) -> None:
    session = Session(1000, lambda: None, lambda *_: 0)
    for reply in replies:
        session.reserve(0).answer(reply)
    taken = b""
    for turn in range(10_000):
        part = session.take_replies(room := rooms[turn % len(rooms)])
        assert len(part) <= room
        taken += part
        if len(part) < room and session.idle:
            break
    assert taken == b"".join(reply if isinstance(reply, bytes) else b"".join(reply) for reply in replies)
