"""A node's figures: what the replica knows, in virtual time; and what the process knows."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

import trioraft
from trioraft.server import vitals
from trioraft.server.durations import RECENT, Durations
from trioraft.server.vitals import ProcessVitals

from ..helpers.virtual_cluster import Cluster


async def figures(cluster: Cluster, index: int) -> dict[str, Any]:
    [reply] = await cluster.ask(index, {"op": "metrics"})
    assert reply.pop("ok")
    return reply


async def test_the_leader_says_how_far_its_followers_are(cluster: Cluster) -> None:
    leader = await cluster.leader()
    await cluster.ask(leader, *({"op": "put", "key": f"k{number}", "value": number} for number in range(10)))
    await cluster.ask(leader, {"op": "get", "key": "k1"})
    await trio.sleep(0.2)
    said = await figures(cluster, leader)
    others = [str(index) for index in range(3) if index != leader]
    assert said["node"] == said["leader"] == leader
    assert said["version"] == trioraft.__version__
    assert said["is_leader"] is said["has_leader"] is True
    assert said["peer_lag_entries"] == dict.fromkeys(others, 0)
    assert set(said["peer_heard_ms"]) == set(others)
    assert all(0 <= ms < 500 for ms in said["peer_heard_ms"].values())
    assert said["keys"] == said["writes_total"] == 10
    assert said["reads_total"] == 1
    assert said["commit_index"] == said["last_applied"] == said["last_index"]
    assert said["proposals_pending"] == 0
    assert said["leader_changes_total"] == said["failure_tolerance"] == 1
    assert said["clients"] == 1
    assert said["max_request_bytes"] == 1024 * 1024
    assert said["log_bytes"] > 0
    assert "leader_heard_ms" not in said
    assert "snapshot_index" not in said


async def test_a_follower_says_when_it_heard_its_leader(cluster: Cluster) -> None:
    leader = await cluster.leader()
    follower = (leader + 1) % 3
    await trio.sleep(0.2)
    said = await figures(cluster, follower)
    assert said["role"] == "follower"
    assert said["leader"] == leader
    assert 0 <= said["leader_heard_ms"] < 500
    assert sorted(said["peers_linked"]) == sorted({0, 1, 2} - {follower})
    assert not {"peer_lag_entries", "peer_heard_ms", "failure_tolerance"} & set(said)


async def test_a_node_that_died_is_seen_by_its_leader(cluster: Cluster) -> None:
    leader = await cluster.leader()
    dead = (leader + 1) % 3
    cluster.nodes[dead].crash()
    await trio.sleep(3)
    await cluster.ask(leader, {"op": "put", "key": "k", "value": 1})
    said = await figures(cluster, leader)
    assert said["peer_heard_ms"][str(dead)] >= 2900
    assert said["peer_lag_entries"][str(dead)] == 1
    assert dead not in said["peers_linked"]
    assert said["failure_tolerance"] == 0


async def test_another_leader_is_counted_and_the_same_one_is_not(cluster: Cluster) -> None:
    leader = await cluster.leader()
    follower = (leader + 1) % 3
    await trio.sleep(0.2)
    assert (await figures(cluster, follower))["leader_changes_total"] == 1
    await cluster.hand_over(follower)
    await trio.sleep(0.2)
    assert (await figures(cluster, follower))["leader_changes_total"] == 2


async def test_streams_and_places_are_counted(cluster: Cluster) -> None:
    leader = await cluster.leader()
    client = await cluster.connect(leader)
    client.send({"op": "lease_grant", "ttl_ms": 60_000}, {"op": "lease_grant", "ttl_ms": 60_000})
    first, second = (reply["lease"] for reply in await client.replies(2))
    client.send(
        {"op": "lock", "name": "one", "lease": first, "id": 1},
        {"op": "lock", "name": "one", "lease": second, "id": 2},
        {"op": "watch", "prefix": "a", "id": 3},
        {"op": "watch", "prefix": "b", "id": 4},
    )
    await client.replies(6)
    said = await figures(cluster, leader)
    assert (said["watches"], said["locks_waiting"], said["leases"], said["locks"]) == (2, 1, 2, 1)
    client.send({"op": "cancel", "request": 2}, {"op": "cancel", "request": 3})
    await trio.sleep(1)
    said = await figures(cluster, leader)
    assert (said["watches"], said["locks_waiting"]) == (1, 0)


async def test_a_node_of_no_cluster_answers_too(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
    nursery: trio.Nursery,
) -> None:
    cluster = Cluster(nursery, seed=2)
    cluster.nodes[0].start()
    await trio.sleep(1)
    said = await figures(cluster, 0)
    assert said["role"] == "unformed"
    assert said["has_leader"] is False
    assert not {"leader", "log_bytes", "level"} & set(said)


def test_durations_are_counted_below_each_bound() -> None:
    durations = Durations()
    assert durations.figures() == {}
    for seconds in (0.00005, 0.0001, 0.00015, 0.003, 9.0):
        durations.add(seconds)
    said: Any = durations.figures()
    assert said["count"] == 5
    assert said["worst"] == 9.0
    assert said["sum"] == pytest.approx(9.0033)
    buckets = said["buckets"]
    assert (buckets["0.0001"], buckets["0.0002"], buckets["0.0032"], buckets["1.6384"], buckets["+Inf"]) == (
        2,
        3,
        4,
        4,
        5,
    )


def test_what_was_slow_long_ago_is_not_recent() -> None:
    durations = Durations()
    durations.add(5.0)
    for _ in range(RECENT):
        durations.add(0.001)
    said: Any = durations.figures()
    assert said["worst"] == 0.001
    assert said["recent"] == pytest.approx(0.001)


def test_a_process_says_what_it_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "PATIENCE_SECONDS", 20)
    said: Any = ProcessVitals(tmp_path, Durations()).figures()
    assert said["rss_bytes"] > 1024 * 1024
    assert said["uptime_seconds"] >= 0
    assert said["cpu_seconds"] > 0
    assert 0 < said["disk_free_bytes"] <= said["disk_bytes"]
    assert "log_sync_seconds" not in said


def test_the_room_of_a_disk_is_what_a_node_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of it is kept for the administrator of the machine."""
    blocks, free, available = 1000, 300, 250
    disk = os.statvfs_result((512, 4096, blocks, free, available, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    monkeypatch.setattr(vitals, "PATIENCE_SECONDS", 20)
    said: Any = ProcessVitals(tmp_path, Durations()).figures()
    assert (said["disk_bytes"], said["disk_free_bytes"]) == (4096 * blocks, 4096 * available)


def test_a_folder_that_is_gone_leaves_out_the_disk(tmp_path: Path) -> None:
    assert "disk_free_bytes" not in ProcessVitals(tmp_path / "none", Durations()).figures()


def test_a_disk_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, asked = threading.Event(), []
    statvfs = os.statvfs

    def hanging(path: Path) -> os.statvfs_result:
        asked.append(path)
        hangs.wait(20)
        return statvfs(path)

    monkeypatch.setattr(os, "statvfs", hanging)
    process = ProcessVitals(tmp_path, Durations())
    for _ in range(3):
        assert "disk_free_bytes" not in process.figures()
    assert asked == [tmp_path]
    hangs.set()
    monkeypatch.setattr(vitals, "PATIENCE_SECONDS", 20)
    while "disk_free_bytes" not in process.figures():
        pass


def test_however_many_ask_the_disk_is_asked_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    statvfs = os.statvfs

    def slow(path: Path) -> os.statvfs_result:
        asked.append(path)
        return statvfs(path)

    monkeypatch.setattr(os, "statvfs", slow)
    monkeypatch.setattr(vitals, "PATIENCE_SECONDS", 20)
    monkeypatch.setattr(vitals, "FRESH_SECONDS", 600)
    process = ProcessVitals(tmp_path, Durations())
    said = [process.figures()["disk_bytes"] for _ in range(100)]
    assert len(set(said)) == len(asked) == 1
    monkeypatch.setattr(vitals, "FRESH_SECONDS", 0)
    process = ProcessVitals(tmp_path, Durations())
    for _ in range(3):
        assert "disk_free_bytes" in process.figures()
    assert len(asked) == 4
