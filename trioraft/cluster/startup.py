"""The start of a formed node: its newest snapshot, loaded into the machine, and the log that continues from there."""

from __future__ import annotations

import msgspec

from trioraft.machine import Machine
from trioraft.raft.membership import Configuration, Formation
from trioraft.raft.messages import Entry, HardState
from trioraft.raft.ready import NOWHERE, Point
from trioraft.storage.folder import DataFolder
from trioraft.storage.log import SEGMENT_BYTES, SegmentedLog
from trioraft.storage.snapshots import Snapshot, load_snapshot, newest


class Recovered(msgspec.Struct):
    """The state of a formed node after reading its folder; all of it is synced."""

    log: SegmentedLog
    machine: Machine
    """The machine as of the snapshot."""
    hard_state: HardState
    entries: list[Entry]
    base: Point
    """The entry before the first one in `entries`."""
    snapshot: Snapshot | None
    configuration_index: int
    configuration: Configuration
    """The members as of the snapshot."""
    notices: list[str]
    """Sentences for people: what was cut from the log, and where."""

    @property
    def point(self) -> Point:
        """The last entry that the snapshot includes; NOWHERE without a snapshot."""
        return NOWHERE if self.snapshot is None else point_of(self.snapshot)


def point_of(snapshot: Snapshot) -> Point:
    """The last entry that the snapshot includes."""
    return Point(snapshot.header.last_included_index, snapshot.header.last_included_term)


def recover(
    folder: DataFolder, formation: Formation, machine: Machine, segment_bytes: int = SEGMENT_BYTES
) -> Recovered:
    """Read the folder of a formed node: the snapshot into the empty `machine`, then the log.

    Raises StorageError, OSError.
    """
    disk = folder.disk
    snapshot = newest(disk)
    configuration_index, configuration = 0, formation.configuration
    point = NOWHERE
    if snapshot is None:
        machine.raise_level(formation.configuration.level, 0)
    else:
        for _ in load_snapshot(disk, snapshot, machine.load):
            pass
        configuration_index, configuration = snapshot.header.configuration_index, snapshot.header.configuration
        point = point_of(snapshot)
    log, recovered = SegmentedLog.open(disk, folder.id, segment_bytes, (point.index, point.term))
    return Recovered(
        log,
        machine,
        recovered.hard_state,
        recovered.entries,
        Point(recovered.base_index, recovered.base_term),
        snapshot,
        configuration_index,
        configuration,
        recovered.notices,
    )
