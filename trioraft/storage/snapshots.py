"""Snapshots on disk (§7): files that get their name only when they are complete and synced.

A file is written aside, synced, and renamed. A snapshot that has its name was complete: damage to it is damage to what
was promised, and stops the node. There is no older one to fall back on, as the log begins where this one ends.

The lines of the state machine stand in sections, which are opaque to this module.
"""

from __future__ import annotations

import errno
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from trioraft.machine import contents
from trioraft.storage.disk import TEMPORARY, Disk, Reader
from trioraft.storage.errors import Damaged, UnknownFormat
from trioraft.wire.codec import BadLine
from trioraft.wire.snapshots import (
    SnapshotEnd,
    SnapshotHeader,
    decode_end,
    decode_header,
    encode_end,
    encode_header,
)

Load = Callable[[str, Sequence[bytes]], None]
"""Takes the name of a section and some of its lines. Raises ValueError where it cannot read them."""

READ_BYTES: Final = 256 * 1024
"""How many bytes of a file are read at a time."""
_NAME: Final = re.compile(r"snapshot-(\d{16})-(\d{8})\.jsonl")


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot that is complete."""

    name: str
    header: SnapshotHeader
    size: int
    """The size of the file in bytes."""


def snapshot_name(index: int, term: int) -> str:
    """The file name of the snapshot that ends at that entry."""
    return f"snapshot-{index:016d}-{term:08d}.jsonl"


def snapshot_names(disk: Disk) -> list[str]:
    """The names of the snapshots in the folder, oldest first."""
    return sorted(name for name in disk.names() if _NAME.fullmatch(name))


class _Unfinished:
    """The file of a snapshot until it gets its name. After an OSError only `abandon` may be called."""

    def __init__(self, disk: Disk, name: str, temporary: str) -> None:
        """Make the file, empty. Raises OSError, and then leaves nothing behind."""
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
        """Sync what is written so far, so that the sync at the end has less to do. Raises OSError."""
        self._file.sync()

    def abandon(self) -> None:
        """Remove the file, as far as the disk allows it; what stays is removed at the next start."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._disk.remove(self._name if self._renamed else self._temporary)

    def _write(self, data: bytes) -> None:
        """Append, and leave the log its room on the disk. Raises OSError."""
        if self._disk.room() < len(data):
            raise OSError(errno.ENOSPC, "no room is left but what the log may need", self._temporary)
        self._file.append(data)

    def _give_name(self) -> None:
        """Sync the file, close it and give it its name, for good. Raises OSError."""
        self._file.sync()
        self._file.close()
        new = self._name not in self._disk.names()
        self._disk.rename(self._temporary, self._name)
        self._renamed = new  # one that replaced its like must stay: the log may begin where it ends
        self._disk.sync_folder()


class SnapshotWriter(_Unfinished):
    """Writes a snapshot: the header, the lines of its sections in order, the closing line."""

    def __init__(self, disk: Disk, header: SnapshotHeader) -> None:
        """Begin the file. Raises OSError, and then leaves nothing behind."""
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
        """Write whole lines, `lines` of them. Raises OSError."""
        self._write(data)
        self._lines += lines
        self._size += len(data)
        self._checksum = zlib.crc32(data, self._checksum)

    def finish(self) -> Snapshot:
        """Write the closing line, and give the file its name; it is synced when this returns. Raises OSError."""
        end = encode_end(SnapshotEnd(self._lines, self._size, f"{self._checksum:08x}"))
        self._write(end)
        self._give_name()
        return Snapshot(self._name, self._header, self._size + len(end))


class SnapshotReader:
    """Reads the bytes of a snapshot, to send them, even after a newer snapshot has replaced it."""

    def __init__(self, disk: Disk, snapshot: Snapshot) -> None:
        """Open it. Raises OSError."""
        self._reader = disk.reader(snapshot.name)
        self._name = snapshot.name
        self.size = snapshot.size

    def lines(self, offset: int, size: int) -> bytes:
        """Whole lines from `offset` on: as many as fit into `size` bytes, and at least one, however long.

        Empty at the end. Raises OSError, also where the file ends too early.
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
        """Close the file."""
        self._reader.close()


class IncomingSnapshot(_Unfinished):
    """A snapshot that comes from the leader in pieces."""

    def __init__(self, disk: Disk, index: int, term: int) -> None:
        """Begin the file of the snapshot that ends at that entry. Raises OSError, and then leaves nothing behind."""
        name = snapshot_name(index, term)
        super().__init__(disk, name, f"incoming-{name}{TEMPORARY}")
        self._index = index
        self._term = term
        self._header: SnapshotHeader | None = None
        self.received = 0
        """How many bytes have come, without a gap."""

    def append(self, offset: int, data: bytes) -> int:
        """Write a piece, unless there is a gap before it. Return how many bytes have come. Raises OSError."""
        if offset <= self.received < offset + len(data):
            self._write(data[self.received - offset :])
            self.received = offset + len(data)
        return self.received

    def verify(self) -> Iterator[None]:
        """Read and check the whole file, yielding between the parts. Raises Damaged, UnknownFormat, OSError."""
        reader = self._disk.reader(self._temporary)
        try:
            scan = _Scan(self._name, reader)
            header = scan.header()
            place = header.last_included_index, header.last_included_term
            if place != (self._index, self._term):
                raise Damaged(self._name, 0, f"it says that it ends at entry {place[0]} of term {place[1]}")
            yield from scan.load(header, _ignore)
            self._header = header
        finally:
            reader.close()

    def finish(self) -> Snapshot:
        """Give the file its name, once it is verified; it is synced when this returns. Raises OSError."""
        assert self._header is not None, "it has not been verified"
        self._give_name()
        return Snapshot(self._name, self._header, self.received)


def newest(disk: Disk) -> Snapshot | None:
    """The newest snapshot of the folder, if there is one. Raises Damaged, UnknownFormat, OSError."""
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


def load_snapshot(disk: Disk, snapshot: Snapshot, load: Load) -> Iterator[None]:
    """Hand all lines to `load`, yielding between the parts. The file is verified only once this is exhausted.

    Raises Damaged, UnknownFormat, OSError.
    """
    reader = disk.reader(snapshot.name)
    try:
        scan = _Scan(snapshot.name, reader)
        yield from scan.load(scan.header(), load)
    finally:
        reader.close()


def verify_snapshot(disk: Disk, snapshot: Snapshot) -> None:
    """Read and check the whole file. Raises Damaged, UnknownFormat, OSError."""
    for _ in load_snapshot(disk, snapshot, _ignore):
        pass


def _ignore(section: str, lines: Sequence[bytes]) -> None:
    """Load nothing."""


def remove_older(disk: Disk, than: Snapshot) -> None:
    """Remove the snapshots that `than` has replaced. Raises OSError: it may be tried again."""
    for name in snapshot_names(disk):
        if name < than.name:
            disk.remove(name)


class _Scan:
    """One reading of a file, from its beginning to its end."""

    def __init__(self, name: str, reader: Reader) -> None:
        self._name = name
        self._reader = reader
        self._offset = 0
        """The offset of the next line."""
        self._read = 0
        self._rest = b""

    def header(self) -> SnapshotHeader:
        """Read the first line."""
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

    def load(self, header: SnapshotHeader, load: Load) -> Iterator[None]:
        """Hand all lines between the first and the last to `load`; the last vouches for the others."""
        sections = _Sections(header.sections)
        count = 0
        last: bytes | None = None
        while block := self._block():
            lines = block.split(b"\n")
            lines.pop()
            if not self._rest and self._read >= self._reader.size:
                last = lines.pop()
                block = block[: len(block) - len(last) - 1]
            self._checksum = zlib.crc32(block, self._checksum)
            count += len(lines)
            self._load(sections, lines, load)
            self._offset += len(block)
            yield
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
        if header.lines != count:
            raise Damaged(self._name, 0, f"it says that it has {contents(header.sections)}, and has {count}")

    def _load(self, sections: _Sections, lines: list[bytes], load: Load) -> None:
        try:
            for section, part in sections.deal(lines):
                load(section, part)
        except ValueError as error:
            raise Damaged(self._name, self._offset, str(error)) from None

    def _line(self) -> bytes | None:
        """The next line, without its newline; None at the end."""
        block = self._block()
        if not block:
            return None
        line, _, rest = block.partition(b"\n")
        self._rest = rest + self._rest
        return line

    def _block(self) -> bytes:
        """The next whole lines; a long line is put together once."""
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


class _Sections:
    """Deals lines out to the sections, in their order."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._left = list(counts.items())[::-1]

    def deal(self, lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
        """Yield the name of each section in these lines, with its lines; lines beyond the last section are left out."""
        while lines and self._left:
            section, left = self._left.pop()
            if left > len(lines):
                self._left.append((section, left - len(lines)))
            yield section, lines[:left]
            lines = lines[left:]


def _decode_last(line: bytes) -> SnapshotEnd:
    """Read the last line, which counts the others. Raises BadLine."""
    try:
        return decode_end(line)
    except BadLine:
        raise BadLine("its end is missing or damaged: its last line does not vouch for the others") from None


def _difference(written: SnapshotEnd, found: SnapshotEnd) -> str:
    """How a snapshot differs from what its last line says, for people."""
    if written.lines != found.lines:
        return _counts_differ("lines", written.lines, found.lines)
    if written.bytes != found.bytes:
        return _counts_differ("bytes", written.bytes, found.bytes)
    return f"its bytes have changed: their checksum was {written.checksum}, and is {found.checksum}"


def _counts_differ(of: str, written: int, found: int) -> str:
    return f"the {of} before its last line: {written} when it was written, {found} now"


def _check_end(name: str, reader: Reader) -> None:
    """Check that the last line is there and fits the file's size; all else is checked when the file is read."""
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
