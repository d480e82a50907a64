"""The configuration of a node, and the exit codes of a failed start."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from trioraft.addresses import Address

MAX_REQUEST_BYTES: Final = 1024 * 1024

CANNOT_START: Final = 1
"""The exit code for a bad address or folder, and for data of a newer version."""
DISK_FAILED: Final = 74
"""The exit code for a failing disk, at the start or later; 74 is EX_IOERR in sysexits.h."""


class StartError(Exception):
    """The node cannot start; with what is wrong, what to do, and the exit code."""

    def __init__(self, message: str, hint: str, code: int = CANNOT_START) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class NodeOptions(msgspec.Struct, frozen=True):
    """The configuration of one node: its index, the servers, its folder, and how it listens and logs."""

    index: int
    servers: list[Address | None]
    data_dir: Path
    listen: Address | None = None
    log_format: str = "text"
    log_level: str = "info"
    max_request_bytes: int = MAX_REQUEST_BYTES
    allow_faults: bool = False
    """Whether it breaks its links and its disk on command."""
