"""The folder of a demo, which goes with it; that of one which was killed goes with the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX: Final = "trioraft-demo-"
_LOCK: Final = "lock"
"""The file that a demo keeps locked while it lives."""


@contextlib.contextmanager
def demo_folder() -> Iterator[Path]:
    """A new folder, which is removed at the end. Raises OSError where there is none to be had."""
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        unlocked = folder / f"{_LOCK}-to-be"
        with unlocked.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unlocked.rename(folder / _LOCK)  # nobody finds it unlocked
            yield folder


def _sweep(parent: Path) -> None:
    """Remove the folders of this user's demos that were killed: what they have locked is free."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
