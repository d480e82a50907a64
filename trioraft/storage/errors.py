"""What can be wrong with a folder, said to the person who has to do something about it."""

from __future__ import annotations


class StorageError(Exception):
    """The folder cannot be used: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Damaged(StorageError):
    """Something that was synced is not there as it was written."""

    def __init__(self, file: str, offset: int, reason: str) -> None:
        super().__init__(
            f"{file} is damaged at offset {offset}: {reason}",
            "this node's disk has lost what it had promised to keep, so it must not vote. Leave it stopped, and keep "
            "the folder for inspection: the other nodes have its data and go on while they are a majority. "
            "Do not start it with an older copy of the folder",
        )
        self.file = file
        self.offset = offset
        self.reason = reason


class UnknownFormat(StorageError):
    """The folder was written by a newer version; nothing was touched."""

    def __init__(self, file: str, format: object) -> None:
        super().__init__(f"{file} has format {format}, which this version does not know", "upgrade this node")


class FolderLocked(StorageError):
    """Another process runs on the folder."""


class WrongNode(StorageError):
    """The folder belongs to another node."""
