"""Values between the command line and the protocol, raw: no number passes through a type that could round it."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trioraft.wire.codec import DecodeError, decode, encode, one_line

_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def to_json(text: str, *, string: bool = False) -> msgspec.Raw:
    """A VALUE as typed: JSON if it parses, byte for byte; else a string. `string` takes it as a string anyway.

    Line ends between the tokens of JSON are blanks there, and become spaces: a request is one line.
    """
    data = text.encode("utf-8", "surrogateescape")
    if not string and text.strip():
        try:
            return msgspec.Raw(one_line(data))
        except DecodeError:
            pass
    return msgspec.Raw(encode(text))


def is_json(text: str) -> bool:
    """Whether the text is one whole value of JSON."""
    try:
        decode(text.encode("utf-8", "surrogateescape"), msgspec.Raw)
    except DecodeError:
        return False
    return True


def as_text(value: bytes) -> str:
    """A value for `--raw`: a string without its quotes, anything else as it is."""
    if value[:1] == b'"':
        text: str = decode(value, str)
        return text
    return value.decode()


def safe(text: str) -> str:
    """The text without what a terminal would take for a command, or for a change of direction."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
