"""Data of an earlier version: a folder and a backup with snapshots of format 1, the only one that it knew.

`data_before/node` is the folder of node 0 after a snapshot and more writes. `data_before/backup.jsonl` is a backup that
was made before that. Keys were overwritten and deleted before and after each of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.folders import started
from tests.helpers.stores import contents_of
from trioraft.addresses import Address
from trioraft.cluster.disaster import recover_survivor, restore_backup
from trioraft.cluster.startup import Recovered
from trioraft.key_values import key_value_machine
from trioraft.machine import Machine
from trioraft.raft.messages import InstallSnapshot
from trioraft.raft.runs import Entries
from trioraft.replica.snapshots import Snapshots, SnapshotSettings
from trioraft.storage.disk import RealDisk
from trioraft.storage.errors import StorageError, UnknownFormat
from trioraft.storage.snapshots import Snapshot, SnapshotReader, newest
from trioraft.testing.disk import MemoryDisk
from trioraft.testing.disk_threads import ImmediateThread
from trioraft.wire.codec import seal_line

DATA = Path(__file__).parent / "data_before"
ADDRESS = Address("127.0.0.1", 18741)
BIG = b'"' + b"x" * 4500 + b'"'

IN_BACKUP = {
    "big": (BIG, 10, 10, 1),
    "count": (b"1", 6, 6, 1),
    "dropped": (b"true", 8, 8, 1),
    "later": (b'{"a":null}', 5, 5, 1),
    "plain": (b'"second"', 3, 2, 2),
    'ключ "é"': ('"значение\\n"'.encode(), 7, 7, 1),
}
IN_SNAPSHOT = IN_BACKUP | {"plain": (b'"third"', 11, 2, 3), 'made "after"': (b"[]", 12, 12, 1)}
IN_FOLDER = {
    "again": (b'"and once more"', 17, 17, 1),
    "big": (BIG, 10, 10, 1),
    "count": (b"42", 16, 6, 2),
    "later": (b"7", 13, 5, 2),
    'made "after"': (b"[]", 12, 12, 1),
    "plain": (b'"third"', 11, 2, 3),
    'ключ "é"': ('"значение\\n"'.encode(), 7, 7, 1),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "node", tmp_path / "n0"))


def keys_of(machine: Machine) -> dict[str, tuple[bytes, int, int, int]]:
    return {key: (item.value, item.rev, item.created, item.version) for key, item in contents_of(machine)}


def replayed(path: Path) -> Recovered:
    """What a node finds that is started there; all that its log holds is applied."""
    found = started(path)
    for run in Entries.of([entry for entry in found.entries if entry.index > found.point.index]).runs:
        found.machine.apply(run.first, found.machine.decode(run))
    return found


def test_a_node_starts_on_a_folder_of_before_and_has_its_keys(folder: Path) -> None:
    found = replayed(folder)
    assert found.snapshot is not None
    assert (found.snapshot.header.snapshot, found.snapshot.header.sections) == (1, {"keys": len(IN_SNAPSHOT)})
    assert keys_of(found.machine) == IN_FOLDER


def test_a_survivor_of_before_is_made_a_cluster(folder: Path) -> None:
    reborn = recover_survivor(folder, ADDRESS, key_value_machine())
    assert reborn.sections == {"keys": len(IN_FOLDER)}
    found = replayed(folder)
    assert keys_of(found.machine) == IN_FOLDER
    assert found.snapshot is not None
    assert found.snapshot.header.snapshot == 2


def test_a_backup_of_before_is_restored(tmp_path: Path) -> None:
    reborn = restore_backup(DATA / "backup.jsonl", tmp_path / "n0", 0, ADDRESS, key_value_machine())
    assert reborn.sections == {"keys": len(IN_BACKUP)}
    assert keys_of(replayed(tmp_path / "n0").machine) == IN_BACKUP


def test_the_snapshot_of_a_leader_of_before_is_installed() -> None:
    """It travels as it is, and stays so on the follower's disk."""
    disk = RealDisk(DATA / "node")
    sent = newest(disk)
    assert sent is not None
    reader = SnapshotReader(disk, sent)
    data = reader.lines(0, sent.size)
    reader.close()
    installed: list[tuple[Machine, Snapshot]] = []
    node: Any = SimpleNamespace(
        core=SimpleNamespace(
            log=SimpleNamespace(last_index=0, slice=lambda *_: SimpleNamespace(size=0)),
            commit_index=0,
            last_applied=0,
            snapshot_stored=lambda *_: None,
        ),
        install=lambda machine, snapshot: installed.append((machine, snapshot)),
    )
    own = MemoryDisk()
    segments: Any = SimpleNamespace(bytes_written=0)
    settings = SnapshotSettings()
    snapshots = Snapshots(node, own, "c", segments, ImmediateThread(), None, key_value_machine, settings, Random(1))
    snapshots.receive(InstallSnapshot(1, 12, 1, 0, True, data))
    while snapshots.active and not installed:
        snapshots.advance()
    [(machine, snapshot)] = installed
    assert keys_of(machine) == IN_SNAPSHOT
    assert own.read(snapshot.name) == data


def test_a_newer_format_is_refused_and_nothing_is_touched(folder: Path) -> None:
    [name] = [path.name for path in folder.glob("snapshot-*")]
    lines = (folder / name).read_bytes().split(b"\n", 1)
    newer = lines[0][lines[0].index(b'"snapshot"') :].replace(b'"snapshot":1', b'"snapshot":3')
    (folder / name).write_bytes(seal_line(newer) + b"\n" + lines[1])
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("lock", "node.json")}
    with pytest.raises(UnknownFormat, match="3"):
        replayed(folder)
    with pytest.raises(StorageError):
        recover_survivor(folder, ADDRESS, key_value_machine())
    assert before == {name: (folder / name).read_bytes() for name in before}
