"""A node's data folder: which node it belongs to, how often that was started, and how its cluster began."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from trioraft.raft.membership import Formation
from trioraft.raft.messages import NodeId
from trioraft.storage import records
from trioraft.storage.disk import Disk, RealDisk, remove_unfinished, sync_folder, write_aside
from trioraft.storage.errors import Damaged, FolderLocked, StorageError, UnknownFormat, WrongNode
from trioraft.storage.log import SegmentedLog, segment_name, segment_numbers
from trioraft.storage.snapshots import snapshot_names
from trioraft.wire.codec import BadLine, DecodeError, Decoder, open_line

NODE_FILE: Final = "node.json"
LOCK_FILE: Final = "lock"
BUILDING: Final = "new.building"
"""The subfolder in which a process makes the files of a restored node; useless once that process is gone."""
KEEPING: Final = "new.keeping"
PLACING: Final = "new.placing"
"""The subfolders that exist while the files of a restored node move here (`trioraft.storage.replacement`)."""


class Identity(msgspec.Struct, frozen=True):
    """The content of node.json."""

    format: int
    node: NodeId
    folder: str
    starts: int
    formation: Formation | None


_identities: Final = Decoder(Identity)
_formats: Final = Decoder(records.FormatOf)


class DataFolder:
    """One node's folder, held by this process."""

    def __init__(
        self,
        disk: Disk,
        node: NodeId,
        lock: int | None = None,
        *,
        draw: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        """Read the identity, or make one for a new node, and count this start. A real folder is opened by `open`.

        `draw` makes ids: random bytes, as many as it is told, in hex digits. Raises StorageError, OSError.
        """
        self.disk = disk
        self._lock = lock
        before = _read(disk)
        if before is None:
            before = Identity(records.FORMAT, node, draw(16), 0, None)
        elif before.node != node:
            raise WrongNode(
                f"{disk.name} belongs to node {before.node}, and this is node {node}",
                f"start it as node {before.node}, or give this node a folder of its own with --data-dir",
            )
        self.incarnation = draw(8)
        """An id that no other process has that runs, or ran, on the same folder or a copy of it."""
        remove_unfinished(disk)  # before anything is written: a full disk may have no other room
        self._write(msgspec.structs.replace(before, starts=before.starts + 1))

    @classmethod
    def open(cls, path: Path, node: NodeId) -> DataFolder:
        """Make the folder if it is missing, lock it, and read it. Raises StorageError or OSError."""
        make_folders(path)
        lock = lock_folder(path)
        shutil.rmtree(path / BUILDING, ignore_errors=True)
        try:
            return cls(RealDisk(path), node, lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def peek(cls, path: Path) -> Identity:
        """Read the identity of a folder without counting a start. Raises StorageError or OSError."""
        identity = _read(RealDisk(path)) if path.is_dir() else None
        if identity is None:
            raise StorageError(f"{path} is no node's folder", "name the folder that holds node.json, with --data-dir")
        return identity

    @classmethod
    def may_be_a_nodes(cls, path: Path) -> bool:
        """Whether a node may have files in that folder; False only where there surely are none."""
        try:
            return any(is_of_a_node(name) or name in (KEEPING, PLACING) for name in os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    @classmethod
    def write_identity(cls, disk: Disk, identity: Identity) -> None:
        """Write node.json; it is on the disk itself when this returns. Raises OSError."""
        write_aside(disk, NODE_FILE, records.seal(identity) + b"\n")

    @property
    def lock(self) -> int | None:
        """The descriptor that locks the folder; None for a folder in memory."""
        return self._lock

    @property
    def id(self) -> str:
        """The folder's id, drawn at random when the folder was made."""
        return self._identity.folder

    @property
    def starts(self) -> int:
        """How often a node was started on this folder, this time included."""
        return self._identity.starts

    @property
    def formation(self) -> Formation | None:
        """How the cluster began; None before it has formed."""
        return self._identity.formation

    def adopt(self, formation: Formation) -> None:
        """Join that cluster for good. The log is made first: a formed folder without a log is damaged."""
        if not segment_numbers(self.disk):
            SegmentedLog.create(self.disk, self.id)
        self._write(msgspec.structs.replace(self._identity, formation=formation))

    def close(self) -> None:
        """Release the lock, so that another process can open the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write(self, identity: Identity) -> None:
        self.write_identity(self.disk, identity)
        self._identity = identity


def is_of_a_node(name: str) -> bool:
    """Whether a node makes files of that name, unfinished ones included; the lock file does not count."""
    return name == NODE_FILE or name.startswith(("log-", "snapshot-", "incoming-snapshot-", NODE_FILE + "."))


def lock_folder(path: Path) -> int:
    """Lock the folder until the returned descriptor is closed. Raises FolderLocked, OSError."""
    lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise FolderLocked(
            f"{path} is in use by another process",
            "stop that one first; if it is another node, give each its own folder with --data-dir",
        ) from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def make_folders(path: Path) -> list[Path]:
    """Make the folder and its missing parents, for their owner alone, and sync each new name. Raises OSError.

    Return the folders that were made, the outermost first.
    """
    missing: list[Path] = []
    folder = path.absolute()
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    missing.reverse()
    made: list[Path] = []
    try:
        for folder in missing:
            folder.mkdir(mode=0o700)
            made.append(folder)
            sync_folder(folder.parent)
    except OSError:
        remove_folders(made)
        raise
    return missing


def remove_folders(made: list[Path]) -> None:
    """Remove these folders, the innermost first, where they are still empty."""
    for folder in reversed(made):
        with suppress(OSError):
            folder.rmdir()


def _read(disk: Disk) -> Identity | None:
    names = disk.names()
    if KEEPING in names or PLACING in names:
        raise StorageError(
            f"{disk.name} is not whole: a 'trioraft restore' or 'recover' into it was interrupted",
            "say the same command again, which finishes it; nothing is lost",
        )
    if NODE_FILE not in names:
        if numbers := segment_numbers(disk):
            raise Damaged(NODE_FILE, 0, f"it is missing, and {segment_name(numbers[0])} is there")
        if snapshots := snapshot_names(disk):
            raise Damaged(NODE_FILE, 0, f"it is missing, and {snapshots[0]} is there")
        return None
    line = disk.read(NODE_FILE).removesuffix(b"\n")
    try:
        body = b"{" + open_line(line)
        format = _formats.decode(body).format
        if format != records.FORMAT:
            raise UnknownFormat(NODE_FILE, format)
        identity: Identity = _identities.decode(body)
    except (BadLine, DecodeError) as error:
        raise Damaged(NODE_FILE, 0, str(error)) from None
    if identity.formation is None:
        _check_unformed(disk)
    return identity


def _check_unformed(disk: Disk) -> None:
    """Allow an empty log, made just before the node stopped. Raises Damaged where there are entries or a snapshot."""
    if snapshots := snapshot_names(disk):
        raise Damaged(NODE_FILE, 0, f"it knows of no cluster, and {snapshots[0]} is there")
    for number in segment_numbers(disk):
        data = disk.read(segment_name(number))
        if number > 1 or data.count(b"\n") > 2:
            raise Damaged(NODE_FILE, 0, f"it knows of no cluster, and {segment_name(number)} has entries")
