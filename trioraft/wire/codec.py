"""JSON, and lines that carry their own checksum.

A sealed line is an object whose first field is `crc`: zlib's CRC-32, in eight lower-case hex digits, over the
bytes from the quote of the second field to the closing brace.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final, TypeVar, overload

import msgspec

T = TypeVar("T")

_PREFIX: Final = b'{"crc":"'
_BODY_AT: Final = len(b'{"crc":"00000000",')


class DecodeError(ValueError):
    """The bytes are not JSON, or not of the type asked for."""


class BadLine(ValueError):
    """A line that should have come from this program is damaged or makes no sense."""


_WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)
"""What reading JSON may raise."""

_encoder: Final = msgspec.json.Encoder()
_LINE_ENDS_TO_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")


def encode(value: object) -> bytes:
    """The value as compact JSON."""
    return _encoder.encode(value)


def one_line(value: bytes) -> bytes:
    """The JSON value byte for byte, but with spaces for the line ends between its tokens. Raises DecodeError.

    A line end within a string is no JSON, so every other one is a blank.
    """
    return bytes(decode(value, msgspec.Raw)).translate(_LINE_ENDS_TO_SPACES)


def encode_all(values: Iterable[object]) -> list[bytes]:
    """Each value as compact JSON; what they keep raw holds no newline, for it came in a line."""
    return _encoder.encode_lines(values).split(b"\n")[:-1]


@overload
def decode(data: bytes) -> Any: ...


@overload
def decode(data: bytes, type: type[T]) -> T: ...


def decode(data: bytes, type: Any = Any) -> Any:
    """Read JSON of that type. Raises DecodeError, whatever is wrong with it."""
    return Decoder(type).decode(data)


class Decoder:
    """Reads JSON of one type, often."""

    __slots__ = ("_decode", "_decode_lines")

    def __init__(self, type: Any) -> None:
        decoder = msgspec.json.Decoder(type)
        self._decode = decoder.decode
        self._decode_lines = decoder.decode_lines

    def decode(self, data: bytes) -> Any:
        """Read it. Raises DecodeError, whatever is wrong with it."""
        try:
            if not data.isascii():
                data.decode()  # what msgspec keeps raw, it does not check
            return self._decode(data)
        except _WRONG as error:
            raise DecodeError(str(error)) from None

    def decode_lines(self, lines: bytes) -> list[Any]:
        """Read all that is there, of what has been checked to be UTF-8; whether each has a line of its own is not said.

        Raises DecodeError, whatever is wrong with one of them.
        """
        try:
            return self._decode_lines(lines)
        except _WRONG as error:
            raise DecodeError(str(error)) from None


def seal_line(body: bytes) -> bytes:
    """Put the checksum before a body that runs from its first field's quote to the closing brace."""
    return b'{"crc":"%08x",%b' % (zlib.crc32(body), body)


def open_line(line: bytes) -> bytes:
    """The body of a sealed line, checked. Raises BadLine."""
    body = line[_BODY_AT:]
    if line[:_BODY_AT] != b'{"crc":"%08x",' % zlib.crc32(body):
        if line[: len(_PREFIX)] != _PREFIX:
            raise BadLine("it does not begin with a checksum")
        raise BadLine("its checksum does not fit")
    return body
