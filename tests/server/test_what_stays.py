"""The entries that stay in memory after a snapshot."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from trioraft.key_values import key_value_machine
from trioraft.raft import runs
from trioraft.raft.log import Log
from trioraft.replica.snapshots import Snapshots, SnapshotSettings
from trioraft.testing.disk import MemoryDisk
from trioraft.testing.disk_threads import ImmediateThread
from trioraft.wire.entries import seal_commands

END = 100


def first_kept(lacking: int, settings: SnapshotSettings) -> int:
    payloads = [b'{"op":"incr","key":"%050d"}' % number for number in range(END)]
    node: Any = SimpleNamespace(core=SimpleNamespace(log=Log(seal_commands(1, 1, payloads)), lacking_index=lacking))
    segments: Any = SimpleNamespace(bytes_written=0)
    disk, random = MemoryDisk("disk"), Random(1)
    snapshots = Snapshots(node, disk, "cluster", segments, ImmediateThread(), None, key_value_machine, settings, random)
    return snapshots._first_kept(END)


@pytest.mark.parametrize("keep_entries", [10, 60])
@pytest.mark.parametrize("lacking", range(1, END + 2))
def test_what_a_follower_lacks_stays_wherever_runs_end(
    lacking: int, keep_entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUN_BYTES", 800)
    settings = SnapshotSettings(keep_entries=keep_entries, keep_bytes=500, hold_bytes=10**6)
    assert first_kept(lacking, settings) <= lacking


def test_what_is_held_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUN_BYTES", 800)
    settings = SnapshotSettings(keep_entries=10, keep_bytes=500, hold_bytes=3000)
    assert END - 40 < first_kept(1, settings) <= END
