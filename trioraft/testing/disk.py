"""A folder in memory that knows what was synced, and loses the rest in a crash."""

from __future__ import annotations

from random import Random


class PowerCut(BaseException):
    """The machine went down in the middle of an operation. No code of the program catches it."""


class _Inode:
    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = b""


class MemoryFile:
    """A file of a MemoryDisk."""

    def __init__(self, disk: MemoryDisk, inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self.write_at(len(self._inode.data), data)

    def write_at(self, offset: int, data: bytes) -> None:
        """Write over what is there; a failing disk takes the first half."""
        try:
            self._disk.count()
        except BaseException:
            data = data[: len(data) // 2]
            self._inode.data[offset : offset + len(data)] = data
            raise
        self._inode.data[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        """Cut to that size."""
        self._disk.count()
        del self._inode.data[size:]

    def sync(self) -> None:
        """Keep what is there through a crash."""
        self._disk.count()
        self._inode.synced = bytes(self._inode.data)

    def close(self) -> None:
        """Close it; this syncs nothing."""


class MemoryDisk:
    """One folder. Each write, sync, rename and removal counts as an operation, at which it can be made to fail."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.operations = 0
        self.fail_at: int | None = None
        """The number of the operation that fails, with `failure`."""
        self.failure: BaseException = PowerCut()
        self._files: dict[str, _Inode] = {}
        self._synced_names: dict[str, _Inode] = {}

    def count(self) -> None:
        """An operation begins."""
        self.operations += 1
        if self.operations == self.fail_at:
            raise self.failure

    def names(self) -> list[str]:
        """The names of the files."""
        return sorted(self._files)

    def read(self, name: str) -> bytes:
        """A whole file."""
        return bytes(self._files[name].data)

    def open(self, name: str) -> MemoryFile:
        """Open a file for writing; it is created where it is missing."""
        if name not in self._files:
            self.count()
            self._files[name] = _Inode()
        return MemoryFile(self, self._files[name])

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        self.count()
        self._files[new] = self._files.pop(old)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.count()
        del self._files[name]

    def sync_folder(self) -> None:
        """Keep the names through a crash."""
        self.count()
        self._synced_names = dict(self._files)

    def crash(self, random: Random) -> None:
        """Lose what was not synced: of each file's new bytes a part is there, a part is zeros; names are new or old."""
        names = dict(self._files if random.random() < 0.5 else self._synced_names)
        for name, inode in names.items():
            # A new one: whoever still holds the file open, though the machine went down, writes into the void.
            names[name] = _Inode()
            names[name].data = _after_crash(inode, random)
            names[name].synced = bytes(names[name].data)
        self._files = names
        self._synced_names = dict(names)
        self.operations = 0
        self.fail_at = None


def _after_crash(inode: _Inode, random: Random) -> bytearray:
    """The file's bytes as some order of its unsynced writes may have left them on the disk."""
    old, new = inode.synced, bytes(inode.data)
    match random.randrange(4):
        case 0:
            return bytearray(old)
        case 1:
            return bytearray(new)
        case 2 if len(new) > len(old):
            return bytearray(new[: random.randrange(len(old), len(new) + 1)])
    size = max(len(old), len(new)) if random.random() < 0.5 else len(new)
    data = bytearray(new.ljust(size, b"\0"))
    for start in range(0, size, 16):
        if random.random() < 0.3 and new[start : start + 16] != old[start : start + 16]:
            before = old[start : start + 16]
            data[start : start + 16] = before.ljust(min(16, size - start), b"\0")
    return data
