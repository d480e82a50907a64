"""A backup: a snapshot in a file that the user names; that file may be a link, a device or a pipe."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from trioraft.storage.disk import RealDisk, sync_folder
from trioraft.storage.errors import Damaged, StorageError
from trioraft.storage.snapshots import Snapshot, open_snapshot, verify_snapshot

_PART: Final = re.compile(r"\.trioraft-backup-[0-9a-f]{16}\.part")
_BEGINNING: Final = b'{"crc":"'
"""How every backup begins: its first line is sealed."""
_COMPRESSED: Final = {
    b"\x1f\x8b": ("gzip", "zcat"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstdcat"),
    b"\xfd7zXZ": ("xz", "xzcat"),
    b"BZh": ("bzip2", "bzcat"),
    b"\x04\x22\x4d\x18": ("lz4", "lz4cat"),
    b"PK": ("zip", "unzip -p"),
}
"""How compressed files begin, the name of the format, and the program that unpacks it."""
_STALE_SECONDS: Final = 60
"""An unfinished file of this age that nobody holds was left by a process that is gone."""


def save_backup(pieces: Iterable[bytes], file: Path) -> Snapshot:
    """Write a snapshot that comes in pieces to a file, and check it. Raises StorageError, OSError.

    The file is written aside, and gets its name when it is whole and synced; until then, the file that it replaces is
    untouched. Of a link, the file that it leads to is replaced. The backup is copied into a device or a pipe once it is
    whole.
    """
    try:
        if is_stream(file):
            return _copy(pieces, file)
        return _replace(pieces, Path(os.path.realpath(file)))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None  # the user's name for the file, not the part's


def is_stream(file: Path) -> bool:
    """Whether that name stands for something that is written into, and not replaced."""
    if file.parent in (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd")):
        return file.exists()
    return file.exists() and not file.is_file() and not file.is_dir()


@contextmanager
def readable_backup(file: Path) -> Iterator[Path]:
    """The backup as a file that can be read at any offset: a pipe is copied to a file, which is removed afterwards.

    A file that does not begin as a backup does is refused. Raises StorageError, OSError.
    """
    with file.open("rb") as source:
        beginning = source.read(len(_BEGINNING))
        _check_beginning(file, beginning)
        if not is_stream(file):
            yield file
            return
        with tempfile.TemporaryDirectory(prefix="trioraft-restore-") as folder:
            copy = Path(folder, "backup")
            try:
                with copy.open("wb") as out:
                    out.write(beginning)
                    shutil.copyfileobj(source, out)
            except OSError as error:
                raise StorageError(
                    f"{file} cannot be copied to {folder}: {error.strerror}",
                    "write it to a file on a disk that has room, and restore that; nothing was touched",
                ) from None
            yield copy


def _check_beginning(file: Path, beginning: bytes) -> None:
    if not beginning:
        raise StorageError(f"{file} is empty", "use another one; nothing was touched")
    for start, (name, program) in _COMPRESSED.items():
        if beginning.startswith(start):
            raise StorageError(
                f"{file} is compressed with {name}",
                f"unpack it on the way: '{program} FILE | trioraft restore /dev/stdin ...'; nothing was touched",
            )
    if not _BEGINNING.startswith(beginning):
        raise StorageError(
            f"{file} is no backup: it does not begin with a checksum", "use another one; nothing was touched"
        )


def _replace(pieces: Iterable[bytes], file: Path) -> Snapshot:
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    _remove_stale(file.parent)
    with _part(file.parent) as (part, out):
        snapshot = _write(pieces, part, out)
        out.flush()
        os.fsync(out.fileno())
        if file.exists():
            old = file.stat()
            if os.geteuid() == 0:
                os.fchown(out.fileno(), old.st_uid, old.st_gid)
            os.fchmod(out.fileno(), stat.S_IMODE(old.st_mode))
        os.rename(part, file)
    sync_folder(file.parent)
    return snapshot


def _copy(pieces: Iterable[bytes], file: Path) -> Snapshot:
    with tempfile.TemporaryDirectory(prefix="trioraft-backup-") as folder, _part(Path(folder)) as (part, out):
        snapshot = _write(pieces, part, out)
        with part.open("rb") as whole, file.open("wb", buffering=0) as stream:
            shutil.copyfileobj(whole, stream)
    return snapshot


@contextmanager
def _part(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new file, locked while it is written, and removed afterwards unless it got another name."""
    part = folder / f".trioraft-backup-{secrets.token_hex(8)}.part"
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as out:
            fcntl.flock(out.fileno(), fcntl.LOCK_EX)
            yield part, out
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)


def _write(pieces: Iterable[bytes], part: Path, out: IO[bytes]) -> Snapshot:
    """Write all pieces, and verify the file. Raises StorageError, OSError."""
    for piece in pieces:
        out.write(piece)
    out.flush()
    disk = RealDisk(part.parent)
    try:
        snapshot = open_snapshot(disk, part.name)
        verify_snapshot(disk, snapshot)
    except Damaged as error:
        raise StorageError(f"the backup did not arrive whole: {error.reason}", "try again") from None
    return snapshot


def _remove_stale(folder: Path) -> None:
    """Remove the files that killed processes left."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if _PART.fullmatch(name):
                _remove_if_stale(folder / name)


def _remove_if_stale(part: Path) -> None:
    with suppress(OSError), part.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - part.stat().st_mtime > _STALE_SECONDS:
            part.unlink()
