"""A disk that fails snapshots ends no node: the node logs it, cleans up, and tries again later."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio

from trioraft.key_values import key_value_machine
from trioraft.raft.log import Log
from trioraft.raft.messages import InstallSnapshot
from trioraft.replica.snapshots import Snapshots, SnapshotSettings
from trioraft.storage.snapshots import Snapshot, snapshot_names
from trioraft.testing.disk import MemoryDisk
from trioraft.testing.disk_threads import ImmediateThread

from ..helpers.virtual_cluster import Cluster, Node

SELDOM = SnapshotSettings(slice_lines=10, write_bytes=100, keep_entries=0, retry_ticks=20, most_retry_ticks=320)
OFTEN = msgspec.structs.replace(SELDOM, least_log_entries=20)


@pytest.fixture
def warnings() -> Iterator[list[tuple[float, str]]]:
    """The warnings of nodes, and their times."""
    said: list[tuple[float, str]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((trio.current_time(), record.getMessage()))

    logger, handler = logging.getLogger("trioraft.snapshots"), Handler(logging.WARNING)
    logger.addHandler(handler)
    yield said
    logger.removeHandler(handler)


def unfinished(node: Node) -> list[str]:
    return [name for name in node.disk.names() if name.endswith(".tmp")]


async def next_failure(warnings: list[tuple[float, str]]) -> None:
    """Wait until one more attempt has failed: an attempt that is under way may have its file."""
    before = len(warnings)
    with trio.fail_after(20):
        while len(warnings) == before:
            await trio.sleep(0.001)


async def fill(cluster: Cluster, index: int, count: int, start: int = 0) -> None:
    requests: list[dict[str, object]] = [
        {"op": "put", "key": f"key-{number}", "value": number} for number in range(start, start + count)
    ]
    assert all(reply["ok"] for reply in await cluster.ask(index, *requests))


async def leave_one_behind(cluster: Cluster) -> tuple[int, Node]:
    """Stop a follower, and write so much that it needs a snapshot. Return the leader and the follower."""
    leader = await cluster.leader()
    behind = cluster.nodes[(leader + 1) % 3]
    assert behind.driver is not None
    held = behind.driver.replica.core.last_index
    behind.crash()
    await trio.sleep(3)  # the entries that it lacks are no longer kept for it
    await fill(cluster, leader, 100)
    driver = cluster.nodes[leader].driver
    assert driver is not None
    with trio.fail_after(20):
        while driver.replica.core.log.base_index <= held:
            await trio.sleep(0.01)
    return leader, behind


async def caught_up(cluster: Cluster) -> None:
    with trio.fail_after(20):
        while True:
            ends = {
                (one.driver.replica.core.last_applied, one.driver.replica.core.commit_index)
                for one in cluster.nodes
                if one.driver
            }
            if len(ends) == 1 and len(set(*ends)) == 1:
                return
            await trio.sleep(0.01)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
async def test_whatever_operation_of_taking_one_fails_the_node_goes_on(
    cluster: Cluster,
    number: int,
) -> None:
    cluster.tune(msgspec.structs.replace(SELDOM, slice_lines=30))
    leader = await cluster.leader()
    # The history is to be as long in each attempt, so that a snapshot takes the same steps.
    [reply] = await cluster.ask(leader, {"op": "set_history", "changes": 5, "bytes": 1000})
    assert reply["ok"]
    node = cluster.nodes[(leader + 1) % 3]
    disk = node.disk
    code = "no_space" if number in (errno.ENOSPC, errno.EDQUOT) else "internal"
    failures = 0
    while True:
        await fill(cluster, leader, 25, failures % 4 * 25)
        await caught_up(cluster)
        await trio.sleep(0.1)
        before = snapshot_names(disk)
        disk.failure, disk.fail_at = OSError(number, os.strerror(number)), disk.operations + 1 + failures
        [reply] = await cluster.ask(node.index, {"op": "snapshot", "id": 7})
        await trio.sleep(0.1)
        if disk.operations < (disk.fail_at or 0):  # every step of a snapshot was taken
            break
        disk.fail_at = None
        assert node.driver is not None
        if not reply["ok"]:
            assert reply["id"] == 7
            assert reply["error"]["code"] == code
            assert snapshot_names(disk) == before
        assert unfinished(node) == []
        failures += 1
    assert failures > 10
    assert reply["ok"]
    [status] = await cluster.ask(node.index, {"op": "status"})
    assert status["leader"] == leader
    disk.fail_at = None
    await trio.sleep(7)
    assert len(snapshot_names(disk)) == 1
    node.crash()
    node.start()
    await caught_up(cluster)


async def test_what_a_failed_removal_of_old_files_has_left_is_removed_later(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.tune(SELDOM)
    leader = await cluster.leader()
    disk = cluster.nodes[leader].disk

    def fail(name: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), name)

    with monkeypatch.context() as failing:
        failing.setattr(disk, "remove", fail)
        for start in (0, 25):
            await fill(cluster, leader, 25, start)
            assert (await cluster.ask(leader, {"op": "snapshot"}))[0]["ok"]
        await trio.sleep(0.1)
        assert len(snapshot_names(disk)) == 2
    with trio.fail_after(10):  # nobody asks for another snapshot, and none is due
        while len(snapshot_names(disk)) > 1:
            await trio.sleep(0.1)


async def test_no_room_anywhere_at_once_stops_nobody_and_is_tried_again_ever_more_seldom(
    cluster: Cluster,
    warnings: list[tuple[float, str]],
) -> None:
    cluster.tune(OFTEN)
    leader = await cluster.leader()
    for node in cluster.nodes:
        node.disk.no_snapshots = True
    await fill(cluster, leader, 100)
    await trio.sleep(30)
    assert all(node.driver is not None for node in cluster.nodes)
    await fill(cluster, leader, 10, 100)
    assert all(unfinished(node) == [] for node in cluster.nodes)
    assert all("No space left" in text and "snapshot-" in text for _, text in warnings)
    tries = sorted(when for when, _ in warnings)
    assert 3 * 8 < len(tries) < 3 * 30, "the pause is bounded, and grows"
    assert len(set(tries)) > 10, "not all nodes in the same moment"
    assert max(later - sooner for sooner, later in pairwise(tries)) > 3 * (tries[3] - tries[0])
    for node in cluster.nodes:
        node.disk.no_snapshots = False
    await trio.sleep(4)
    assert all(len(snapshot_names(node.disk)) == 1 for node in cluster.nodes)


async def test_a_leaders_snapshot_that_finds_no_room_is_asked_for_again(
    cluster: Cluster,
    warnings: list[tuple[float, str]],
) -> None:
    cluster.tune(OFTEN)
    _, behind = await leave_one_behind(cluster)
    await trio.sleep(1)
    behind.disk.no_snapshots = True
    behind.start()
    await trio.sleep(10)
    assert behind.driver is not None
    assert any("incoming-snapshot" in text for _, text in warnings)
    await next_failure(warnings)
    assert unfinished(behind) == []
    behind.disk.no_snapshots = False
    await trio.sleep(5)
    await caught_up(cluster)
    assert behind.driver.replica.machine.sections["keys"] == 100


async def test_a_leaders_snapshot_that_fails_at_its_end_each_time_is_asked_for_ever_more_seldom(
    cluster: Cluster,
    warnings: list[tuple[float, str]],
) -> None:
    cluster.tune(msgspec.structs.replace(OFTEN, piece_bytes=1000))
    _, behind = await leave_one_behind(cluster)
    await trio.sleep(1)
    behind.disk.failing_reads = True  # all pieces are stored, and then the file is read
    behind.start()
    await trio.sleep(30)
    tries = [when for when, _ in warnings]
    assert 5 < len(tries) < 25
    assert max(later - sooner for sooner, later in pairwise(tries)) > 2 * (tries[1] - tries[0])
    await next_failure(warnings)
    assert unfinished(behind) == []
    behind.disk.failing_reads = False
    await trio.sleep(5)
    await caught_up(cluster)


async def test_a_snapshot_that_cannot_be_read_is_no_end_of_the_leader(
    cluster: Cluster,
    warnings: list[tuple[float, str]],
) -> None:
    cluster.tune(OFTEN)
    leader, behind = await leave_one_behind(cluster)
    [taken] = await cluster.ask(leader, {"op": "snapshot"})
    disk = cluster.nodes[leader].disk
    disk.failing_reads = True
    behind.start()
    await trio.sleep(5)
    [reply] = await cluster.ask(leader, {"op": "read_snapshot", "index": taken["index"], "offset": 0})
    assert reply["error"]["code"] == "internal"
    assert "snapshot-" in reply["error"]["message"]
    assert len([text for _, text in warnings if "cannot be read" in text]) == 1, "said once"
    disk.failing_reads = False
    await trio.sleep(5)
    await caught_up(cluster)


async def test_ones_own_makes_way_for_the_leaders_and_does_not_get_in_its_way_again(cluster: Cluster) -> None:
    cluster.tune(msgspec.structs.replace(SELDOM, slice_lines=1))
    leader = await cluster.leader()
    await fill(cluster, leader, 30)
    await caught_up(cluster)
    node = cluster.nodes[(leader + 1) % 3]
    assert node.driver is not None
    snapshots = node.driver.replica.snapshots
    assert snapshots is not None
    piece = InstallSnapshot(1, 500, 1, 0, done=False, data=b"the first line of many\n")
    outcomes: list[object] = []
    snapshots.want(outcomes.append)
    for _ in range(5):
        snapshots.advance()
    snapshots.receive(piece)  # the leader sends the snapshot again and again
    for _ in range(5):
        snapshots.advance()
    snapshots.receive(piece)
    for _ in range(5):
        snapshots.advance()
    assert [name for name in unfinished(node) if name.startswith("incoming-")]
    assert outcomes == []
    await trio.sleep(5)
    (outcome,) = outcomes
    assert isinstance(outcome, Snapshot), "who asked is not forgotten"


async def test_what_came_of_a_leaders_snapshot_goes_when_it_is_not_needed_any_more(
    cluster: Cluster,
) -> None:
    cluster.tune(SELDOM)
    leader = await cluster.leader()
    node = cluster.nodes[(leader + 1) % 3]
    assert node.driver is not None
    assert node.driver.replica.snapshots is not None
    node.driver.replica.snapshots.receive(InstallSnapshot(1, 5, 1, 0, done=False, data=b"the first line of many\n"))
    node.driver.hub.wake()
    await trio.sleep(0.5)
    assert [name for name in node.disk.names() if name.startswith("incoming-")]
    await fill(cluster, leader, 30)
    await caught_up(cluster)
    [reply] = await cluster.ask(node.index, {"op": "snapshot"})
    assert reply["ok"]
    await trio.sleep(0.5)
    assert unfinished(node) == []


def test_members_have_their_snapshots_due_at_different_growth() -> None:
    node: Any = SimpleNamespace(core=SimpleNamespace(log=Log(())))
    segments: Any = SimpleNamespace(bytes_written=0)

    def share(seed: int) -> float:
        thread, random = ImmediateThread(), Random(seed)
        return Snapshots(node, MemoryDisk(), "c", segments, thread, None, key_value_machine, OFTEN, random)._share

    shares = [share(seed) for seed in range(50)]
    assert len(set(shares)) > 25
    assert 0.75 <= min(shares) < 0.8
    assert 0.95 < max(shares) <= 1
