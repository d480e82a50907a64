"""The results of commands when they are applied."""

from __future__ import annotations

import msgspec


class Written(msgspec.Struct, frozen=True, gc=False):
    """The key has its value, and this revision."""

    rev: int


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """How many keys went, 0 or 1, and the revision that did it, 0 where there was nothing."""

    deleted: int
    rev: int


class Counted(msgspec.Struct, frozen=True, gc=False):
    """The integer at the key after the addition, and the key's revision."""

    value: int
    rev: int


class Conflict(msgspec.Struct, frozen=True, gc=False):
    """The key was not as the command wants it; it is as said here, and unchanged."""

    message: str
    hint: str
    rev: int
    value: bytes | None


Result = Written | Deleted | Counted | Conflict
