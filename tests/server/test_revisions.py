"""What a reply reflects (`at`), and what a client may ask of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio

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
