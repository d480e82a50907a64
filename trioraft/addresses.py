"""Addresses, and the file that lists a cluster's first members."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

_LONGEST_NAME: Final = 253
_LONGEST_SHOWN: Final = 50
"""How many characters of a wrong address a message repeats: enough to recognise it."""
_FORM: Final = "write host:port, as in 127.0.0.1:8000 or [::1]:8000"
_NAME_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._-]*")
"""Containers' names have underscores, and resolvers answer to them."""
_LABEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
"""A last part that makes a resolver read the whole name as an IPv4 address: it takes 1.2.3 for 1.2.0.3."""
_ZONE: Final = re.compile(r"[A-Za-z0-9._~-]+")


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
    """Read host:port or [::1]:port; a leading http:// and a trailing / are dropped. Raises AddressError.

    Any resolver can be asked for a host that is accepted, whether it knows the name or not.
    """
    host, port = _split(text, text.strip().removeprefix("http://").removesuffix("/"))
    if host.startswith("["):
        host = host[1:-1]
        reason = _wrong_with_ipv6(host)
    else:
        reason = _wrong_with_name(host)
    if reason is not None:
        raise AddressError(f"{_shown(text)} is no address: {reason}")
    return Address(host, port)


def member_address(text: str) -> Address:
    """Read the address of a member as the cluster keeps it. Raises AddressError.

    The host is not checked: it was accepted when the member was added, by the rules of that time.
    """
    host, port = _split(text, text)
    return Address(host.removeprefix("[").removesuffix("]"), port)


def read_servers(path: Path) -> list[Address | None]:
    """The addresses of a servers.txt in order; None where '-' holds a removed member's place.

    Raises ServersFileError, which names the file, the line's number and the line.
    """
    servers: list[Address | None] = []
    for number, line in enumerate(map(str.strip, _read_text(path).split("\n")), 1):
        if len(parts := line.splitlines()) > 1:
            separator = ord(line[len(parts[0])])
            raise ServersFileError(
                f"{path}, line {number}: U+{separator:04X} ends a line for some programs alone: use newlines"
            )
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
    """List the addresses with their positions, one a line."""
    return "\n".join(f"  {index}  {address or '- (removed)'}" for index, address in enumerate(servers))


def _read_text(path: Path) -> str:
    """Read the file, with newlines as its only line ends and without the byte order mark that some editors add."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ServersFileError(f"{path} does not exist: write one host:port a line into it") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ServersFileError(
            f"{path} is no UTF-8 text: its byte {error.start} is 0x{byte:02x}; save it as UTF-8, or as plain ASCII"
        ) from None
    except OSError as error:
        raise ServersFileError(f"{path} cannot be read: {error.strerror}") from None


def _split(text: str, place: str) -> tuple[str, int]:
    """The host, an IPv6 address still in its brackets, and the port. Raises AddressError."""
    host, colon, port = place.rpartition(":")
    if "," in place:
        raise AddressError(f"{_shown(text)} holds a comma, and one address alone is wanted: {_FORM}")
    if not colon or not host:
        raise AddressError(f"{_shown(text)} is no address: {_FORM}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise AddressError(f"{_shown(text)} has no port from 1 to 65535")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise AddressError(f"{_shown(text)}: an IPv6 address stands in brackets, as in [::1]:8000")
    return host, int(port)


def _wrong_with_name(name: str) -> str | None:
    """Say why this is neither a name for a resolver nor an IPv4 address; None if it is one of them."""
    whole = name.removesuffix(".")
    if not name.isascii():
        return _wrong_beyond_ascii(name)
    if not _NAME_CHARACTERS.fullmatch(name):
        wrong = next(sign for sign in name if not _NAME_CHARACTERS.fullmatch(sign))
        return f"{wrong!r} is in no name"
    if len(whole) > _LONGEST_NAME:
        return f"a name has at most {_LONGEST_NAME} characters"
    labels = whole.split(".")
    if not all(labels):
        return "a part of the name between dots is empty"
    if long := next((label for label in labels if len(label) > 63), None):
        return f"a part of a name between dots has at most 63 characters, and not {len(long)}"
    if not all(_LABEL.fullmatch(label) for label in labels):
        return "no part of a name begins with '-'"
    if _NUMBER.fullmatch(labels[-1]) and not _is_ip(socket.AF_INET, name):
        return "an IPv4 address is four numbers from 0 to 255, as in 127.0.0.1"
    return None


def _wrong_beyond_ascii(name: str) -> str:
    """Say what is wrong with a name beyond ASCII. Resolvers differ in its ASCII form: it could mean two machines."""
    for sign in name:
        if not sign.isprintable():
            return f"it holds the character U+{ord(sign):04X}, which cannot be seen"
    try:
        ascii_form = name[:_LONGEST_NAME].encode("idna").decode()
    except UnicodeError:
        return "a name is written in ASCII"
    return f"write the name in ASCII, as {_shown(ascii_form)}"


def _wrong_with_ipv6(text: str) -> str | None:
    """Say why this is no IPv6 address, with or without a zone; None if it is one."""
    address, percent, zone = text.partition("%")
    good = address.isascii() and address.isprintable() and _is_ip(socket.AF_INET6, address)
    if good and (not percent or _ZONE.fullmatch(zone)):
        return None
    return "what stands in brackets is an IPv6 address, as in [::1]:8000"


def _is_ip(family: socket.AddressFamily, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except OSError:
        return False
    return True


def _shown(text: str) -> str:
    """Quote the beginning of a text as Python does, so that nothing in it moves a cursor."""
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
