"""The lines of the key-value store in a snapshot: one line for each key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from trioraft.kv.items import Item
from trioraft.wire.codec import BadLine, DecodeError, Decoder, encode_all

_START: Final = b'{"key":'

KeyAndItem = tuple[str, Item]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Line(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: str
    value: msgspec.Raw
    rev: Number
    created: Number
    version: Number


_lines: Final = Decoder(_Line)


def encode_items(items: Sequence[KeyAndItem]) -> bytes:
    """Encode each key as a line with its newline; the values stay byte for byte."""
    keys = encode_all([key for key, _ in items])
    return b"".join(
        [
            b'{"key":%b,"value":%b,"rev":%d,"created":%d,"version":%d}\n'
            % (key, item.value, item.rev, item.created, item.version)
            for key, (_, item) in zip(keys, items, strict=True)
        ]
    )


def decode_items(lines: Sequence[bytes]) -> list[KeyAndItem]:
    """Read the lines of keys. Raises BadLine."""
    return [_decode(line) for line in lines]


def _decode(line: bytes) -> KeyAndItem:
    try:
        item = _lines.decode(line)
    except DecodeError as error:
        if line.startswith(_START):
            raise BadLine(f"it holds no key: {error}") from None
        raise BadLine("it holds something of a newer version: upgrade this node") from None
    return item.key, Item(bytes(item.value), item.rev, item.created, item.version)
