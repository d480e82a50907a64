"""The errors of a data folder, in words for the person who has to do something about them."""

from __future__ import annotations

import errno
from typing import Final

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The system's error numbers where a file cannot grow: the disk is full, or a quota or a limit is reached."""
TOO_MANY_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""The system's error numbers where too many files are open; no disk is to blame."""
MORE_FILES: Final = "start the node with a higher limit of open files (ulimit -n)"
_NOT_WRITABLE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def describe(error: OSError) -> str:
    """Say what failed, for people: the file, and the system's words."""
    why = error.strerror or str(error)
    return f"{error.filename}: {why}" if error.filename else why


def disk_hint(error: OSError) -> str:
    """Say what to do about a disk error of a node whose folder is there, and which stays as it is."""
    if error.errno in NO_ROOM:
        return "make room on that disk, and start the node again with the same folder: nothing acknowledged is lost"
    if error.errno in TOO_MANY_FILES:
        return f"{MORE_FILES}, and with the same folder: nothing acknowledged is lost"
    if error.errno in _NOT_WRITABLE:
        return "make the folder writable for this user, and start the node again with the same folder"
    return (
        "see to the disk, as the system's log says more; then start the node again with the same folder. "
        "The other nodes go on while they are a majority"
    )


class StorageError(Exception):
    """The folder cannot be used. `message` says what is wrong, `hint` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Damaged(StorageError):
    """Data that was synced is missing or changed."""

    def __init__(self, file: str, offset: int, reason: str) -> None:
        super().__init__(
            f"{file} is damaged at offset {offset}: {reason}",
            "this node's disk has lost what it had promised to keep, so it must not vote, neither with this folder, "
            "which may be kept for inspection, nor with an older copy. The other nodes have its data and go on while "
            "they are a majority: say 'trioraft members remove' with its id and 'trioraft members add ADDRESS', and "
            "start it with the new id and an empty folder",
        )
        self.file = file
        self.offset = offset
        self.reason = reason


class UnknownFormat(StorageError):
    """The folder was written by a newer version; nothing was touched."""

    def __init__(self, file: str, format: object) -> None:
        super().__init__(f"{file} has format {format}, which this version does not know", "upgrade this node")
        self.format = format


class FolderLocked(StorageError):
    """Another process runs on the folder."""


class WrongNode(StorageError):
    """The folder belongs to another node."""
