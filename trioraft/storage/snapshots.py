"""Snapshots on disk (§7): files that have their name only once they are whole and synced.

A file is written aside, synced, and renamed; a snapshot that has its name was complete, so damage to it is damage
to what was promised, and stops the node. There is no older one to fall back on: the log begins where this one ends.
"""

from __future__ import annotations

import errno
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from trioraft.storage.disk import TEMPORARY, Disk, Reader
from trioraft.storage.errors import Damaged, UnknownFormat
from trioraft.wire.codec import BadLine
from trioraft.wire.snapshots import (
    KeyAndItem,
    SnapshotEnd,
    SnapshotHeader,
    decode_end,
    decode_header,
    decode_item,
    encode_end,
    encode_header,
    encode_items,
)

READ_BYTES: Final = 256 * 1024
_NAME: Final = re.compile(r"snapshot-(\d{16})-(\d{8})\.jsonl")


class Snapshot(msgspec.Struct, frozen=True):
    """One that is complete."""

    name: str
    header: SnapshotHeader
    size: int
    """In bytes."""


def snapshot_name(index: int, term: int) -> str:
    """The file name of the snapshot that ends there."""
    return f"snapshot-{index:016d}-{term:08d}.jsonl"


def snapshot_names(disk: Disk) -> list[str]:
    """The names of those that are there, oldest first."""
    return sorted(name for name in disk.names() if _NAME.fullmatch(name))


class _Unfinished:
    """The file of a snapshot until it has its name. After an OSError it is good for `abandon` alone."""

    def __init__(self, disk: Disk, name: str, temporary: str) -> None:
        """Begin it, empty. Raises OSError, and then has left nothing behind."""
        self._disk = disk
        self._name = name
        self._temporary = temporary
        self._renamed = False
        self._file = disk.open(temporary)
        try:
            self._file.truncate(0)
        except Exception:
            self.abandon()
            raise

    def sync(self) -> None:
        """Let the disk have what is written so far: less is left to the sync at the end. Raises OSError."""
        self._file.sync()

    def abandon(self) -> None:
        """Leave nothing behind, as far as the disk allows it; what stays is removed at the next start."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._disk.remove(self._name if self._renamed else self._temporary)

    def _write(self, data: bytes) -> None:
        """Write at the end, and leave the log its room. Raises OSError."""
        if self._disk.room() < len(data):
            raise OSError(errno.ENOSPC, "no room is left but what the log may need", self._temporary)
        self._file.append(data)

    def _give_name(self) -> None:
        """Sync it, close it and give it its name, for good. Raises OSError."""
        self._file.sync()
        self._file.close()
        new = self._name not in self._disk.names()
        self._disk.rename(self._temporary, self._name)
        self._renamed = new  # one that took the place of its like is not to be removed: the log may begin where it ends
        self._disk.sync_folder()


class SnapshotWriter(_Unfinished):
    """Writes one, piece by piece."""

    def __init__(self, disk: Disk, header: SnapshotHeader) -> None:
        """Begin the file. Raises OSError, and then has left nothing behind."""
        name = snapshot_name(header.last_included_index, header.last_included_term)
        super().__init__(disk, name, name + TEMPORARY)
        self._header = header
        self._lines = 0
        self._size = 0
        self._checksum = 0
        try:
            self.append(encode_header(header), 1)
        except Exception:
            self.abandon()
            raise

    def append(self, data: bytes, lines: int) -> None:
        """Write so many whole lines. Raises OSError."""
        self._write(data)
        self._lines += lines
        self._size += len(data)
        self._checksum = zlib.crc32(data, self._checksum)

    def add(self, items: Sequence[KeyAndItem]) -> None:
        """Write these keys. Raises OSError."""
        self.append(encode_items(items), len(items))

    def finish(self) -> Snapshot:
        """Close it, and give it its name; it is on the disk itself when this returns. Raises OSError."""
        end = encode_end(SnapshotEnd(self._lines, self._size, f"{self._checksum:08x}"))
        self._write(end)
        self._give_name()
        return Snapshot(self._name, self._header, self._size + len(end))


class SnapshotReader:
    """The bytes of one, for sending: they can be read on when a newer one has taken its place."""

    def __init__(self, disk: Disk, snapshot: Snapshot) -> None:
        """Open it. Raises OSError."""
        self._reader = disk.reader(snapshot.name)
        self._name = snapshot.name
        self.size = snapshot.size

    def lines(self, offset: int, size: int) -> bytes:
        """Whole lines from there on: those in the next `size` bytes, and to the end of the first, which may be longer.

        Nothing at the end. Raises OSError, also where the file ends too early.
        """
        parts: list[bytes] = []
        end = 0
        while not end and offset < self.size:
            data = self._reader.read(offset, size)
            if not data:
                raise OSError(errno.EIO, "a snapshot ends before its end", self._name)
            end = data.rfind(b"\n") + 1
            parts.append(data[:end] if end else data)
            offset += len(data)
        return b"".join(parts)

    def close(self) -> None:
        """Let go of it."""
        self._reader.close()


class IncomingSnapshot(_Unfinished):
    """One that comes from the leader in pieces."""

    def __init__(self, disk: Disk, index: int, term: int) -> None:
        """Begin the file of the snapshot that ends there. Raises OSError, and then has left nothing behind."""
        name = snapshot_name(index, term)
        super().__init__(disk, name, f"incoming-{name}{TEMPORARY}")
        self._index = index
        self._term = term
        self._header: SnapshotHeader | None = None
        self.received = 0
        """How many bytes are there, from the beginning on."""

    def append(self, offset: int, data: bytes) -> int:
        """Take a piece, unless there is a gap before it; how many bytes are there now. Raises OSError."""
        if offset <= self.received < offset + len(data):
            self._write(data[self.received - offset :])
            self.received = offset + len(data)
        return self.received

    def verify(self) -> Iterator[None]:
        """Read it all, and give way now and then. Raises Damaged where it is not what it should be, OSError."""
        reader = self._disk.reader(self._temporary)
        try:
            scan = _Scan(self._name, reader)
            header = scan.header()
            place = header.last_included_index, header.last_included_term
            if place != (self._index, self._term):
                raise Damaged(self._name, 0, f"it says that it ends at entry {place[0]} of term {place[1]}")
            for _ in scan.lines(header, decode=False):
                yield
            self._header = header
        finally:
            reader.close()

    def finish(self) -> Snapshot:
        """Give it its name, once it is verified; it is on the disk itself when this returns. Raises OSError."""
        assert self._header is not None, "it has not been verified"
        self._give_name()
        return Snapshot(self._name, self._header, self.received)


def newest(disk: Disk) -> Snapshot | None:
    """The newest of the folder, if there is one. Raises Damaged, UnknownFormat, OSError."""
    names = snapshot_names(disk)
    if not names:
        return None
    snapshot = open_snapshot(disk, names[-1])
    header = snapshot.header
    if snapshot_name(header.last_included_index, header.last_included_term) != snapshot.name:
        raise Damaged(snapshot.name, 0, f"it says that it ends at {header.last_included_index}")
    return snapshot


def open_snapshot(disk: Disk, name: str) -> Snapshot:
    """The snapshot in that file, whatever its name. Raises Damaged, UnknownFormat, OSError."""
    reader = disk.reader(name)
    try:
        header = _Scan(name, reader).header()
        _check_end(name, reader)
    finally:
        reader.close()
    return Snapshot(name, header, reader.size)


def read_items(disk: Disk, snapshot: Snapshot) -> Iterator[list[KeyAndItem]]:
    """Its keys, some at a time; all was as it should be only if this comes to its end. Raises Damaged, OSError."""
    reader = disk.reader(snapshot.name)
    try:
        scan = _Scan(snapshot.name, reader)
        yield from scan.lines(scan.header(), decode=True)
    finally:
        reader.close()


def remove_older(disk: Disk, than: Snapshot) -> None:
    """Remove what that one has taken the place of. Raises OSError: it may be tried again."""
    for name in snapshot_names(disk):
        if name < than.name:
            disk.remove(name)


class _Scan:
    """One reading of a file, from its beginning to its end."""

    def __init__(self, name: str, reader: Reader) -> None:
        self._name = name
        self._reader = reader
        self._offset = 0
        """Where the next line begins."""
        self._read = 0
        self._rest = b""

    def header(self) -> SnapshotHeader:
        """The first line."""
        line = self._line()
        try:
            if line is None:
                raise BadLine("it has no complete line")
            header = decode_header(line)
        except BadLine as error:
            raise Damaged(self._name, 0, str(error)) from None
        if isinstance(header, int):
            raise UnknownFormat(self._name, header)
        self._checksum = zlib.crc32(line + b"\n")
        self._offset = len(line) + 1
        return header

    def lines(self, header: SnapshotHeader, decode: bool) -> Iterator[list[KeyAndItem]]:
        """All lines but the first, and what they hold where `decode` is set; the last vouches for the others."""
        count = keys = 0
        last: bytes | None = None
        while block := self._block():
            lines = block.split(b"\n")
            lines.pop()
            if not self._rest and self._read >= self._reader.size:
                last = lines.pop()
                block = block[: len(block) - len(last) - 1]
            self._checksum = zlib.crc32(block, self._checksum)
            count += len(lines)
            found = [self._item(line) for line in lines] if decode else []
            keys += len(found)
            self._offset += len(block)
            yield found
        if self._rest or last is None:
            raise Damaged(self._name, self._offset, "it has no end")
        self._check(last, header, count)

    def _check(self, last: bytes, header: SnapshotHeader, count: int) -> None:
        try:
            end = _decode_last(last)
        except BadLine as error:
            raise Damaged(self._name, self._offset, str(error)) from None
        found = SnapshotEnd(count + 1, self._offset, f"{self._checksum:08x}")
        if end != found:
            raise Damaged(self._name, 0, _difference(end, found))
        if header.keys != count:
            raise Damaged(self._name, 0, f"it says that it has {header.keys} keys, and has {count}")

    def _item(self, line: bytes) -> KeyAndItem:
        try:
            return decode_item(line)
        except BadLine as error:
            raise Damaged(self._name, self._offset, str(error)) from None

    def _line(self) -> bytes | None:
        """The next line, without its newline; None where there is none."""
        block = self._block()
        if not block:
            return None
        line, _, rest = block.partition(b"\n")
        self._rest = rest + self._rest
        return line

    def _block(self) -> bytes:
        """The next whole lines; a long one is put together once."""
        parts = [self._rest]
        while not (end := parts[-1].rfind(b"\n") + 1):
            data = self._reader.read(self._read, READ_BYTES)
            if not data:
                self._rest = b"".join(parts)
                return b""
            self._read += len(data)
            parts.append(data)
        self._rest = parts[-1][end:]
        parts[-1] = parts[-1][:end]
        return b"".join(parts)


def _decode_last(line: bytes) -> SnapshotEnd:
    """The last line, which counts the others. Raises BadLine."""
    try:
        return decode_end(line)
    except BadLine:
        raise BadLine("its end is missing or damaged: its last line does not vouch for the others") from None


def _difference(written: SnapshotEnd, found: SnapshotEnd) -> str:
    """What of a snapshot is not as its last line says, for people."""
    if written.lines != found.lines:
        return _counts_differ("lines", written.lines, found.lines)
    if written.bytes != found.bytes:
        return _counts_differ("bytes", written.bytes, found.bytes)
    return f"its bytes have changed: their checksum was {written.checksum}, and is {found.checksum}"


def _counts_differ(of: str, written: int, found: int) -> str:
    return f"the {of} before its last line: {written} when it was written, {found} now"


def _check_end(name: str, reader: Reader) -> None:
    """The last line must be there, and say the size of what is before it: all else is checked when it is read."""
    tail = reader.read(max(0, reader.size - 512), 512)
    line = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    try:
        if not line.endswith(b"\n"):
            raise BadLine("its end is missing: its last line is cut off")
        end = _decode_last(line[:-1])
        if end.bytes + len(line) != reader.size:
            raise BadLine(_counts_differ("bytes", end.bytes, reader.size - len(line)))
    except BadLine as error:
        raise Damaged(name, max(0, reader.size - len(line)), str(error)) from None
