"""The log on disk: segments that grow at the end, and what is made of them at start."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from trioraft.raft.messages import Entry, HardState
from trioraft.storage import records
from trioraft.storage.disk import TEMPORARY, Disk, File, write_aside
from trioraft.storage.errors import Damaged, UnknownFormat
from trioraft.storage.records import Header, Mark
from trioraft.wire.codec import BadLine
from trioraft.wire.entries import UnknownKind, parse

SEGMENT_BYTES: Final = 64 * 1024 * 1024
_NAME: Final = re.compile(r"log-(\d{8})\.jsonl")


class Recovered(msgspec.Struct):
    """What a log held: all of it is on the disk itself by now."""

    hard_state: HardState
    entries: list[Entry]
    notices: list[str]
    """What a person should know of it: what was cut, and where."""


class SegmentedLog:
    """The log of one folder. One thread at a time; after an OSError it takes nothing more."""

    def __init__(self, disk: Disk, folder: str, segment_bytes: int, scan: _Scan) -> None:
        """Go on where the scan ended; `open` is the way to make one."""
        self._disk = disk
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._number = scan.number
        self._file: File = disk.open(segment_name(scan.number))
        self._size = scan.end
        self._hard_state = scan.hard_state
        self._last_index = len(scan.entries)
        self._last_term = scan.entries[-1].term if scan.entries else 0
        self.marked = False
        """Whether a mark vouches for all that was written."""
        self._broken = False

    @classmethod
    def create(cls, disk: Disk, folder: str) -> None:
        """Make an empty log, on the disk itself when this returns."""
        _create_segment(disk, Header(1, records.FORMAT, folder, 0, 0), HardState())

    @classmethod
    def open(cls, disk: Disk, folder: str, segment_bytes: int = SEGMENT_BYTES) -> tuple[SegmentedLog, Recovered]:
        """Read the log, mend its unsynced end, and go on with it.

        Raises Damaged or UnknownFormat, and then has changed nothing; OSError.
        """
        scan = _Scan(disk, folder)
        for name in disk.names():
            if name.endswith(TEMPORARY):
                disk.remove(name)
        log = cls(disk, folder, segment_bytes, scan)
        try:
            log._settle(scan)
        except OSError:
            log.close()
            raise
        return log, Recovered(scan.hard_state, scan.entries, scan.notices)

    def write(self, hard_state: HardState, entries: Sequence[Entry]) -> None:
        """Append a batch; when this returns it is on the disk itself. Raises OSError: then the log is broken."""
        self._guard()
        self._broken = True  # until all of this has succeeded: a failed sync is never tried again
        if self._size >= self._segment_bytes:
            self._rotate()
        mark = records.seal(self._mark_of(hard_state))
        data = b"\n".join([mark, *[entry.line for entry in entries], b""])
        self._file.append(data)
        self._file.sync()
        self._size += len(data)
        self._hard_state = hard_state
        if entries:
            self._last_index, self._last_term = entries[-1].index, entries[-1].term
        self.marked = False
        self._broken = False

    def mark(self) -> None:
        """Vouch for all that was written: done when idle and at stop, so that damage to it will be known as such."""
        if not self.marked and not self._broken:
            self.write(self._hard_state, ())
            self.marked = True

    def close(self) -> None:
        """Close the file."""
        self._broken = True
        self._file.close()

    def _guard(self) -> None:
        if self._broken:
            raise OSError(5, "the log is broken by an earlier error, or closed")

    def _rotate(self) -> None:
        header = Header(self._number + 1, records.FORMAT, self._folder, self._last_index, self._last_term)
        _create_segment(self._disk, header, self._hard_state)
        # The old one says that it has a successor, so that the newest segment cannot be missed unnoticed.
        self._file.append(records.seal(self._mark_of(self._hard_state, self._number + 1)) + b"\n")
        self._file.sync()
        self._file.close()
        self._number += 1
        name = segment_name(self._number)
        self._file = self._disk.open(name)
        self._size = len(self._disk.read(name))

    def _mark_of(self, hard_state: HardState, next: int | None = None) -> Mark:
        return Mark(self._last_index, hard_state.term, hard_state.voted_for, next)

    def _settle(self, scan: _Scan) -> None:
        """Make sure of what follows the last mark: a killed process may have left it in memory alone."""
        self._file.write_at(scan.mark_at, scan.tail)
        self._file.truncate(scan.end)
        self._file.sync()
        self.write(scan.hard_state, ())
        self.marked = True


class _Scan:
    """One reading of all segments, oldest first."""

    def __init__(self, disk: Disk, folder: str) -> None:
        self.entries: list[Entry] = []
        self.notices: list[str] = []
        self.hard_state = HardState()
        self.number = 0
        self.mark_at = 0
        """Where the last mark begins, in the last segment."""
        self.end = 0
        """Where the last segment's intact part ends."""
        self.tail = b""
        """What stands from the one to the other."""
        self._folder = folder
        self._next: int | None = None
        self._doubt: Damaged | None = None
        numbers = segment_numbers(disk)
        if not numbers:
            raise Damaged(segment_name(1), 0, "the log is missing, and with it the votes of this node")
        for position, number in enumerate(numbers, numbers[0]):
            if number != position:
                raise Damaged(segment_name(position), 0, f"it is missing, and {segment_name(number)} is there")
        for number in numbers:
            self._read_segment(segment_name(number), number, disk.read(segment_name(number)), number == numbers[-1])

    def _read_segment(self, name: str, number: int, data: bytes, newest: bool) -> None:
        self._name = name
        self.number = number
        offset = self._read_header(name, number, data)
        marked = False
        reason = ""
        lines = data[offset:].split(b"\n")
        rest = lines.pop()
        for line in lines:
            try:
                if records.is_mark(line):
                    self._take_mark(records.parse_mark(line), offset)
                    marked = True
                elif not marked:
                    raise BadLine("a segment's second line is a mark")
                else:
                    self._take_entry(line)
            except UnknownKind as error:
                raise UnknownFormat(f"{name} at offset {offset}", error) from None
            except BadLine as error:
                reason = str(error)
                break
            offset += len(line) + 1
        if not reason and rest:
            reason = "the last line has no end"
        if newest and not reason and self._next is not None:
            raise Damaged(segment_name(self._next), 0, f"it is missing, and {name} says that the log goes on in it")
        if reason:
            self._judge_damage(name, data, offset, reason, marked, newest)
        self.end = offset
        self.tail = data[self.mark_at : offset]

    def _read_header(self, name: str, number: int, data: bytes) -> int:
        end = data.find(b"\n")
        try:
            if end < 0:
                raise BadLine("it has no complete line")
            header = records.parse_header(data[:end])
        except BadLine as error:
            raise Damaged(name, 0, str(error)) from None
        if isinstance(header, int):
            raise UnknownFormat(name, header)
        if header.segment != number:
            raise Damaged(name, 0, f"it says that it is segment {header.segment}")
        if header.folder != self._folder:
            raise Damaged(name, 0, f"it belongs to folder {header.folder}, not {self._folder}")
        last = (len(self.entries), self.entries[-1].term if self.entries else 0)
        if (header.last_index, header.last_term) != last:
            if self._doubt is not None:
                raise self._doubt
            raise Damaged(name, 0, f"it goes on from {header.last_index}, and what is there ends at {last[0]}")
        if self._doubt is not None:
            self.notices.append(f"{self._doubt.message}: only the line that leads on to {name}, and nothing is lost")
            self._doubt = None
        return end + 1

    def _take_mark(self, mark: Mark, offset: int) -> None:
        if mark.synced != len(self.entries):
            raise BadLine(f"it says that {mark.synced} was synced, and the log ends at {len(self.entries)}")
        if mark.term < self.hard_state.term:
            raise BadLine(f"its term {mark.term} is below {self.hard_state.term}")
        self.hard_state = mark.hard_state
        self.mark_at = offset
        self._next = mark.next

    def _take_entry(self, line: bytes) -> None:
        entry = parse(line)
        if entry.index > len(self.entries) + 1:
            raise BadLine(f"entry {entry.index} follows {len(self.entries)}")
        before = self.entries[entry.index - 2].term if entry.index > 1 else 0
        if not before <= entry.term <= self.hard_state.term:
            raise BadLine(f"entry {entry.index} has term {entry.term}, between {before} and {self.hard_state.term}")
        del self.entries[entry.index - 1 :]
        self.entries.append(entry)

    def _judge_damage(self, name: str, data: bytes, offset: int, reason: str, marked: bool, newest: bool) -> None:
        """Stop where a later mark vouches for what is damaged; else it is cut, and said."""
        if not marked or _has_mark(data[offset:]):
            raise Damaged(name, offset, reason)
        if not newest:
            # It may be the line that names the successor, which was made first: the successor's header will tell.
            self._doubt = Damaged(name, offset, reason)
            return
        self.notices.append(
            f"{name}: cut {len(data) - offset} bytes from offset {offset} on ({reason}): "
            "they were being written when the node stopped, and nothing had been promised on them"
        )


def segment_name(number: int) -> str:
    """The file name of that segment."""
    return f"log-{number:08d}.jsonl"


def segment_numbers(disk: Disk) -> list[int]:
    """The numbers of the segments that are there."""
    return sorted(int(match[1]) for name in disk.names() if (match := _NAME.fullmatch(name)))


def _create_segment(disk: Disk, header: Header, hard_state: HardState) -> None:
    """Make a segment with its header and a first mark: a file that has its name is intact so far."""
    mark = Mark(header.last_index, hard_state.term, hard_state.voted_for)
    write_aside(disk, segment_name(header.segment), records.seal(header) + b"\n" + records.seal(mark) + b"\n")


def _has_mark(data: bytes) -> bool:
    """Whether an intact mark stands anywhere in it, on a line of its own or not: a newline can be damaged too."""
    at = data.find(records.MARK_START)
    while at >= 0 and (end := data.find(b"\n", at)) >= 0:
        try:
            records.parse_mark(data[max(0, at - records.CRC_BYTES) : end])
        except BadLine:
            at = data.find(records.MARK_START, at + 1)
        else:
            return True
    return False
