"""Watches on whole nodes: through failovers, at other nodes, on connections that are slow or half closed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import trio

from ..helpers.virtual_cluster import Client, Cluster


async def until(client: Client, event: str) -> list[dict[str, Any]]:
    """Wait for an event of that kind, and return all so far."""
    events: list[dict[str, Any]] = []
    while not any(one["event"] == event for one in events):
        events = await client.events(len(events) + 1)
    return events


async def write(cluster: Cluster, node: int, *values: int) -> None:
    for value in values:
        [reply] = await cluster.ask(node, {"op": "put", "key": "k", "value": value, "timeout_ms": 60_000})
        assert reply["ok"]


async def test_a_watch_lives_through_changes_of_the_leader_and_goes_on_at_another_node(cluster: Cluster) -> None:
    leader = await cluster.leader()
    watching, other = (node for node in range(3) if node != leader)
    client = await cluster.connect(watching)
    client.send({"op": "watch", "id": 1, "key": "k"})
    await until(client, "synced")
    await write(cluster, other, 1, 2)
    await cluster.hand_over(other)
    await write(cluster, watching, 3)
    cluster.nodes[other].crash()
    await cluster.leader()
    await write(cluster, leader, 4, 5)
    seen = [one["value"] for one in await client.events(6) if one["event"] == "put"]
    assert seen == [1, 2, 3, 4, 5]
    last = client.told[-1]["rev"]
    cluster.nodes[watching].crash()
    cluster.nodes[other].start()
    await write(cluster, leader, 6)
    again = await cluster.connect(other)
    again.send({"op": "watch", "id": 1, "key": "k", "after_rev": last})
    assert [one.get("value") for one in await until(again, "synced")] == [6, None]


async def test_a_watch_that_resumes_is_synced_once_there_is_a_majority(cluster: Cluster) -> None:
    leader = await cluster.leader()
    await write(cluster, leader, 1)
    for node in range(3):
        if node != leader:
            cluster.nodes[node].crash()
    client = await cluster.connect(leader)
    client.send({"op": "watch", "id": 1, "key": "k", "after_rev": 0, "progress_ms": 60_000})
    assert [one["event"] for one in await client.events(1)] == ["put"]
    await trio.sleep(10)
    assert len(client.told) == 2
    cluster.nodes[(leader + 1) % 3].start()
    assert [one["event"] for one in await client.events(2)] == ["put", "synced"]


async def test_progress_comes_on_a_silent_connection_in_time(cluster: Cluster) -> None:
    leader = await cluster.leader()
    client = await cluster.connect(leader)
    client.send({"op": "watch", "id": 1, "key": "k", "progress_ms": 300})
    await until(client, "synced")
    times = []
    for count in range(2, 6):
        await client.events(count)
        times.append(trio.current_time())
    for before, after in pairwise(times):
        assert 0.29 < after - before < 0.35


async def test_an_event_comes_between_the_replies_and_delays_none(cluster: Cluster) -> None:
    leader = await cluster.leader()
    client = await cluster.connect(leader)
    put = {"op": "put", "key": "k", "value": 1}
    client.send({"op": "watch", "id": 1, "key": "k"}, *[put] * 50)
    await client.replies(51)
    assert len([one for one in await client.events(51) if one["event"] == "put"]) == 50


async def test_a_client_that_asks_no_more_is_told_on(cluster: Cluster) -> None:
    leader = await cluster.leader()
    client = await cluster.connect(leader)
    client.send({"op": "watch", "id": 1, "key": "k"}, {"op": "wait", "id": 2, "key": "k", "exists": True})
    client.connection.shut()
    await until(client, "synced")
    await write(cluster, leader, 1)
    await until(client, "held")
    assert not client.ended


async def test_a_node_that_stops_closes_what_is_open_and_waits_for_nothing(cluster: Cluster) -> None:
    leader = await cluster.leader()
    driver = cluster.nodes[leader].driver
    assert driver is not None
    client = await cluster.connect(leader)
    client.send({"op": "watch", "id": 1, "prefix": ""}, {"op": "wait", "id": 2, "key": "k", "exists": True})
    await client.replies(2)
    began = trio.current_time()
    await driver.stop(10)
    assert trio.current_time() - began < 5
    closed = [one for one in client.told if one.get("event") == "closed"]
    assert [(one["id"], one["error"]["code"]) for one in closed] == [(1, "shutting_down"), (2, "shutting_down")]
