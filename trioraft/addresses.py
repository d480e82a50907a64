"""Addresses, and the file that lists a cluster's first members."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec


class AddressError(ValueError):
    """Text that is no address."""


class ServersFileError(ValueError):
    """A servers.txt that cannot be used: which file, which line, and what is wrong with it."""


class Address(msgspec.Struct, frozen=True):
    """A host and a port; str() gives host:port, or [host]:port for IPv6."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read host:port or [::1]:port; a leading http:// and a trailing / are dropped. Raises AddressError."""
    place = text.strip().removeprefix("http://").removesuffix("/")
    host, colon, port = place.rpartition(":")
    if not colon or not host:
        raise AddressError(f"{text!r} is no address: write host:port, as in 127.0.0.1:8000 or [::1]:8000")
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise AddressError(f"{text!r} has no port from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressError(f"{text!r}: an IPv6 address stands in brackets, as in [::1]:8000")
    if not host or any(sign.isspace() or sign in "/[]" for sign in host):
        raise AddressError(f"{text!r} has no usable host: write host:port, as in 127.0.0.1:8000")
    return Address(host, int(port))


def read_servers(path: Path) -> list[Address | None]:
    """The addresses of a servers.txt in order; None where '-' holds a removed member's place.

    Raises ServersFileError, which names the file, the line's number and the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ServersFileError(f"{path} does not exist: write one host:port a line into it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ServersFileError(f"{path} cannot be read: {error}") from None
    servers: list[Address | None] = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            address = None if entry == "-" else parse_address(entry)
        except AddressError as error:
            raise ServersFileError(f"{path}, line {number}: {error}") from None
        if address is not None and address in servers:
            raise ServersFileError(f"{path}, line {number}: {entry!r} stands there twice")
        servers.append(address)
    if not any(servers):
        raise ServersFileError(f"{path} lists no address: write one host:port a line into it")
    return servers


def numbered(servers: Sequence[Address | None]) -> str:
    """The addresses with their positions, a line each."""
    return "\n".join(f"  {index}  {address or '- (removed)'}" for index, address in enumerate(servers))
