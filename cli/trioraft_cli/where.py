"""Where the cluster is, from options, the environment, or ./servers.txt."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from trioraft.addresses import (
    Address,
    AddressError,
    ServersFileError,
    member_address,
    parse_address,
    read_servers,
)


def addresses(servers: Path | None, connect: Sequence[str]) -> list[Address]:
    """The nodes to try, in order. Raises click.UsageError."""
    source = ""
    try:
        if servers is not None:
            if ":" in str(servers) and not os.path.exists(servers):
                source = "--servers takes a file, and --connect an address: "
            return _listed(servers)
        if connect:
            return [parse_address(text) for text in connect]
        named = os.environ.get("TRIORAFT_SERVERS", "").strip()
        if named:
            source = "the environment variable TRIORAFT_SERVERS names no cluster: "
            return _named(named)
        if not os.path.exists("servers.txt"):
            raise click.UsageError(
                "no cluster is named: use --servers FILE or --connect HOST:PORT, set TRIORAFT_SERVERS, "
                "or have a servers.txt here"
            )
        return _listed(Path("servers.txt"))
    except (AddressError, ServersFileError) as error:
        raise click.UsageError(f"{source}{error}") from None


def file_of(servers: Path | None, connect: Sequence[str]) -> Path | None:
    """The servers.txt that `addresses` reads; None where the addresses are given one by one."""
    named = os.environ.get("TRIORAFT_SERVERS", "").strip()
    if servers is None and not connect and named:
        return Path(named) if os.path.exists(named) else None
    return servers or (None if connect else Path("servers.txt"))


def address(text: str) -> Address:
    """The one address that was given. Raises click.UsageError."""
    try:
        return parse_address(text)
    except AddressError as error:
        raise click.UsageError(str(error)) from None


def of_members(members: Mapping[int, str]) -> dict[int, Address]:
    """The addresses of members, by id, as the cluster keeps them; without those that cannot be asked for at all."""
    places = {}
    for node, text in members.items():
        with contextlib.suppress(AddressError):
            places[node] = member_address(text)
    return places


def _named(text: str) -> list[Address]:
    """What $TRIORAFT_SERVERS says: a file, or addresses separated by commas. Raises AddressError, ServersFileError."""
    parts = [part for part in text.split(",") if part.strip()]
    if not parts or os.path.exists(text):
        return _listed(Path(text))
    try:
        return [parse_address(part) for part in parts]
    except AddressError:
        if len(parts) == 1 and (":" not in text or "/" in text):  # as a file's name would be
            return _listed(Path(text))
        raise


def _listed(path: Path) -> list[Address]:
    return [address for address in read_servers(path) if address]
