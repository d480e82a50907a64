"""Snapshots of many pieces that come in any order, or that are taken between two steps of a change of the members."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio

from trioraft.key_values import key_value_machine
from trioraft.kv.items import Item
from trioraft.machine import Machine
from trioraft.raft.membership import Configuration, Member, with_learner
from trioraft.raft.messages import InstallSnapshot
from trioraft.replica.snapshots import Snapshots, SnapshotSettings
from trioraft.storage.snapshots import Snapshot, SnapshotWriter
from trioraft.testing.disk import MemoryDisk
from trioraft.testing.disk_threads import ImmediateThread
from trioraft.wire.items import encode_items
from trioraft.wire.snapshots import FORMAT, SnapshotHeader

from ..helpers.virtual_cluster import Cluster

PIECE = 64
SMALL_PIECES = SnapshotSettings(keep_entries=0, piece_bytes=PIECE)
CONFIGURATION = Configuration((Member(0, "a:1", "voter", "f0"), Member(1, "b:1", "voter", "f1")), 2)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    with caplog.at_level(logging.WARNING, "trioraft.snapshots"):
        yield caplog.records


async def test_lines_of_any_length_are_sent_whole(cluster: Cluster, warnings: list[logging.LogRecord]) -> None:
    cluster.tune(SMALL_PIECES)
    leader = await cluster.leader()
    behind = cluster.nodes[(leader + 1) % 3]
    behind.crash()
    await trio.sleep(3)  # the entries that it lacks are no longer kept for it
    sizes = [0, 1, *(factor * PIECE + more for factor in (1, 2, 3, 5, 20) for more in (-70, -1, 0, 1) if factor > 1)]
    puts: list[dict[str, object]] = [{"op": "put", "key": str(size), "value": "x" * size} for size in sizes]
    assert all(reply["ok"] for reply in await cluster.ask(leader, *puts))
    assert (await cluster.ask(leader, {"op": "snapshot"}))[0]["ok"]
    behind.start()
    with trio.fail_after(30):
        while not (behind.driver and behind.driver.replica.snapshots and behind.driver.replica.snapshots.installed):
            await trio.sleep(0.05)
    assert not warnings
    gets: list[dict[str, object]] = [{"op": "get", "key": str(size), "read": "stale"} for size in sizes]
    found = await cluster.ask(behind.index, *gets)
    assert [reply["value"] for reply in found] == ["x" * size for size in sizes]


async def test_a_snapshot_has_the_members_as_of_its_end(cluster: Cluster) -> None:
    leader = await cluster.leader()
    driver = cluster.nodes[leader].driver
    assert driver is not None
    assert (await cluster.ask(leader, {"op": "put", "key": "k", "value": 1}))[0]["ok"]
    for peer in range(3):
        if peer != leader:
            cluster.nodes[peer].hub.freeze()
    before = driver.replica.core.configuration
    driver.replica.core.propose_configuration(with_learner(before, "new:1", promote=True))
    [reply] = await cluster.ask(leader, {"op": "snapshot"})
    assert driver.replica.core.configuration.member(3) is not None
    assert driver.replica.snapshots is not None
    assert driver.replica.snapshots.newest is not None
    header = driver.replica.snapshots.newest.header
    assert header.last_included_index == reply["index"]
    assert header.configuration == before, "that change is not committed, and may be undone"
    assert header.configuration_index <= header.last_included_index


async def test_a_piece_may_be_asked_for_from_anywhere(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    cluster.tune(SMALL_PIECES)
    leader = await cluster.leader()
    put, snapshot = {"op": "put", "key": "é", "value": "€😀" * PIECE}, {"op": "snapshot"}
    _, taken = await cluster.ask(leader, put, snapshot)
    whole = ""
    for offset in range(taken["bytes"] + 2):
        [reply] = await cluster.ask(leader, {"op": "read_snapshot", "index": taken["index"], "offset": offset})
        if not reply["ok"]:
            assert reply["error"]["code"] == "bad_request"
        elif offset == len(whole.encode()):
            whole += str(reply["data"])
    assert len(whole.encode()) == taken["bytes"]
    assert not [record for record in caplog.records if record.exc_info]


# The order of the pieces


class Receiver:
    """A node that receives snapshots."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.answers: list[tuple[int, int]] = []
        self.machine: Machine | None = None
        core = SimpleNamespace(
            log=SimpleNamespace(last_index=0, slice=lambda *_: SimpleNamespace(size=0)),
            commit_index=0,
            last_applied=0,
            snapshot_stored=lambda index, offset: self.answers.append((index, offset)),
        )
        self.core = core
        node: Any = self
        segments: Any = SimpleNamespace(bytes_written=0)
        self.snapshots = Snapshots(
            node, self.disk, "c", segments, ImmediateThread(), None, key_value_machine, SMALL_PIECES, Random(1)
        )

    def install(self, machine: Machine, snapshot: Snapshot) -> None:
        self.machine = machine
        self.core.commit_index = self.core.last_applied = snapshot.header.last_included_index

    def take(self, piece: InstallSnapshot) -> None:
        self.snapshots.receive(piece)
        while self.snapshots.active:
            self.snapshots.advance()


def pieces(index: int, keys: int) -> list[InstallSnapshot]:
    """The pieces of a snapshot that ends there, as a leader sends them."""
    disk = MemoryDisk()
    writer = SnapshotWriter(disk, SnapshotHeader(FORMAT, "c", index, 1, 0, CONFIGURATION, {"keys": keys}))
    items = [(f"key-{number:03}", Item(b"%d" % index, 1, 1, 1)) for number in range(keys)]
    writer.append(encode_items(items), keys)
    written = writer.finish()
    reader = disk.reader(written.name)
    data = reader.read(0, written.size)
    reader.close()
    lines = data.splitlines(keepends=True)
    offsets = itertools.accumulate(map(len, lines), initial=0)
    return [
        InstallSnapshot(1, index, 1, offset, offset + len(line) == len(data), line)
        for offset, line in zip(offsets, lines, strict=False)
    ]


def test_a_newer_snapshot_begins_anew_whatever_has_come_of_an_older_one(warnings: list[logging.LogRecord]) -> None:
    for begun in range(1, 8):
        receiver = Receiver()
        for piece in [*pieces(10, 8)[:begun], *pieces(20, 5)]:
            receiver.take(piece)
        assert receiver.machine is not None
        found = receiver.machine.read("key-000")
        assert found is not None
        assert found.value == b"20"
        assert receiver.snapshots.installed == 1
    assert not warnings


def test_the_last_piece_alone_is_no_snapshot(warnings: list[logging.LogRecord]) -> None:
    """A node that restarts in the middle says how much it has, and gets the rest."""
    all_pieces = pieces(10, 8)
    for had in (0, 1, 5):
        receiver = Receiver()
        for piece in [*all_pieces[:had], all_pieces[-1]]:
            receiver.take(piece)
        assert receiver.machine is None
        assert receiver.answers[-1] == (10, all_pieces[had].offset)
        for piece in all_pieces[had:]:
            receiver.take(piece)
        assert receiver.machine is not None
        assert receiver.machine.sections == {"keys": 8}
    assert not warnings


def test_pieces_that_come_twice_or_too_early_change_nothing() -> None:
    all_pieces = pieces(10, 8)
    receiver = Receiver()
    random = Random(1)
    while receiver.machine is None:
        receiver.take(msgspec.structs.replace(random.choice(all_pieces)))
    assert [receiver.machine.read(f"key-{number:03}") is not None for number in range(8)] == [True] * 8
