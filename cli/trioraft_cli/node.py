"""One node, run from the command line: the one module of it that knows the server."""

from __future__ import annotations

import sys
from pathlib import Path

from trioraft.addresses import Address
from trioraft.server import NodeOptions, StartError, run_node
from trioraft_cli.escapes import safe
from trioraft_cli.streams import say, wait_for_nobody


def run_at(
    index: int,
    servers: list[Address | None],
    folder: Path,
    listen: Address | None,
    log_format: str,
    log_level: str,
    max_request_bytes: int,
    allow_faults: bool,
) -> int:
    """Run a node until it is told to stop; the exit code."""
    wait_for_nobody()
    options = NodeOptions(index, servers, folder, listen, log_format, log_level, max_request_bytes, allow_faults)
    try:
        return run_node(options)
    except StartError as error:
        say(error.message)
        print(f"  {safe(error.hint)}", file=sys.stderr)
        return error.code
