"""The disk as storage needs it: one folder of files, which are appended to, synced and renamed.

Narrow on purpose: what stands behind it in tests loses what was not synced.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

LOG_ROOM_BYTES: Final = 64 * 1024 * 1024
"""What is left of the disk for the log by whatever else grows, where it is no more than a sixteenth of the disk."""


class File(Protocol):
    """One open file."""

    def append(self, data: bytes) -> None:
        """Write at the end. Raises OSError, and then may have written a part."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write from there on, over what is there, and beyond its end. Raises OSError like `append`."""

    def truncate(self, size: int) -> None:
        """Cut to that size."""

    def sync(self) -> None:
        """Return when all of it is on the disk itself. Raises OSError."""

    def close(self) -> None:
        """Close it."""


class Reader(Protocol):
    """One file, held open for reading: it can be read on though it is removed, or replaced, meanwhile."""

    size: int
    """In bytes, when it was opened."""

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from there on, fewer at the end of the file. Raises OSError."""

    def close(self) -> None:
        """Close it."""


class Disk(Protocol):
    """One folder."""

    name: str
    """For people."""

    def names(self) -> list[str]:
        """The names of the files in it."""

    def read(self, name: str) -> bytes:
        """A whole file."""

    def reader(self, name: str) -> Reader:
        """Open a file for reading. Raises OSError."""

    def open(self, name: str) -> File:
        """Open a file for writing; it is created where it is missing."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in one step; another of that name is replaced."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def sync_folder(self) -> None:
        """Return when the names are on the disk itself. Raises OSError."""

    def room(self) -> int:
        """How many bytes may be written that are not the log's. Raises OSError."""


class RealFile:
    """A file of the operating system."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self.write_at(self._size, data)

    def write_at(self, offset: int, data: bytes) -> None:
        """Write from there on; the system may take it in parts."""
        try:
            written = os.pwrite(self._descriptor, data, offset)
            while written < len(data):
                written += os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)
        except OSError as error:
            raise _naming(self._path, error) from None
        self._size = max(self._size, offset + written)

    def truncate(self, size: int) -> None:
        """Cut to that size."""
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise _naming(self._path, error) from None
        self._size = size

    def sync(self) -> None:
        """Return when all of it is on the disk; fdatasync syncs a changed size too."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise _naming(self._path, error) from None

    def close(self) -> None:
        """Close it; once is enough, for the system may have given its number to another file by then."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RealReader:
    """A file of the operating system, for reading."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from there on."""
        try:
            data = os.pread(self._descriptor, size, offset)
            while len(data) < size and (more := os.pread(self._descriptor, size - len(data), offset + len(data))):
                data += more
        except OSError as error:
            raise _naming(self._path, error) from None
        return data

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


class RealDisk:
    """A folder of the operating system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def names(self) -> list[str]:
        """The names of the files in it."""
        return sorted(os.listdir(self.path))

    def read(self, name: str) -> bytes:
        """A whole file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise _naming(self.path / name, error) from None

    def reader(self, name: str) -> RealReader:
        """Open a file for reading."""
        return RealReader(self.path / name)

    def open(self, name: str) -> RealFile:
        """Open a file for writing."""
        return RealFile(self.path / name)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        os.rename(self.path / old, self.path / new)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self.path / name)

    def sync_folder(self) -> None:
        """Return when the names are on the disk."""
        sync_folder(self.path)

    def room(self) -> int:
        """What is free, but for what the log may need."""
        disk = os.statvfs(self.path)
        if not disk.f_blocks:  # a file system that does not tell
            return sys.maxsize
        return disk.f_frsize * disk.f_bavail - min(LOG_ROOM_BYTES, disk.f_frsize * disk.f_blocks // 16)


def sync_folder(path: Path) -> None:
    """Return when the names in that folder are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _naming(path, error) from None
    finally:
        os.close(descriptor)


def _naming(path: Path, error: OSError) -> OSError:
    """The same error, with the name of the file: the system was given a descriptor, and cannot tell."""
    return OSError(error.errno, error.strerror, str(path))


TEMPORARY = ".tmp"
"""The end of the names of files that are not finished; they are removed at start."""


def write_aside(disk: Disk, name: str, data: bytes) -> None:
    """Make or replace a whole file, so that after a crash it is there as it was or as it is to be. Raises OSError."""
    file = disk.open(name + TEMPORARY)
    try:
        try:
            file.truncate(0)
            file.append(data)
            file.sync()
        finally:
            file.close()
        disk.rename(name + TEMPORARY, name)
        disk.sync_folder()
    except OSError:
        with suppress(OSError):
            disk.remove(name + TEMPORARY)
        raise


def remove_unfinished(disk: Disk) -> None:
    """Remove the files that a process before this one began and did not finish. Raises OSError."""
    for name in disk.names():
        if name.endswith(TEMPORARY):
            disk.remove(name)
