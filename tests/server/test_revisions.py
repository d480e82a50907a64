"""What a reply reflects (`at`), and what a client may ask of it."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration
from trioraft.raft.messages import HardState
from trioraft.replica.freshness import Freshness
from trioraft.wire import entries as codec

from ..helpers.virtual_cluster import Cluster
from ..replica.test_failing_snapshots import OFTEN, leave_one_behind


def get(key: str, **fields: Any) -> dict[str, Any]:
    return {"op": "get", "key": key, **fields}


def put(key: str, **fields: Any) -> dict[str, Any]:
    return {"op": "put", "key": key, "value": 1, **fields}


async def test_every_read_tells_as_of_which_revision_it_is(cluster: Cluster) -> None:
    leader = await cluster.leader()
    rev = (await cluster.ask(leader, put("a")))[0]["rev"]
    for node in range(3):
        found, missing, scanned, empty, status = await cluster.ask(
            node, get("a"), get("b"), {"op": "scan"}, {"op": "scan", "prefix": "b"}, {"op": "status"}
        )
        assert found["at"] == missing["at"] == scanned["at"] == empty["at"] == status["at"] == rev
        assert status["at"] == status["last_applied"]


async def test_a_read_before_a_write_does_not_reflect_it(cluster: Cluster) -> None:
    """Whatever is committed with it: what follows the read is not in the state that it is answered from."""
    for node in range(3):
        for _ in range(20):
            asked = [get("a", id=1), put("a", id=2), {"op": "scan", "id": 3}, {"op": "status", "id": 4}, put("a", id=5)]
            read, first, scanned, status, second = await cluster.ask(node, *asked)
            assert read["at"] < first["rev"] <= scanned["at"] <= status["at"] < second["rev"]
            assert scanned["items"][0]["rev"] == first["rev"]
            await trio.sleep(0.01)


def stale(key: str, **fields: Any) -> dict[str, Any]:
    return get(key, read="stale", **fields)


async def test_a_read_waits_for_the_revision_that_it_asks_for(cluster: Cluster) -> None:
    """A client that goes from node to node with what it was told last reads its own writes, and never goes back."""
    leader = await cluster.leader()
    await cluster.ask(leader, put("a"))
    for turn in range(20):
        rev = (await cluster.ask(leader, put("a")))[0]["rev"]
        for read in (stale("a"), {"op": "scan", "prefix": "a", "read": "stale"}, get("a")):
            reply = (await cluster.ask((leader + turn) % 3, {**read, "min_rev": rev}))[0]
            shown = reply["items"][0] if read["op"] == "scan" else reply
            assert shown["rev"] == reply["at"] == rev


@pytest.mark.parametrize("read", [stale("a"), get("a"), {"op": "scan"}], ids=["stale", "linearizable", "scan"])
@pytest.mark.parametrize("away", [0, 1])
async def test_a_revision_that_does_not_come_is_not_waited_for_for_ever(
    cluster: Cluster, read: dict[str, Any], away: int
) -> None:
    node = (await cluster.leader() + away) % 3
    for fields, seconds in (({"timeout_ms": 300}, 0.3), ({}, 2.0), ({"timeout_ms": 4000}, 4.0)):
        began = trio.current_time()
        reply = (await cluster.ask(node, {**read, "min_rev": 1_000_000, **fields}))[0]
        assert reply["error"]["code"] == "timeout"
        assert trio.current_time() - began == pytest.approx(seconds, abs=0.12)


@pytest.mark.parametrize("away", [0, 1])
async def test_a_later_write_has_no_read_served_below_the_revision_that_it_asks_for(
    cluster: Cluster, away: int
) -> None:
    """The read must not see the write, which comes before that revision: it has failed, and what follows goes on."""
    node = (await cluster.leader() + away) % 3
    written = (await cluster.ask(node, put("a")))[0]["rev"]
    asked = [stale("a", min_rev=written + 1, id=1), get("a", min_rev=written + 1, id=2), put("a", id=3), get("a", id=4)]
    first, second, put_reply, after = await cluster.ask(node, *asked)
    for failed in (first, second):
        assert failed["error"]["code"] == "timeout"
        assert str(written + 1) in failed["error"]["message"]
    assert put_reply["rev"] == after["rev"] == written + 1
    reached, _ = await cluster.ask(node, stale("a", min_rev=written + 1), put("a"))
    assert reached["rev"] == written + 1


async def test_a_stale_read_behind_one_that_waits_is_answered_after_it(cluster: Cluster) -> None:
    leader = await cluster.leader()
    written = (await cluster.ask(leader, put("a")))[0]["rev"]
    client = await cluster.connect((leader + 1) % 3)
    client.send(stale("a", min_rev=written + 2, id=1), stale("a", id=2))
    await trio.sleep(0.5)
    assert client.lines == b""
    await cluster.ask(leader, put("a"), put("b"))
    first, second = await client.replies(2)
    assert [first["id"], second["id"]] == [1, 2]
    assert first["at"] == second["at"] == written + 2


async def test_a_snapshot_of_the_leader_brings_the_revision_too(cluster: Cluster) -> None:
    cluster.tune(OFTEN)
    leader, node = await leave_one_behind(cluster)
    rev = (await cluster.ask(leader, put("a"), {"op": "snapshot"}))[0]["rev"]
    node.start()
    await trio.sleep(0.01)
    client = await cluster.connect(node.index)
    client.send(stale("a", min_rev=rev, timeout_ms=15_000))
    assert (await client.replies(1))[0]["at"] >= rev


async def test_what_nobody_waits_for_any_more_leaves_nothing(cluster: Cluster) -> None:
    node = (await cluster.leader() + 1) % 3
    driver = cluster.nodes[node].driver
    assert driver is not None
    client = await cluster.connect(node)
    client.send(*[stale("a", min_rev=1_000_000, timeout_ms=86_400_000)] * 100)
    await trio.sleep(0.2)
    assert not driver.requests.idle
    for connection in list(driver.clients):
        connection.abandon()
    del connection
    assert driver.requests.idle


async def test_a_stale_read_may_say_how_old_it_may_be(cluster: Cluster) -> None:
    leader = await cluster.leader()
    rev = (await cluster.ask(leader, put("a")))[0]["rev"]
    await trio.sleep(0.2)
    for read in (stale("a", max_age_ms=300), {"op": "scan", "read": "stale", "max_age_ms": 300}):
        for node in range(3):
            for _ in range(20):
                assert (await cluster.ask(node, read))[0]["at"] == rev
                await trio.sleep(0.013)
    cluster.nodes[leader].hub.freeze()
    silent, node = trio.current_time(), (leader + 1) % 3
    while (reply := (await cluster.ask(node, stale("a", max_age_ms=300)))[0])["ok"]:
        await trio.sleep(0.003)
    assert 0.2 <= trio.current_time() - silent <= 0.31
    assert reply["error"]["code"] == "no_quorum"
    assert "310 ms ago" in reply["error"]["message"]
    allowed, unbounded = await cluster.ask(node, stale("a", max_age_ms=60_000), stale("a"))
    assert allowed["at"] == unbounded["at"] == rev


async def test_a_leader_that_nobody_hears_does_not_take_its_state_for_new(cluster: Cluster) -> None:
    leader = await cluster.leader()
    for node in range(3):
        if node != leader:
            cluster.nodes[node].hub.freeze()
    reply = (await cluster.ask(leader, stale("a", max_age_ms=60_000, timeout_ms=200)))[0]
    assert reply["error"]["code"] == "timeout"
    assert (await cluster.ask(leader, stale("a", max_age_ms=100)))[0]["error"]["code"] == "no_quorum"


async def test_the_state_of_a_node_that_stood_still_is_as_old_as_that_was_long(
    cluster: Cluster, autojump_clock: trio.testing.MockClock
) -> None:
    """What it finds to read may have come when that began."""
    node = (await cluster.leader() + 1) % 3
    client = await cluster.connect(node)
    client.send(stale("a", max_age_ms=1000))
    assert (await client.replies(1))[0]["ok"]
    client.send(stale("a", max_age_ms=1000), stale("a", max_age_ms=90_000))
    autojump_clock.jump(60)
    _, refused, allowed = await client.replies(3)
    assert refused["error"]["code"] == "no_quorum"
    assert allowed["ok"]
    await trio.sleep(0.5)
    client.send(stale("a", max_age_ms=1000))
    assert (await client.replies(4))[3]["ok"]


async def test_only_a_stale_read_may_say_how_old_it_may_be(cluster: Cluster) -> None:
    node = await cluster.leader()
    for read in (get("a", max_age_ms=5), {"op": "scan", "read": "linearizable", "max_age_ms": 5}):
        error = (await cluster.ask(node, read))[0]["error"]
        assert error["code"] == "bad_request"
        assert "max_age_ms" in error["message"]


class Follower:
    """The core of a follower, as far as the age of its state goes."""

    def __init__(self) -> None:
        self.core = Core(
            1, Configuration((), 0), hard_state=HardState(), entries=[], codec=codec, random=Random(1), settings=None
        )
        self.freshness = Freshness(self)

    def turn(self, ticks: int = 0, *, lost: int = 0, told: int | None = None, applied: int = 0) -> float:
        """Take a turn in which the leader says what is committed, and give the age after it."""
        self.freshness.pass_time(ticks, lost)
        self.core.told_commit_index = told
        self.core.last_applied = applied
        self.freshness.end_turn()
        return self.freshness.age_ms


def test_what_a_leader_says_counts_once_it_is_applied_from_when_it_came() -> None:
    follower = Follower()
    assert follower.turn(5) == math.inf
    assert follower.turn(told=3, applied=2) == math.inf
    assert follower.turn(7, applied=3) == 80
    assert follower.turn(1, told=9, applied=3) == 90
    assert follower.turn(1, told=10, applied=8) == 100
    assert follower.turn(1, applied=9) == 30
    assert follower.turn(1, told=9, applied=9) == 10


def test_what_is_read_after_a_standstill_came_before_it() -> None:
    follower = Follower()
    assert follower.turn(5, told=0) == 10
    assert follower.turn(15, lost=2000, told=0) == 20_160
    assert follower.turn(1, told=0) == 10
