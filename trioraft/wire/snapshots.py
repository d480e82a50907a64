"""The lines of a snapshot: a header, a line for each key, and a closing line that vouches for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from trioraft.kv.items import Item
from trioraft.raft.membership import Configuration
from trioraft.wire.codec import BadLine, DecodeError, Decoder, encode, encode_all, open_line, seal_line

FORMAT: Final = 1
KEY_START: Final = b'{"key":'

KeyAndItem = tuple[str, Item]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class SnapshotHeader(msgspec.Struct, frozen=True):
    """What the snapshot is of: all that the entries up to `last_included_index` did."""

    snapshot: Number
    """The version of the format."""
    cluster: str
    last_included_index: Number
    last_included_term: Number
    configuration_index: Number
    """The index of the entry that brought the configuration; 0 where it is the first one."""
    configuration: Configuration
    keys: Number


class SnapshotEnd(msgspec.Struct, frozen=True):
    """The last line: how many lines and bytes stand before it, and their checksum."""

    lines: Number
    bytes: Number
    checksum: str


class _Key(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: str
    value: msgspec.Raw
    rev: Number
    created: Number
    version: Number


class _Format(msgspec.Struct):
    snapshot: int


_formats: Final = Decoder(_Format)
_headers: Final = Decoder(SnapshotHeader)
_ends: Final = Decoder(SnapshotEnd)
_keys: Final = Decoder(_Key)


def encode_header(header: SnapshotHeader) -> bytes:
    """The first line, with its newline."""
    return seal_line(encode(header)[1:]) + b"\n"


def decode_header(line: bytes) -> SnapshotHeader | int:
    """Read the first line; only its format, where that is not this version's. Raises BadLine."""
    body = b"{" + open_line(line)
    try:
        format = _formats.decode(body).snapshot
        if format != FORMAT:
            return int(format)
        header: SnapshotHeader = _headers.decode(body)
    except DecodeError as error:
        raise BadLine(f"it is no snapshot's header: {error}") from None
    return header


def encode_items(items: Sequence[KeyAndItem]) -> bytes:
    """A line for each key; the values as they were given."""
    keys = encode_all([key for key, _ in items])
    return b"".join(
        [
            b'{"key":%b,"value":%b,"rev":%d,"created":%d,"version":%d}\n'
            % (key, item.value, item.rev, item.created, item.version)
            for key, (_, item) in zip(keys, items, strict=True)
        ]
    )


def decode_item(line: bytes) -> KeyAndItem:
    """Read a key's line. Raises BadLine."""
    try:
        item = _keys.decode(line)
    except DecodeError as error:
        if line.startswith(KEY_START):
            raise BadLine(f"it holds no key: {error}") from None
        raise BadLine("it holds something of a newer version: upgrade this node") from None
    return item.key, Item(bytes(item.value), item.rev, item.created, item.version)


def encode_end(end: SnapshotEnd) -> bytes:
    """The last line, with its newline."""
    return seal_line(encode(end)[1:]) + b"\n"


def decode_end(line: bytes) -> SnapshotEnd:
    """Read the last line. Raises BadLine."""
    try:
        end: SnapshotEnd = _ends.decode(b"{" + open_line(line))
    except DecodeError as error:
        raise BadLine(f"it is no end of a snapshot: {error}") from None
    return end
