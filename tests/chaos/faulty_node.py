"""A node on a disk that obeys the harness: `python -m tests.chaos.faulty_node CONTROL node INDEX SERVERS ...`.

Everything is the real node, except the files beneath its storage.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from random import Random

from trioraft_cli.main import run

from trioraft.storage import disk

from .disks import DiskControl, end_of_content


def install(control: DiskControl) -> None:
    """Replace the real files with files that obey the control."""
    random = Random()

    class FaultyFile(disk.RealFile):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self._slot = control.slot(path.name)
            self._end = end_of_content(path.read_bytes())
            """The end of the written data; the room behind it may be lost."""

        def write_at(self, offset: int, data: bytes) -> None:
            if code := control.error_of_write(self._path.name):
                os.pwrite(self._descriptor, data[: random.randrange(len(data) + 1)], offset)
                raise OSError(code, os.strerror(code), str(self._path))
            super().write_at(offset, data)
            self._end = max(self._end, offset + end_of_content(data))

        def truncate(self, size: int) -> None:
            super().truncate(size)
            self._end = min(self._end, size)
            control.note_truncated(self._slot, size)

        def sync(self) -> None:
            if seconds := control.delay(random):
                time.sleep(seconds)
            if code := control.error_of_sync(self._path.name):
                self._lose_what_was_not_synced()
                raise OSError(code, os.strerror(code), str(self._path))
            if control.lies:
                return
            end = self._end
            super().sync()
            control.note_synced(self._slot, end)

        def _lose_what_was_not_synced(self) -> None:
            """Drop the unsynced pages, as the system may do after a failed sync: reads then show what the disk has."""
            if self._slot is not None and random.random() < 0.5:
                synced = control.synced(self._slot)
                if synced < self._end:
                    os.ftruncate(self._descriptor, random.randint(synced, self._end))

    disk.RealFile = FaultyFile  # type: ignore[misc]


def main() -> int:
    control = DiskControl(Path(sys.argv.pop(1)))
    install(control)
    return run()


if __name__ == "__main__":
    sys.exit(main())
