"""What a node is told at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from trioraft.addresses import Address

MAX_REQUEST_BYTES: Final = 1024 * 1024
LARGEST_MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024


class StartError(Exception):
    """The node cannot start: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NodeOptions(msgspec.Struct, frozen=True):
    """One node: its position among the servers, the servers, its folder, and how it listens and logs."""

    index: int
    servers: list[Address | None]
    data_dir: Path
    listen: Address | None = None
    log_format: str = "text"
    log_level: str = "info"
    max_request_bytes: int = MAX_REQUEST_BYTES
