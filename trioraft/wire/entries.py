"""The one encoding of an entry, for the log file, the peers and the screen.

    {"crc":"1a2b3c4d","index":12,"term":3,"command":{...}}

The field after `term` says the kind. The line is made once, by the leader, and never encoded again.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from trioraft.raft.membership import Configuration
from trioraft.raft.messages import Entry, Kind
from trioraft.wire.codec import BadLine, DecodeError, Decoder, encode, open_line

_HEAD: Final = re.compile(rb'\{"crc":"([0-9a-f]{8})","index":([1-9][0-9]{0,18}),"term":([1-9][0-9]{0,18}),"([a-z_]+)":')
_BODY_AT: Final = len(b'{"crc":"00000000",')
_KIND: Final[dict[bytes, Kind]] = {b"noop": "noop", b"command": "command", b"configuration": "configuration"}
_MARKER: Final[dict[Kind, bytes]] = {kind: b',"%b":' % name for name, kind in _KIND.items()}
_configurations: Final = Decoder(Configuration)


class UnknownKind(BadLine):
    """An intact entry of a kind that this program does not know: the node has to be upgraded."""


def seal(index: int, term: int, kind: Kind, payload: bytes) -> Entry:
    """Make an entry, and its line."""
    body = b'"index":%d,"term":%d,"%b":%b}' % (index, term, kind.encode(), payload)
    return Entry(index, term, kind, b'{"crc":"%08x",%b' % (zlib.crc32(body), body))


def parse(line: bytes) -> Entry:
    """Read an entry's line, without its newline, and check it. Raises BadLine."""
    match = _HEAD.match(line)
    if match is None or line[-1:] != b"}":
        open_line(line)
        raise BadLine("it is no entry")
    crc, index, term, name = match.groups()
    if b"%08x" % zlib.crc32(line[_BODY_AT:]) != crc:
        raise BadLine("its checksum does not fit")
    kind = _KIND.get(name)
    if kind is None:
        raise UnknownKind(f"an entry of the kind {name.decode()!r} comes from a newer version: upgrade this node")
    entry = Entry(int(index), int(term), kind, line)
    if kind == "configuration":
        read_configuration(entry)
    return entry


def parse_command(line: bytes, index: int, term: int) -> Entry | None:
    """Read a line that ought to be the command at that index, of that term; None where it is not just that.

    A node that follows reads little else: to compare with what is expected is much quicker than to take apart.
    """
    expected = b'{"crc":"%08x","index":%d,"term":%d,"command":' % (zlib.crc32(line[_BODY_AT:]), index, term)
    return Entry(index, term, "command", line) if line.startswith(expected) and line[-1:] == b"}" else None


def payload(entry: Entry) -> bytes:
    """What the entry carries: the command, or null."""
    marker = _MARKER[entry.kind]
    return entry.line[entry.line.index(marker) + len(marker) : -1]


def read_configuration(entry: Entry) -> Configuration:
    """The members that an entry carries. Raises BadLine."""
    try:
        configuration: Configuration = _configurations.decode(payload(entry))
    except DecodeError as error:
        raise BadLine(f"it holds no members: {error}") from None
    return configuration


def write_configuration(configuration: Configuration) -> bytes:
    """The payload of an entry that carries these members."""
    return encode(configuration)
