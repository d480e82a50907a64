"""Values between the command line and the protocol, raw: no number passes through a type that could round it."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trioraft.wire.codec import DecodeError, decode, encode, one_line

_MOST_DIGITS: Final = 19
"""The most digits of a number; no node takes a longer one."""


class NotText(ValueError):
    """Bytes that are no UTF-8, or the halves of surrogate pairs that stand for them; it says where they begin."""


def text_of(data: bytes) -> str:
    """The text that these bytes are. Raises NotText."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NotText(f"bytes that are no UTF-8, from byte {error.start + 1} on") from None


def utf_8(text: str) -> bytes:
    """The bytes of the text. Raises NotText."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        place = len(text[: error.start].encode()) + 1
        raise NotText(f"bytes that are no UTF-8, from byte {place} on") from None


def to_json(text: str, *, string: bool = False) -> msgspec.Raw:
    """A VALUE as typed: JSON if it parses, byte for byte; else a string. `string` takes it as a string anyway.

    Line ends between the tokens of JSON are blanks there, and become spaces: a request is one line. Raises NotText.
    """
    data = utf_8(text)
    if not string and text.strip():
        try:
            return msgspec.Raw(one_line(data))
        except DecodeError:
            pass
    return msgspec.Raw(encode(text))


def is_json(text: str) -> bool:
    """Whether the text is one whole value of JSON."""
    try:
        decode(utf_8(text), msgspec.Raw)
    except (NotText, DecodeError):
        return False
    return True


STORED_AS_STRING: Final = "stored as a string: the value begins as JSON does, and is none"


STORED_WHOLE: Final = "stored as it stands: at the prompt the value is the rest of the line, with each | < and > in it"
_REDIRECTED: Final = re.compile(r"(?:^|\s)[|<>]")


def is_redirected(text: str) -> bool:
    """Whether the text is taken for a string though a shell would pass a part of it on to a program or a file."""
    return _REDIRECTED.search(text) is not None and not is_json(text)


def is_broken_json(text: str) -> bool:
    """Whether the text is taken for a string though it begins as an object, a list or a JSON string does."""
    return text.lstrip()[:1] in ("{", "[", '"') and not is_json(text)


def unquoted(value: bytes) -> str | None:
    """The text of a value that is a string; None where it is anything else."""
    return decode(value, str) if value[:1] == b'"' else None


def is_integer(text: str) -> bool:
    """Whether the text is a whole number that is not too long for a node."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
