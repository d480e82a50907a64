"""The log on disk: segments that grow at the end, and the reading of them at start."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Sequence
from typing import Final

import msgspec

from trioraft.raft.messages import Entry, HardState
from trioraft.raft.runs import Entries
from trioraft.storage import records
from trioraft.storage.disk import Disk, File, write_aside
from trioraft.storage.errors import Damaged, UnknownFormat
from trioraft.storage.records import Header, Mark
from trioraft.wire.codec import BadLine
from trioraft.wire.entries import UnknownKind, parse

SEGMENT_BYTES: Final = 64 * 1024 * 1024
ROOM_BYTES: Final = 128 * 1024
"""How many bytes of blank lines are written ahead. Within them a sync concerns the data alone. Where a file grows, a
sync takes half as long again, and waits for the other files of the disk."""
PART_BYTES: Final = 4 * 1024 * 1024
"""A longer batch is written and synced in parts of this many bytes, which tells a slow disk from one that hangs."""
_NAME: Final = re.compile(r"log-(\d{8})\.jsonl")


class Recovered(msgspec.Struct):
    """The content of a log after it was opened: all of it is on the disk itself."""

    hard_state: HardState
    entries: list[Entry]
    notices: list[str]
    """Sentences for people: what was cut, and where."""
    base_index: int = 0
    """The index before the first entry; that entry was compacted away, or came with a snapshot."""
    base_term: int = 0


class SegmentedLog:
    """The log of one folder. One thread at a time may use it, but for `compact`. After an OSError it is broken."""

    def __init__(self, disk: Disk, folder: str, segment_bytes: int, scan: _Scan) -> None:
        """Continue where the scan ended. Use `open` to make one."""
        self._disk = disk
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._number = scan.number
        self._file: File = disk.open(segment_name(scan.number))
        self._size = self._room_end = scan.end
        """Where the written data ends, and where the room ahead of it ends."""
        self._hard_state = scan.hard_state
        self._last_index, self._last_term = scan.last
        self._segments = scan.segments
        """For each segment, oldest first: its number, and the last index before it."""
        self._removing = threading.Lock()
        self._rotation_due = False
        self.bytes_written = 0
        """The bytes of all batches since the log was opened."""
        self.moved = False
        """Set whenever a part of a long batch is on the disk; another thread sees it and clears it."""
        self.marked = False
        """Whether a mark vouches for everything that was written."""
        self._broken = False

    @classmethod
    def create(cls, disk: Disk, folder: str, index: int = 0, term: int = 0) -> None:
        """Make an empty log that continues after that entry; it is on the disk itself when this returns."""
        _create_segment(disk, Header(1, records.FORMAT, folder, index, term), HardState(term))

    @classmethod
    def open(
        cls,
        disk: Disk,
        folder: str,
        segment_bytes: int = SEGMENT_BYTES,
        snapshot: tuple[int, int] = (0, 0),
    ) -> tuple[SegmentedLog, Recovered]:
        """Read the log, mend its unsynced end, and continue it.

        `snapshot` is the index and term of the last entry in the folder's snapshot. The log continues from there, or
        the snapshot supersedes it. Raises Damaged or UnknownFormat, with nothing changed; OSError.
        """
        scan = _Scan(disk, folder, snapshot)
        log = cls(disk, folder, segment_bytes, scan)
        try:
            log._settle(scan)
            if scan.superseded:
                log.reset(*snapshot)
        except OSError:
            log.close()
            raise
        base = snapshot if scan.superseded else scan.base
        entries = [] if scan.superseded else scan.entries
        return log, Recovered(scan.hard_state, entries, scan.notices, *base)

    def write(self, hard_state: HardState, entries: Sequence[Entry]) -> None:
        """Append a batch; it is on the disk itself when this returns. Raises OSError; the log is broken then."""
        self._guard()
        batch = Entries.of(entries)
        if batch and batch.first_index > self._last_index + 1:
            raise ValueError(f"entry {batch.first_index} does not follow {self._last_index}")
        self._broken = True  # until the whole batch has succeeded: a failed sync is never tried again
        if self._size >= self._segment_bytes or self._rotation_due:
            self._rotate()
        mark = records.seal(self._mark_of(hard_state))
        data = b"".join([mark, b"\n", *[run.data for run in batch.runs]])
        self._append(data, min(ROOM_BYTES, self._segment_bytes // 4))
        self._file.sync()
        self.bytes_written += len(data)
        self._hard_state = hard_state
        if batch:
            self._last_index, self._last_term = batch.last_index, batch.last_term
        self.marked = False
        self._broken = False

    def mark(self) -> None:
        """Vouch for everything that was written, when idle and at stop: later damage to it will be known as damage."""
        if not self.marked and not self._broken:
            self.write(self._hard_state, ())
            self.marked = True

    def rotate_next(self) -> None:
        """Let the next batch begin a new segment, because a snapshot is being taken of everything before it."""
        self._rotation_due = True

    def compact(self, index: int) -> None:
        """Remove the segments that hold nothing beyond `index`, which a snapshot includes.

        This is slow; another thread may write to the log meanwhile. Raises OSError; the log is still good then, and
        the call may be repeated.
        """
        with self._removing:
            while len(self._segments) > 1 and self._segments[1][1] <= index:
                self._remove_oldest()

    def reset(self, index: int, term: int) -> None:
        """Empty the log, to continue after that entry: a snapshot that ends there is on the disk. Raises OSError."""
        self._guard()
        self._broken = True
        self._last_index, self._last_term = index, term
        self._begin_segment(base=True)
        with self._removing:
            while len(self._segments) > 1:
                self._remove_oldest()
        self._broken = False

    def close(self) -> None:
        """Close the file, and cut the room at its end unless the log is broken."""
        if not self._broken:
            self._broken = True
            with contextlib.suppress(OSError):  # the blank lines do no harm
                self._file.truncate(self._size)
        self._file.close()

    def _guard(self) -> None:
        if self._broken:
            raise OSError(5, "the log is broken by an earlier error, or closed")

    def _append(self, data: bytes, room: int) -> None:
        """Write at the end of the data. Where the file has to grow, let it grow by `room` more bytes."""
        end = self._size + len(data)
        if end > self._room_end:
            blanks = b"\n" * room if len(data) < room else b""  # not worth it for a large batch
            data += blanks
            self._room_end = end + len(blanks)
        for begin in range(0, len(data), PART_BYTES):
            self._file.write_at(self._size + begin, data[begin : begin + PART_BYTES])
            if len(data) > PART_BYTES:
                self._file.sync()
                self.moved = True
        self._size = end

    def _rotate(self) -> None:
        self._rotation_due = False
        self._begin_segment(base=False)

    def _begin_segment(self, base: bool) -> None:
        header = Header(self._number + 1, records.FORMAT, self._folder, self._last_index, self._last_term, base)
        _create_segment(self._disk, header, self._hard_state)
        if not base:
            # The old segment names its successor, so that a missing newest segment is noticed.
            self._append(records.seal(self._mark_of(self._hard_state, self._number + 1)) + b"\n", 0)
            self._file.truncate(self._size)
            self._file.sync()
        self._file.close()
        self._number += 1
        self._segments.append((self._number, self._last_index))
        name = segment_name(self._number)
        self._file = self._disk.open(name)
        self._size = self._room_end = len(self._disk.read(name))

    def _remove_oldest(self) -> None:
        """Remove one segment for good, before the next: after a crash at any moment the rest has no hole."""
        with contextlib.suppress(FileNotFoundError):  # an earlier try may have failed after this step
            self._disk.remove(segment_name(self._segments[0][0]))
        self._disk.sync_folder()
        del self._segments[0]

    def _mark_of(self, hard_state: HardState, next: int | None = None) -> Mark:
        return Mark(self._last_index, hard_state.term, hard_state.voted_for, next)

    def _settle(self, scan: _Scan) -> None:
        """Write and sync again what follows the last mark: a killed process may have left it in memory alone."""
        self._file.write_at(scan.mark_at, scan.tail)
        self._file.truncate(scan.end)
        self._file.sync()
        self.write(scan.hard_state, ())
        self.marked = True


class _Scan:
    """One reading of all segments, the oldest first. Raises Damaged, UnknownFormat, OSError."""

    def __init__(self, disk: Disk, folder: str, snapshot: tuple[int, int]) -> None:
        self.entries: list[Entry] = []
        self.base = (0, 0)
        """The index and the term of the entry before the first one."""
        self.superseded = False
        """Whether the snapshot replaces the whole log."""
        self.segments: list[tuple[int, int]] = []
        self.notices: list[str] = []
        self.hard_state = HardState()
        self.number = 0
        self.mark_at = 0
        """The offset of the last mark in the last segment."""
        self.end = 0
        """The offset at which the intact part of the last segment ends."""
        self.tail = b""
        """The bytes from `mark_at` to `end`."""
        self._folder = folder
        self._snapshot_index = snapshot[0]
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
        if self.base[0] > snapshot[0]:
            why = f"it goes on from entry {self.base[0]}, and there is no snapshot up to there"
            raise Damaged(segment_name(numbers[0]), 0, why)
        self.superseded = self._term_at(snapshot[0]) != snapshot[1]

    @property
    def last(self) -> tuple[int, int]:
        """The index and the term of the newest entry."""
        return (self.entries[-1].index, self.entries[-1].term) if self.entries else self.base

    def _term_at(self, index: int) -> int | None:
        if index == self.base[0]:
            return self.base[1]
        return self.entries[index - self.base[0] - 1].term if index <= self.last[0] else None

    def _read_segment(self, name: str, number: int, data: bytes, newest: bool) -> None:
        self._name = name
        self.number = number
        data = data.rstrip(b"\n") + b"\n" if data.endswith(b"\n\n") else data  # the blank lines at the end are room
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
        place = (header.last_index, header.last_term)
        if header.base or not self.segments:
            # It is the oldest segment that is left, or a snapshot has replaced those before it.
            self.entries, self.base, self._doubt = [], place, None
        elif place != self.last:
            if self._doubt is not None:
                raise self._doubt
            raise Damaged(name, 0, f"it goes on from {header.last_index}, and what is there ends at {self.last[0]}")
        self.segments.append((number, header.last_index))
        if self._doubt is not None:
            self.notices.append(f"{self._doubt.message}: only the line that leads on to {name}, and nothing is lost")
            self._doubt = None
        return end + 1

    def _take_mark(self, mark: Mark, offset: int) -> None:
        if mark.synced != self.last[0]:
            raise BadLine(f"it says that {mark.synced} was synced, and the log ends at {self.last[0]}")
        if mark.term < self.hard_state.term:
            raise BadLine(f"its term {mark.term} is below {self.hard_state.term}")
        self.hard_state = mark.hard_state
        self.mark_at = offset
        self._next = mark.next

    def _take_entry(self, line: bytes) -> None:
        entry = parse(line)
        base = self.base[0]
        if entry.index > self.last[0] + 1:
            raise BadLine(f"entry {entry.index} follows {self.last[0]}")
        if entry.index <= min(base, self._snapshot_index) and entry.term <= self.hard_state.term:
            # It once replaced entries in a segment that is gone. It was committed, and the snapshot includes it.
            self.entries, self.base = [], (entry.index, entry.term)
            return
        position = entry.index - base - 1
        if position < 0:
            raise BadLine(f"entry {entry.index} comes before {base}, where the log begins")
        before = self.entries[position - 1].term if position else self.base[1]
        if not before <= entry.term <= self.hard_state.term:
            raise BadLine(f"entry {entry.index} has term {entry.term}, between {before} and {self.hard_state.term}")
        del self.entries[position:]
        self.entries.append(entry)

    def _judge_damage(self, name: str, data: bytes, offset: int, reason: str, marked: bool, newest: bool) -> None:
        """Raise Damaged where a later mark vouches for the damaged part; else cut it, and say so."""
        if not marked or _has_mark(data[offset:]):
            raise Damaged(name, offset, reason)
        if not newest:
            # Perhaps only the line that names the successor is damaged. The successor was made first: it will tell.
            self._doubt = Damaged(name, offset, reason)
            return
        self.notices.append(
            f"{name}: cut {len(data) - offset} bytes from offset {offset} on ({reason}): "
            "they were being written when the node stopped, and nothing had been promised on them. If the disk has "
            "damaged them since, the others know what is missing, and refuse this node"
        )


def segment_name(number: int) -> str:
    """The file name of a segment."""
    return f"log-{number:08d}.jsonl"


def segment_numbers(disk: Disk) -> list[int]:
    """The numbers of the segments in a folder, in order."""
    return sorted(int(match[1]) for name in disk.names() if (match := _NAME.fullmatch(name)))


def _create_segment(disk: Disk, header: Header, hard_state: HardState) -> None:
    """Make a segment with its header and a first mark. A file of that name always has both."""
    mark = Mark(header.last_index, hard_state.term, hard_state.voted_for)
    write_aside(disk, segment_name(header.segment), records.seal(header) + b"\n" + records.seal(mark) + b"\n")


def _has_mark(data: bytes) -> bool:
    """Whether an intact mark stands anywhere in `data`, even within a line: a newline can be damaged too."""
    at = data.find(records.MARK_START)
    while at >= 0 and (end := data.find(b"\n", at)) >= 0:
        try:
            records.parse_mark(data[max(0, at - records.CRC_BYTES) : end])
        except BadLine:
            at = data.find(records.MARK_START, at + 1)
        else:
            return True
    return False
