"""A new cluster from what is left of an old one: from a survivor's folder, or from a backup. Offline.

The new cluster and its node's folder get new ids, so that no node of the old cluster is ever heard again. The log of
the new cluster begins far beyond anything that the lost nodes may have reached, in a higher term: revisions never go
back.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from trioraft.addresses import Address
from trioraft.cluster.startup import recover
from trioraft.machine import Machine
from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.raft.messages import NodeId
from trioraft.raft.runs import Entries
from trioraft.storage.backups import readable_backup
from trioraft.storage.disk import RealDisk
from trioraft.storage.errors import Damaged, StorageError, UnknownFormat, describe
from trioraft.storage.folder import DataFolder, Identity
from trioraft.storage.log import SegmentedLog
from trioraft.storage.replacement import Folder, foreign_names, is_unfinished
from trioraft.storage.snapshots import SnapshotWriter, load_snapshot, newest, open_snapshot
from trioraft.wire.commands import UnknownCommand
from trioraft.wire.snapshots import FORMAT, SnapshotHeader

INDEX_LEAP: Final = 1_000_000_000_000
"""More entries than the lost nodes can have committed beyond those that are left; up to as many again are drawn."""
TERM_LEAP: Final = 1_000_000
_SLICE_LINES: Final = 5000
_SLICE_BYTES: Final = 1024 * 1024


class _End(msgspec.Struct, frozen=True):
    """Where the old cluster ends, as far as it is known: its state, and the end of its log."""

    machine: Machine
    index: int
    term: int
    next_id: NodeId


class Reborn(msgspec.Struct, frozen=True):
    """The new cluster."""

    cluster: str
    sections: Mapping[str, int]
    """What it holds: the number of lines of each section of its snapshot."""
    index: int
    term: int
    kept: Path | None
    """Where the old files are now."""


def recover_survivor(path: Path, address: Address, machine: Machine) -> Reborn:
    """Make the node of that folder the only member of a new cluster, by way of the empty `machine`.

    All that its log holds counts as committed, as whoever knew better is lost. The old files stay in a subfolder.
    Raises StorageError, OSError.
    """
    if is_unfinished(path) and (finished := _finish_interrupted(path, address)) is not None:
        return finished
    identity = DataFolder.peek(path)
    if identity.formation is None:
        raise StorageError(f"{path} belongs to no cluster yet", "start the nodes of servers.txt together instead")
    folder = DataFolder.open(path, identity.node)
    try:
        found = recover(folder, identity.formation, machine)
        found.log.close()
        for run in Entries.of([entry for entry in found.entries if entry.index > found.point.index]).runs:
            try:
                machine.apply(run.first, machine.decode(run))
            except UnknownCommand as error:
                raise StorageError(str(error), "use the version that wrote it; the folder is as it was") from None
        index = max(found.point.index, found.entries[-1].index if found.entries else 0)
        next_id = max(found.configuration.next_id, identity.node + 1)
        end = _End(machine, index, found.hard_state.term, next_id)
        return _make(Folder(path, folder.lock), identity.node, address, end)
    finally:
        folder.close()


def _finish_interrupted(path: Path, address: Address) -> Reborn | None:
    """Finish what an earlier process began; gives the new cluster, if it is the one that is asked for now."""
    folder = Folder(path)
    try:
        kept = folder.finish()
    finally:
        folder.close()
    identity = DataFolder.peek(path)
    snapshot = newest(RealDisk(path))
    formation = identity.formation
    if formation is None or snapshot is None or [str(address)] != [m.address for m in formation.configuration.members]:
        return None
    header = snapshot.header
    index, term = header.last_included_index, header.last_included_term
    return Reborn(formation.cluster, header.sections, index, term, kept)


def restore_backup(file: Path, path: Path, node: NodeId, address: Address, machine: Machine) -> Reborn:
    """Make a folder for the first node of a new cluster, from a backup, by way of the empty `machine`.

    Raises StorageError, OSError; where the folder or the backup is unfit, before anything is written.
    """
    end = _read_backup(file, node, machine)
    folder = _empty_folder(path)
    try:
        return _make(folder, node, address, end)
    finally:
        folder.close()


def _read_backup(file: Path, node: NodeId, machine: Machine) -> _End:
    try:
        with readable_backup(file) as readable:
            disk = RealDisk(readable.parent)
            snapshot = open_snapshot(disk, readable.name)
            for _ in load_snapshot(disk, snapshot, machine.load):
                pass
    except Damaged as error:
        raise StorageError(
            f"{file} is not a whole backup: {error.reason}", "use another one; nothing was touched"
        ) from None
    except UnknownFormat as error:
        raise StorageError(
            f"{file} has format {error.format}, which this version does not know",
            "restore it with the version that wrote it, or a newer one; nothing was touched",
        ) from None
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}", "nothing was touched") from None
    header = snapshot.header
    next_id = max(header.configuration.next_id, node + 1)
    return _End(machine, header.last_included_index, header.last_included_term, next_id)


def _empty_folder(path: Path) -> Folder:
    """Lock the folder, which must hold nothing of anybody's. Raises StorageError, OSError."""
    _check_empty(path)
    folder = Folder(path)
    try:
        _check_empty(path)  # under the lock: nobody can make a node there now
        folder.forget_unfinished()
    except BaseException:
        folder.unmake()
        folder.close()
        raise
    return folder


def _check_empty(path: Path) -> None:
    if names := foreign_names(path):
        raise StorageError(
            f"{path} is not empty: it holds {', '.join(names[:3])}{' and more' if names[3:] else ''}",
            "name another folder, or empty this one; nothing was touched",
        )


def _make(folder: Folder, node: NodeId, address: Address, end: _End) -> Reborn:
    """Put a new node in the folder, which begins with the state of `end`."""
    cluster, folder_id = secrets.token_hex(16), secrets.token_hex(16)
    member = Member(node, str(address), "voter", folder_id)
    configuration = Configuration((member,), end.next_id, end.machine.level)
    # Drawn, so that two clusters from one backup begin at different revisions.
    index = end.index + INDEX_LEAP + secrets.randbelow(INDEX_LEAP)
    term = end.term + TERM_LEAP

    end.machine.renounce(index)

    def build(disk: RealDisk) -> None:
        view = end.machine.freeze()
        header = SnapshotHeader(FORMAT, cluster, index, term, 0, configuration, dict(view.sections))
        writer = SnapshotWriter(disk, header)
        for lines, count in view.slices(_SLICE_LINES, _SLICE_BYTES):
            writer.append(lines, count)
        view.close()
        writer.finish()
        SegmentedLog.create(disk, folder_id, index, term)
        DataFolder.write_identity(disk, Identity(1, node, folder_id, 0, Formation(cluster, configuration)))

    try:
        kept = folder.replace(build)
    except OSError as error:
        raise StorageError(f"{folder.path} cannot hold the new node: {describe(error)}", _hint(folder)) from None
    return Reborn(cluster, end.machine.sections, index, term, kept)


def _hint(folder: Folder) -> str:
    if is_unfinished(folder.path):
        return "see to the disk, and say the same command again, which finishes it; nothing is lost"
    return "see to the disk, and say it again; what the folder held is as it was"
