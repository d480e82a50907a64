"""A new cluster from what is left of an old one: from a survivor's folder, or from a backup. Offline, and loudly.

The new cluster has another id, its node another folder id, so that nobody of the old one is ever heard again. Its
log begins far beyond whatever the lost nodes may have reached, in a higher term: revisions never go back.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from trioraft.addresses import Address
from trioraft.kv.store import Store
from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.raft.messages import NodeId
from trioraft.raft.runs import Entries
from trioraft.server.recovery import recover
from trioraft.storage.disk import RealDisk, sync_folder
from trioraft.storage.errors import Damaged, StorageError
from trioraft.storage.folder import DataFolder, Identity
from trioraft.storage.log import SegmentedLog
from trioraft.storage.snapshots import Snapshot, SnapshotWriter, open_snapshot, read_items
from trioraft.wire.commands import commands_of
from trioraft.wire.snapshots import FORMAT, SnapshotHeader

INDEX_LEAP: Final = 1_000_000_000_000
"""More entries than the lost nodes can have committed beyond what is left."""
TERM_LEAP: Final = 1_000_000
_SLICE: Final = 5000


class Reborn(msgspec.Struct, frozen=True):
    """What was made."""

    cluster: str
    keys: int
    index: int
    term: int
    kept: Path | None
    """Where the old folder is now."""


def recover_survivor(path: Path, address: Address) -> Reborn:
    """Make the node of that folder the only member of a new cluster. Raises StorageError, OSError.

    All that its log holds is taken for committed: who knew better is lost.
    """
    identity = DataFolder.peek(path)
    if identity.formation is None:
        raise StorageError(f"{path} belongs to no cluster yet", "start the nodes of servers.txt together instead")
    folder = DataFolder.open(path, identity.node)
    try:
        found = recover(folder, identity.formation)
        found.log.close()
        store, configuration = found.store, found.configuration
        for run in Entries.of([entry for entry in found.entries if entry.index > found.point.index]).runs:
            store.apply_all(run.first, commands_of(run))
        index = max(found.point.index, found.entries[-1].index if found.entries else 0)
        next_id = max(configuration.next_id, identity.node + 1)
        reborn = _make(path, identity.node, address, store, index, found.hard_state.term, next_id)
    finally:
        folder.close()
    return reborn


def restore_backup(file: Path, path: Path, node: NodeId, address: Address) -> Reborn:
    """Make a folder for the first node of a new cluster, from a backup. Raises StorageError, OSError."""
    if path.exists() and any(path.iterdir()):
        raise StorageError(f"{path} is not empty", "name a folder that does not exist yet")
    disk = RealDisk(file.parent)
    store = Store()
    try:
        snapshot = open_snapshot(disk, file.name)
        for items in read_items(disk, snapshot):
            store.load(items)
    except Damaged as error:
        raise StorageError(
            f"{file} is not a whole backup: {error.reason}", "use another one; nothing was touched"
        ) from None
    header = snapshot.header
    next_id = max(header.configuration.next_id, node + 1)
    return _make(path, node, address, store, header.last_included_index, header.last_included_term, next_id)


def _make(
    path: Path, node: NodeId, address: Address, store: Store, last_index: int, term: int, next_id: NodeId
) -> Reborn:
    """Write the new folder aside, and put it in its place; the old one is kept under another name."""
    path = path.absolute()
    aside = path.with_name(f"{path.name}.new-{secrets.token_hex(4)}")
    aside.mkdir(mode=0o700, parents=True)
    disk = RealDisk(aside)
    cluster, folder = secrets.token_hex(16), secrets.token_hex(16)
    member = Member(node, str(address), "voter", folder)
    configuration = Configuration((member,), next_id)
    index, term = last_index + INDEX_LEAP, term + TERM_LEAP
    snapshot = _write_snapshot(disk, SnapshotHeader(FORMAT, cluster, index, term, 0, configuration, len(store)), store)
    SegmentedLog.create(disk, folder, index, term)
    DataFolder.write_identity(disk, Identity(1, node, folder, 0, Formation(cluster, configuration)))
    kept = None
    if path.exists():
        kept = path.with_name(f"{path.name}.before-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")
        os.rename(path, kept)
    os.rename(aside, path)
    sync_folder(path.parent)
    return Reborn(cluster, snapshot.header.keys, index, term, kept)


def _write_snapshot(disk: RealDisk, header: SnapshotHeader, store: Store) -> Snapshot:
    writer = SnapshotWriter(disk, header)
    frozen = store.freeze()
    while items := frozen.take(_SLICE):
        writer.add(items)
    frozen.close()
    return writer.finish()


def save_backup(pieces: Iterator[bytes], file: Path) -> Snapshot:
    """Write a snapshot that comes in pieces to a file, and check it. Raises StorageError, OSError."""
    temporary = file.with_name(f"{file.name}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as out:
        for piece in pieces:
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    disk = RealDisk(file.parent)
    try:
        snapshot = open_snapshot(disk, temporary.name)
        for _ in read_items(disk, snapshot):
            pass
    except Damaged as error:
        temporary.unlink()
        raise StorageError(f"the backup did not arrive whole: {error.reason}", "try again") from None
    os.rename(temporary, file)
    sync_folder(file.parent.absolute())
    return snapshot
