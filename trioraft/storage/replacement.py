"""The replacement of a folder's files by those of a new node, in steps that can be continued after any crash.

A folder may be a mount point, which cannot be renamed, and its parent may be on another disk. So the work is done
inside the folder, in one subfolder, whose name is the present step:

    new.building    the new files are being written; the folder's old files are untouched
    new.keeping     the new files are whole and synced; the old files move into the subfolder `old` of this one
    new.placing     the new files move to their place, node.json last

While one of the last two exists, no node starts on the folder. `finish` continues from either. At the end the old
files have a subfolder of their own, and the subfolder of the work gets its first name again and is removed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from trioraft.storage.disk import RealDisk, sync_folder
from trioraft.storage.folder import (
    BUILDING,
    KEEPING,
    LOCK_FILE,
    NODE_FILE,
    PLACING,
    is_of_a_node,
    lock_folder,
    make_folders,
    remove_folders,
)

_OLD: Final = "old"
_NOBODYS: Final = frozenset({"lost+found", LOCK_FILE, BUILDING})
"""Names that a folder may hold and still count as empty."""


def foreign_names(path: Path) -> list[str]:
    """List the names in a folder that belong to somebody; none where the folder does not exist. Raises OSError.

    The remains of an interrupted restore belong to nobody.
    """
    names = set(os.listdir(path)) if path.exists() else set()
    if _was_interrupted_while_empty(path, names):
        names = {name for name in names if name not in (KEEPING, PLACING) and not is_of_a_node(name)}
    return sorted(names - _NOBODYS)


def _was_interrupted_while_empty(path: Path, names: set[str]) -> bool:
    """Whether a restore into an empty folder was interrupted: its files can be made again."""
    if KEEPING in names and not any(is_of_a_node(name) for name in names):
        old = path / KEEPING / _OLD
    else:
        old = path / PLACING / _OLD
    return old.is_dir() and not os.listdir(old)


def is_unfinished(path: Path) -> bool:
    """Whether a process ended while it was moving files in that folder."""
    return (path / KEEPING).exists() or (path / PLACING).exists()


class Folder:
    """A folder that will hold a new node, locked until `close`."""

    def __init__(self, path: Path, lock: int | None = None) -> None:
        """Make the folder if it is missing. `lock` is a lock that the caller holds. Raises FolderLocked, OSError."""
        self.name = path
        """The user's own name for it."""
        self.path = path.resolve()
        self._own_lock: int | None = None
        self._made: list[Path] = []
        self._new_lock = False
        if lock is None:
            self._made = make_folders(self.path)
            new = not (self.path / LOCK_FILE).exists()
            try:
                self._own_lock = lock_folder(self.path)
            except BaseException:
                remove_folders(self._made)
                raise
            self._new_lock = new

    def close(self) -> None:
        """Release the lock, unless it is the caller's."""
        if self._own_lock is not None:
            os.close(self._own_lock)
            self._own_lock = None

    def unmake(self) -> None:
        """Remove the folders and the lock file that this object made."""
        if self._new_lock:
            with suppress(OSError):
                os.unlink(self.path / LOCK_FILE)
        remove_folders(self._made)

    def forget_unfinished(self) -> None:
        """Remove the remains of an interrupted restore into an empty folder. Raises OSError."""
        if (self.path / PLACING).exists():
            for name in self._node_files():
                os.unlink(self.path / name)
            shutil.rmtree(self.path / PLACING)
        elif (self.path / KEEPING).exists():
            shutil.rmtree(self.path / KEEPING)

    def replace(self, build: Callable[[RealDisk], None]) -> Path | None:
        """Let `build` write the new files, and put them in place. Return the folder that holds the old files now.

        Raises what `build` raises, and OSError. Before all new files are written, an error leaves the folder as it was.
        """
        building = self.path / BUILDING
        try:
            if building.exists():
                shutil.rmtree(building)  # its process is gone: this one holds the lock
            building.mkdir(mode=0o700)
            (building / _OLD).mkdir(mode=0o700)
            build(RealDisk(building))
            self._give_to_owner(building)
            sync_folder(building)
            os.rename(building, self.path / KEEPING)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            self.unmake()
            raise
        return self.finish()

    def finish(self) -> Path | None:
        """Move the old files away and the new ones to their place. Return where the old ones are. Raises OSError."""
        path, keeping, placing = self.path, self.path / KEEPING, self.path / PLACING
        sync_folder(path)
        if keeping.exists():
            for name in self._node_files():
                os.rename(path / name, keeping / _OLD / name)
            sync_folder(keeping / _OLD)
            sync_folder(path)
            os.rename(keeping, placing)
            sync_folder(path)
        new = sorted(os.listdir(placing), key=lambda name: (name == NODE_FILE, name))
        for name in new:
            if name != _OLD:
                if name == NODE_FILE:
                    sync_folder(path)
                os.rename(placing / name, path / name)
        sync_folder(path)
        kept = self._keep_old(placing / _OLD)
        os.rename(placing, path / BUILDING)  # from here on a node may start; it removes what is left here
        sync_folder(path)
        shutil.rmtree(path / BUILDING)
        return kept

    def _keep_old(self, old: Path) -> Path | None:
        """Give the old files a folder of their own, if there are any."""
        if not old.exists() or not os.listdir(old):
            return None
        kept = self.path / f"before-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        os.rename(old, kept)
        return self.name / kept.name

    def _node_files(self) -> list[str]:
        return [name for name in os.listdir(self.path) if is_of_a_node(name)]

    def _give_to_owner(self, building: Path) -> None:
        """Where root runs this, give the files to the folder's owner: a node of that user must read them."""
        owner = os.stat(self.path)
        if os.geteuid() == 0 and owner.st_uid != 0:
            for file in (self.path / LOCK_FILE, building, *building.iterdir()):
                os.chown(file, owner.st_uid, owner.st_gid)
