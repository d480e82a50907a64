"""The disk as storage needs it: one folder of files, which are appended to, synced and renamed.

The interface is narrow on purpose: the tests' own disk behind it loses what was not synced.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

LOG_ROOM_BYTES: Final = 64 * 1024 * 1024
"""The room that everything but the log leaves free for the log; on a small disk a sixteenth of the disk instead."""


class File(Protocol):
    """One open file."""

    def append(self, data: bytes) -> None:
        """Write at the end. Raises OSError; a part may have been written then."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write from `offset` on, over what is there and beyond the end. Raises OSError like `append`."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""

    def sync(self) -> None:
        """Return once the whole file is on the disk itself. Raises OSError."""

    def close(self) -> None:
        """Close it."""


class Reader(Protocol):
    """One file, held open for reading, which stays readable when it is removed or replaced meanwhile."""

    size: int
    """The size in bytes when the file was opened."""

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes from `offset` on, fewer at the end of the file. Raises OSError."""

    def close(self) -> None:
        """Close it."""


class Disk(Protocol):
    """One folder of files."""

    name: str
    """The folder's name, for people."""

    def names(self) -> list[str]:
        """List the names of the files."""

    def read(self, name: str) -> bytes:
        """Read a whole file. Raises OSError."""

    def reader(self, name: str) -> Reader:
        """Open a file for reading. Raises OSError."""

    def open(self, name: str) -> File:
        """Open a file for writing, and create it where it is missing."""

    def rename(self, old: str, new: str) -> None:
        """Rename a file, in one step; a file that has the new name is replaced."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def sync_folder(self) -> None:
        """Return once the names are on the disk itself. Raises OSError."""

    def room(self) -> int:
        """How many bytes may be written to files other than the log. Raises OSError."""


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
        """Write from `offset` on; the system may take the data in parts."""
        try:
            written = os.pwrite(self._descriptor, data, offset)
            while written < len(data):
                written += os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)
        except OSError as error:
            raise _naming(self._path, error) from None
        self._size = max(self._size, offset + written)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise _naming(self._path, error) from None
        self._size = size

    def sync(self) -> None:
        """Return once the whole file is on the disk; fdatasync syncs a changed size too."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise _naming(self._path, error) from None

    def close(self) -> None:
        """Close it. A second call does nothing: the system may have given the descriptor to another file by then."""
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
        """Read `size` bytes from `offset` on, fewer at the end of the file."""
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
        """List the names of the files, in order."""
        return sorted(os.listdir(self.path))

    def read(self, name: str) -> bytes:
        """Read a whole file."""
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
        """Rename a file."""
        os.rename(self.path / old, self.path / new)

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self.path / name)

    def sync_folder(self) -> None:
        """Return once the names are on the disk."""
        sync_folder(self.path)

    def room(self) -> int:
        """How many bytes are free, less the room that the log may need."""
        disk = os.statvfs(self.path)
        if not disk.f_blocks:  # the file system does not tell its size
            return sys.maxsize
        return disk.f_frsize * disk.f_bavail - min(LOG_ROOM_BYTES, disk.f_frsize * disk.f_blocks // 16)


def sync_folder(path: Path) -> None:
    """Return once the names in that folder are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _naming(path, error) from None
    finally:
        os.close(descriptor)


def _naming(path: Path, error: OSError) -> OSError:
    """The same error with the name of the file, which the system does not know from a descriptor."""
    return OSError(error.errno, error.strerror, str(path))


TEMPORARY = ".tmp"
"""The suffix of unfinished files, which are removed at start."""


def write_aside(disk: Disk, name: str, data: bytes) -> None:
    """Make or replace a whole file. After a crash the file is either as it was or as it should be. Raises OSError."""
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
    """Remove the files that an earlier process began and did not finish. Raises OSError."""
    for name in disk.names():
        if name.endswith(TEMPORARY):
            disk.remove(name)
