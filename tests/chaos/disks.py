"""The control of a node's disk: a page of memory, shared by harness and node, with the faults and what was synced.

The node's side is `faulty_node`. The page remembers how much of every segment has been synced, so a kill can be made a
power cut: the bytes written after the last sync are then torn off the files, in part or whole.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
from pathlib import Path
from random import Random
from typing import Self

_BYTES = 4096
_DELAY_LOW, _DELAY_HIGH, _SYNC_ERROR, _WRITE_ERROR, _RAISED, _LIES = range(6)
_SYNCED = 16
_SEGMENT = re.compile(r"log-(\d{8})\.jsonl(?:\.tmp)?")


def end_of_content(data: bytes) -> int:
    """The end of a segment's data; the room behind it is blank lines."""
    return min(len(data), len(data.rstrip(b"\n")) + 1)


class DiskControl:
    """The numbers that both sides read and write; each is stored at once."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _BYTES)
            self._map = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        self._numbers = memoryview(self._map).cast("q")

    def close(self) -> None:
        self._numbers.release()
        self._map.close()

    # The harness

    def slow(self, low: float, high: float) -> None:
        """Let each sync take that many seconds longer."""
        self._numbers[_DELAY_LOW] = int(low * 1e6)
        self._numbers[_DELAY_HIGH] = int(high * 1e6)

    def fail_syncs(self, code: int = errno.EIO) -> None:
        self._numbers[_SYNC_ERROR] = code

    def fail_writes(self, code: int = errno.EIO) -> None:
        self._numbers[_WRITE_ERROR] = code

    def lie(self) -> None:
        """Let syncs from now on do nothing and claim success."""
        self._numbers[_LIES] = 1

    def heal(self) -> None:
        for field in (_DELAY_LOW, _DELAY_HIGH, _SYNC_ERROR, _WRITE_ERROR):
            self._numbers[field] = 0

    def forget(self) -> None:
        """Note that a new process begins, in which no error has been raised."""
        self._numbers[_RAISED] = 0

    @property
    def fails(self) -> bool:
        return bool(self._numbers[_SYNC_ERROR] or self._numbers[_WRITE_ERROR])

    @property
    def raised(self) -> int:
        """How many errors the present process got that must end it."""
        return self._numbers[_RAISED]

    def cut_power(self, folder: Path, random: Random) -> int:
        """Tear unsynced bytes off a dead node's segments, like a power cut. Return how many bytes were torn off."""
        lost = 0
        for path in sorted(folder.glob("log-*.jsonl")):
            slot = self.slot(path.name)
            assert slot is not None
            data = path.read_bytes()
            synced, end = self.synced(slot), end_of_content(data)
            if synced >= end:
                continue
            # Where nothing at all was synced, the node would notice holes, but not a missing end.
            keep = synced if self.lies else random.choice((synced, random.randint(synced, end), end))
            with path.open("r+b") as file:
                if end < len(data) and not self.lies:  # it was written into room that was on the disk before
                    file.seek(keep)
                    file.write(b"\n" * (end - keep))
                else:
                    file.truncate(keep)
                if keep > synced and random.random() < 0.5:
                    hole = random.randrange(synced, keep)  # the size reached the disk, but these bytes did not
                    file.seek(hole)
                    file.write(random.choice((b"\0", b"\n")) * (random.randint(hole + 1, keep) - hole))
            lost += end - synced
        return lost

    # The node

    def slot(self, name: str) -> int | None:
        """The slot for how much of that file has been synced; None for a file that is no segment."""
        match = _SEGMENT.fullmatch(name)
        return None if match is None else _SYNCED + int(match[1])

    def synced(self, slot: int) -> int:
        return self._numbers[slot]

    def note_synced(self, slot: int | None, size: int) -> None:
        if slot is not None:
            self._numbers[slot] = size

    def note_truncated(self, slot: int | None, size: int) -> None:
        if slot is not None:
            self._numbers[slot] = min(self._numbers[slot], size)

    def error_of_sync(self, name: str) -> int:
        return self._count(self._numbers[_SYNC_ERROR], name)

    def error_of_write(self, name: str) -> int:
        return self._count(self._numbers[_WRITE_ERROR], name)

    def delay(self, random: Random) -> float:
        """How many seconds the next sync is held up."""
        low, high = self._numbers[_DELAY_LOW], self._numbers[_DELAY_HIGH]
        return random.uniform(low, high) / 1e6 if high else 0.0

    @property
    def lies(self) -> bool:
        return bool(self._numbers[_LIES])

    def _count(self, code: int, name: str) -> int:
        if code and "snapshot" not in name:  # that failure ends no node
            self._numbers[_RAISED] += 1
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
