"""Where the cluster is: as told, or as the environment says, or ./servers.txt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from trioraft.addresses import Address, AddressError, ServersFileError, parse_address, read_servers


def addresses(servers: Path | None, connect: Sequence[str]) -> list[Address]:
    """The nodes to try, in order. Raises click.UsageError."""
    try:
        if servers is not None:
            return [address for address in read_servers(servers) if address]
        if connect:
            return [parse_address(text) for text in connect]
        named = os.environ.get("TRIORAFT_SERVERS", "").strip()
        if (
            named
            and ("," in named or not Path(named).exists())
            and ":" in named
            and "/" not in named.replace("://", "")
        ):
            return [parse_address(text) for text in named.split(",") if text.strip()]
        path = Path(named or "servers.txt")
        if not named and not path.exists():
            raise click.UsageError(
                "no cluster is named: use --servers FILE or --connect HOST:PORT, set TRIORAFT_SERVERS, "
                "or have a servers.txt here"
            )
        return [address for address in read_servers(path) if address]
    except (AddressError, ServersFileError) as error:
        raise click.UsageError(str(error)) from None
