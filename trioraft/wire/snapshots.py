"""The lines that frame a snapshot: a header, and a closing line that vouches for all lines before it.

Between them stand the lines of the state machine, in sections. The header lists the sections in order, each with its
number of lines. Format 1 had a single section, of keys.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from trioraft.raft.membership import Configuration
from trioraft.wire.codec import BadLine, DecodeError, Decoder, encode, open_line, seal_line

FORMAT: Final = 2
"""The version of the format that is written; version 1 is read too."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class SnapshotHeader(msgspec.Struct, frozen=True):
    """The first line: which entries the snapshot replaces (§7), the members as of then, and its sections."""

    snapshot: Number
    """The version of the format."""
    cluster: str
    last_included_index: Number
    last_included_term: Number
    configuration_index: Number
    """The index of the entry that carries the configuration; 0 for the cluster's first configuration."""
    configuration: Configuration
    sections: dict[str, Number]
    """The number of lines of each section, in the order of the file."""

    @property
    def lines(self) -> int:
        """The number of lines of all sections."""
        return sum(self.sections.values())


class SnapshotEnd(msgspec.Struct, frozen=True):
    """The last line: how many lines and bytes stand before it, and their CRC-32 in hex."""

    lines: Number
    bytes: Number
    checksum: str


class _Header1(msgspec.Struct, frozen=True):
    """The header of format 1."""

    snapshot: Number
    cluster: str
    last_included_index: Number
    last_included_term: Number
    configuration_index: Number
    configuration: Configuration
    keys: Number

    def renewed(self) -> SnapshotHeader:
        """Convert it to the header of the present format."""
        return SnapshotHeader(
            self.snapshot,
            self.cluster,
            self.last_included_index,
            self.last_included_term,
            self.configuration_index,
            self.configuration,
            {"keys": self.keys},
        )


class _Format(msgspec.Struct):
    snapshot: int


_formats: Final = Decoder(_Format)
_headers: Final = Decoder(SnapshotHeader)
_headers_1: Final = Decoder(_Header1)
_ends: Final = Decoder(SnapshotEnd)


def encode_header(header: SnapshotHeader) -> bytes:
    """Encode the first line, with its newline."""
    return seal_line(encode(header)[1:]) + b"\n"


def decode_header(line: bytes) -> SnapshotHeader | int:
    """Read the first line. Return only the format's number where the format is unknown. Raises BadLine."""
    body = b"{" + open_line(line)
    try:
        format = _formats.decode(body).snapshot
        if format == 1:
            header: SnapshotHeader = _headers_1.decode(body).renewed()
        elif format == FORMAT:
            header = _headers.decode(body)
        else:
            return int(format)
    except DecodeError as error:
        raise BadLine(f"it is no snapshot's header: {error}") from None
    return header


def encode_end(end: SnapshotEnd) -> bytes:
    """Encode the last line, with its newline."""
    return seal_line(encode(end)[1:]) + b"\n"


def decode_end(line: bytes) -> SnapshotEnd:
    """Read the last line. Raises BadLine."""
    try:
        end: SnapshotEnd = _ends.decode(b"{" + open_line(line))
    except DecodeError as error:
        raise BadLine(f"it is no end of a snapshot: {error}") from None
    return end
