"""A folder in memory that tracks what was synced, and loses the rest when the power is cut."""

from __future__ import annotations

import errno
import os
import sys
from random import Random


class PowerCut(BaseException):
    """The power went off in the middle of an operation. No code of the program catches this."""


class _Inode:
    """The bytes of a file, twice: as processes read them, and as a power cut would leave them."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = bytearray()
        self.dirty: list[tuple[int, int]] = []
        """The ranges that a sync will write: from, to."""

    def write(self, offset: int, data: bytes) -> None:
        self.data[offset : offset + len(data)] = data
        self.dirty.append((offset, offset + len(data)))

    def sync(self) -> None:
        for start, end in self.dirty:
            end = min(end, len(self.data))
            if len(self.synced) < start:
                self.synced.extend(bytes(start - len(self.synced)))
            self.synced[start:end] = self.data[start:end]
        del self.synced[len(self.data) :]
        self.dirty.clear()

    def copy(self) -> _Inode:
        other = _Inode()
        other.data, other.synced, other.dirty = bytearray(self.data), bytearray(self.synced), list(self.dirty)
        return other


class MemoryFile:
    """A file of a MemoryDisk."""

    def __init__(self, disk: MemoryDisk, inode: _Inode, name: str) -> None:
        self._disk = disk
        self._inode = inode
        self._name = name

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self.write_at(len(self._inode.data), data)

    def write_at(self, offset: int, data: bytes) -> None:
        """Write from `offset` on; a failing disk, or a full one, takes only the first half."""
        try:
            self._disk.count()
            self._disk.check_room(self._name)
        except BaseException:
            self._inode.write(offset, data[: len(data) // 2])
            raise
        self._inode.write(offset, data)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        self._disk.count()
        del self._inode.data[size:]

    def sync(self) -> None:
        """Let the file's present bytes survive a power cut.

        A sync that fails leaves its pages falsely clean, as on Linux: no later sync writes them, although readers of
        the file see them.
        """
        try:
            self._disk.count()
            self._disk.check_syncs(self._name)
        except OSError:
            self._inode.dirty.clear()
            raise
        self._inode.sync()

    def close(self) -> None:
        """Close the file; this syncs nothing."""


class MemoryReader:
    """A file of a MemoryDisk, for reading."""

    def __init__(self, disk: MemoryDisk, inode: _Inode, name: str) -> None:
        self._disk = disk
        self._inode = inode
        self._name = name
        self.size = len(inode.data)

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes from `offset` on, fewer at the end of the file."""
        if self._disk.failing_reads:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self._name)
        return bytes(self._inode.data[offset : offset + size])

    def close(self) -> None:
        """Close it."""


class MemoryDisk:
    """One folder. Each write, sync, rename and removal is a numbered operation, which can be made to fail."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.operations = 0
        self.fail_at: int | None = None
        """The number of the operation that raises `failure`; None where none does."""
        self.failure: BaseException = PowerCut()
        self.full = False
        """Whether the disk has no room left."""
        self.no_snapshots = False
        """Whether the disk has room for the log alone, and none for snapshots."""
        self.failing_syncs = 0
        """How many of the next syncs will fail."""
        self.failing_reads = False
        """Whether reading from an open file fails."""
        self._files: dict[str, _Inode] = {}
        self._synced_names: dict[str, _Inode] = {}

    def count(self) -> None:
        """Count an operation that begins. Raises `failure` where its number is `fail_at`."""
        self.operations += 1
        if self.operations == self.fail_at:
            raise self.failure

    def check_room(self, name: str) -> None:
        """Raise OSError where the disk has no room for that file."""
        if self.full or (self.no_snapshots and "snapshot" in name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def room(self) -> int:
        """Say that there is always room: a full disk in memory fails when it is written to."""
        return sys.maxsize

    def check_syncs(self, name: str) -> None:
        """Raise OSError where the next sync has to fail."""
        if self.failing_syncs:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), name)

    def names(self) -> list[str]:
        """List the names of the files, in order."""
        return sorted(self._files)

    def _check_name(self, name: str) -> None:
        """Raise OSError where there is no such file."""
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def read(self, name: str) -> bytes:
        """Read a whole file."""
        self._check_name(name)
        return bytes(self._files[name].data)

    def reader(self, name: str) -> MemoryReader:
        """Open a file for reading."""
        self._check_name(name)
        return MemoryReader(self, self._files[name], name)

    def open(self, name: str) -> MemoryFile:
        """Open a file for writing, and create it where it is missing."""
        if name not in self._files:
            self.count()
            self.check_room(name)
            self._files[name] = _Inode()
        return MemoryFile(self, self._files[name], name)

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        self.count()
        self._check_name(old)
        self._files[new] = self._files.pop(old)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.count()
        self._check_name(name)
        del self._files[name]

    def sync_folder(self) -> None:
        """Let the present names survive a power cut."""
        self.count()
        self.check_syncs(self.name)
        self._synced_names = dict(self._files)

    def flip(self, name: str, offset: int, bit: int) -> None:
        """Flip one bit of a file on the disk itself, as bit rot does; a second call undoes it."""
        inode = self._files[name]
        for data in (inode.data, inode.synced):
            if offset < len(data):
                data[offset] ^= 1 << bit

    def kill(self) -> None:
        """Kill the process: the machine lives on and keeps what the process wrote, synced or not."""
        # The dead process's open files now belong to old inodes: its late writes reach nothing.
        inodes = {id(inode): inode.copy() for inode in (*self._files.values(), *self._synced_names.values())}
        self._files = {name: inodes[id(inode)] for name, inode in self._files.items()}
        self._synced_names = {name: inodes[id(inode)] for name, inode in self._synced_names.items()}
        self.fail_at = None

    def crash(self, random: Random) -> None:
        """Cut the power: a part of each file's unsynced bytes survives, a part is zeros; the names are new or old."""
        names = dict(self._files if random.random() < 0.5 else self._synced_names)
        for name, inode in names.items():
            names[name] = _Inode()
            names[name].data = _after_power_cut(inode, random)
            names[name].synced = bytearray(names[name].data)
        self._files = names
        self._synced_names = dict(names)
        self.operations = 0
        self.fail_at = None


def spares_the_node(error: BaseException) -> bool:
    """Whether the node must survive that error of its disk, because it concerns snapshots and not the log."""
    return isinstance(error, OSError) and "snapshot" in str(error.filename)


def _after_power_cut(inode: _Inode, random: Random) -> bytearray:
    """The file's bytes as the disk may hold them, had it written the unsynced pages in some order."""
    old, new = bytes(inode.synced), bytes(inode.data)
    match random.randrange(4):
        case 0:
            return bytearray(old)
        case 1:
            return bytearray(new)
        case 2 if len(new) > len(old) and new.startswith(old):
            return bytearray(new[: random.randrange(len(old), len(new) + 1)])
    size = max(len(old), len(new)) if random.random() < 0.5 else len(new)
    data = bytearray(new.ljust(size, b"\0"))
    for start in range(0, size, 16):
        if random.random() < 0.3 and new[start : start + 16] != old[start : start + 16]:
            before = old[start : start + 16]
            data[start : start + 16] = before.ljust(min(16, size - start), b"\0")
    return data
