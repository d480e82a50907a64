"""The lines that frame the log on disk: the header of a segment, and the marks. Pure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from trioraft.raft.messages import HardState
from trioraft.wire.codec import BadLine, DecodeError, Decoder, encode, open_line, seal_line

FORMAT: Final = 1
MARK_START: Final = b'"synced":'
CRC_BYTES: Final = len(b'{"crc":"00000000",')

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of a segment: its number, and where the log ended when the segment was begun."""

    segment: Number
    format: int
    folder: str
    last_index: Number
    last_term: Number
    base: bool = False
    """Whether a snapshot up to that entry replaces all earlier segments."""


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line with the hard state from here on, which vouches that all before it, up to entry `synced`, was synced."""

    synced: Number
    term: Number
    voted_for: Number | None
    next: Number | None = None
    """The number of the next segment, where this mark is the last line of its own segment."""

    @property
    def hard_state(self) -> HardState:
        """The hard state that the mark carries."""
        return HardState(self.term, self.voted_for)


class FormatOf(msgspec.Struct):
    """The one field that the header has in every version of the format."""

    format: int


_headers: Final = Decoder(Header)
_formats: Final = Decoder(FormatOf)
_marks: Final = Decoder(Mark)


def seal(record: object) -> bytes:
    """Encode a record as a sealed line, without its newline."""
    return seal_line(encode(record)[1:])


def parse_header(line: bytes) -> Header | int:
    """Read a segment's first line. Return only the format's number where the format is unknown. Raises BadLine."""
    body = b"{" + open_line(line)
    try:
        format = _formats.decode(body).format
        if format != FORMAT:
            return int(format)
        header: Header = _headers.decode(body)
    except DecodeError as error:
        raise BadLine(f"it is no segment's header: {error}") from None
    return header


def parse_mark(line: bytes) -> Mark:
    """Read a mark. Raises BadLine."""
    body = b"{" + open_line(line)
    try:
        mark: Mark = _marks.decode(body)
    except DecodeError as error:
        raise BadLine(f"it is no mark: {error}") from None
    return mark


def is_mark(line: bytes) -> bool:
    """Whether a line claims to be a mark; it may still be damaged."""
    return line.startswith(MARK_START, CRC_BYTES)
