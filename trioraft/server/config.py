"""What a node is told at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from trioraft.addresses import Address

MAX_REQUEST_BYTES: Final = 1024 * 1024

CANNOT_START: Final = 1
"""The exit code of a node that cannot start where, or on what, it is told to, or meets what a newer version wrote."""
DISK_FAILED: Final = 74
"""That of a node that its disk has failed, at its start or later; 74 is what sysexits.h has for that."""


class StartError(Exception):
    """The node cannot start: what is wrong, what to do, and the exit code."""

    def __init__(self, message: str, hint: str, code: int = CANNOT_START) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class NodeOptions(msgspec.Struct, frozen=True):
    """One node: its position among the servers, the servers, its folder, and how it listens and logs."""

    index: int
    servers: list[Address | None]
    data_dir: Path
    listen: Address | None = None
    log_format: str = "text"
    log_level: str = "info"
    max_request_bytes: int = MAX_REQUEST_BYTES
