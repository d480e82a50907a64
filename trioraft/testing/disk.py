"""A folder in memory that knows what was synced, and loses the rest when the power is cut."""

from __future__ import annotations

import errno
import os
import sys
from random import Random


class PowerCut(BaseException):
    """The machine went down in the middle of an operation. No code of the program catches it."""


class _Inode:
    """A file's bytes twice: as processes read them, and as they would be found after a power cut."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = bytearray()
        self.dirty: list[tuple[int, int]] = []
        """What a sync will write: from, to."""

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
        """Write from there on; a failing disk, or a full one, takes the first half."""
        try:
            self._disk.count()
            self._disk.check_room(self._name)
        except BaseException:
            self._inode.write(offset, data[: len(data) // 2])
            raise
        self._inode.write(offset, data)

    def truncate(self, size: int) -> None:
        """Cut to that size."""
        self._disk.count()
        del self._inode.data[size:]

    def sync(self) -> None:
        """Keep what is there through a power cut.

        A sync that fails leaves its pages falsely clean, as Linux does: no later one writes them, though
        whoever reads the file sees them.
        """
        try:
            self._disk.count()
            self._disk.check_syncs(self._name)
        except OSError:
            self._inode.dirty.clear()
            raise
        self._inode.sync()

    def close(self) -> None:
        """Close it; this syncs nothing."""


class MemoryReader:
    """A file of a MemoryDisk, for reading."""

    def __init__(self, disk: MemoryDisk, inode: _Inode, name: str) -> None:
        self._disk = disk
        self._inode = inode
        self._name = name
        self.size = len(inode.data)

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from there on."""
        if self._disk.failing_reads:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self._name)
        return bytes(self._inode.data[offset : offset + size])

    def close(self) -> None:
        """Close it."""


class MemoryDisk:
    """One folder. Each write, sync, rename and removal counts as an operation, at which it can be made to fail."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.operations = 0
        self.fail_at: int | None = None
        """The number of the operation that fails, with `failure`."""
        self.failure: BaseException = PowerCut()
        self.full = False
        """Whether there is no room for anything more."""
        self.no_snapshots = False
        """Whether there is no room for snapshots, and the log has some."""
        self.failing_syncs = 0
        """How many of the next syncs fail."""
        self.failing_reads = False
        """Whether files that are open for reading cannot be read."""
        self._files: dict[str, _Inode] = {}
        self._synced_names: dict[str, _Inode] = {}

    def count(self) -> None:
        """An operation begins."""
        self.operations += 1
        if self.operations == self.fail_at:
            raise self.failure

    def check_room(self, name: str) -> None:
        """Raise OSError where the disk is full for that file."""
        if self.full or (self.no_snapshots and "snapshot" in name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def room(self) -> int:
        """A disk in memory that is full says so when it is written to."""
        return sys.maxsize

    def check_syncs(self, name: str) -> None:
        """Raise OSError where syncs fail."""
        if self.failing_syncs:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), name)

    def names(self) -> list[str]:
        """The names of the files."""
        return sorted(self._files)

    def _check_name(self, name: str) -> None:
        """Raise OSError where there is no such file."""
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def read(self, name: str) -> bytes:
        """A whole file."""
        self._check_name(name)
        return bytes(self._files[name].data)

    def reader(self, name: str) -> MemoryReader:
        """Open a file for reading."""
        self._check_name(name)
        return MemoryReader(self, self._files[name], name)

    def open(self, name: str) -> MemoryFile:
        """Open a file for writing; it is created where it is missing."""
        if name not in self._files:
            self.count()
            self.check_room(name)
            self._files[name] = _Inode()
        return MemoryFile(self, self._files[name], name)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        self.count()
        self._check_name(old)
        self._files[new] = self._files.pop(old)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.count()
        self._check_name(name)
        del self._files[name]

    def sync_folder(self) -> None:
        """Keep the names through a power cut."""
        self.count()
        self.check_syncs(self.name)
        self._synced_names = dict(self._files)

    def flip(self, name: str, offset: int, bit: int) -> None:
        """Turn one bit of a file over, on the disk itself, as a disk does that rots; twice undoes it."""
        inode = self._files[name]
        for data in (inode.data, inode.synced):
            if offset < len(data):
                data[offset] ^= 1 << bit

    def kill(self) -> None:
        """The process is gone; the machine lives on, and so does what the process wrote, synced or not."""
        # Who still holds a file open, though it is gone, writes into the void.
        inodes = {id(inode): inode.copy() for inode in (*self._files.values(), *self._synced_names.values())}
        self._files = {name: inodes[id(inode)] for name, inode in self._files.items()}
        self._synced_names = {name: inodes[id(inode)] for name, inode in self._synced_names.items()}
        self.fail_at = None

    def crash(self, random: Random) -> None:
        """Cut the power: of each file's unsynced bytes a part is there, a part is zeros; names are new or old."""
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
    """Whether a disk that failed so must not end its node: only what the log needs does that."""
    return isinstance(error, OSError) and "snapshot" in str(error.filename)


def _after_power_cut(inode: _Inode, random: Random) -> bytearray:
    """The file's bytes as some order of its unsynced writes may have left them on the disk."""
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
