"""JSON, and lines that carry their own checksum.

A sealed line is an object whose first field is `crc`: zlib's CRC-32, in eight lower-case hex digits, over the
bytes from the quote of the second field to the closing brace.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, overload

import msgspec

T = TypeVar("T")

_PREFIX: Final = b'{"crc":"'
_BODY_AT: Final = len(b'{"crc":"00000000",')


class DecodeError(ValueError):
    """The bytes are not JSON, or not of the type asked for."""


class BadLine(ValueError):
    """A line that should have come from this program is damaged or makes no sense."""


WRONG: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)
"""The exceptions that reading JSON may raise."""

_encoder: Final = msgspec.json.Encoder()
_LINE_ENDS_TO_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")


def encode(value: object) -> bytes:
    """Encode a value as compact JSON."""
    return _encoder.encode(value)


def one_line(value: bytes) -> bytes:
    """Copy a JSON value byte for byte, with spaces for the line ends between its tokens. Raises DecodeError.

    JSON allows no line end within a string, so every line end stands between tokens.
    """
    return bytes(decode(value, msgspec.Raw)).translate(_LINE_ENDS_TO_SPACES)


def encode_all(values: Iterable[object]) -> list[bytes]:
    """Encode each value as compact JSON. A raw value holds no newline, because it came in a line."""
    return _encoder.encode_lines(values).split(b"\n")[:-1]


@overload
def decode(data: bytes) -> Any: ...


@overload
def decode(data: bytes, type: type[T]) -> T: ...


def decode(data: bytes, type: Any = Any) -> Any:
    """Read JSON of that type. Raises DecodeError for anything that is wrong with it."""
    return Decoder(type).decode(data)


class Decoder:
    """A decoder for JSON of one type, made once and used often."""

    __slots__ = ("_decode_lines", "decode_ascii")

    def __init__(self, type: Any) -> None:
        decoder = msgspec.json.Decoder(type)
        self.decode_ascii: Final[Callable[[bytes], Any]] = decoder.decode
        """Reads one value of ASCII alone, without a call between. Raises any of WRONG."""
        self._decode_lines = decoder.decode_lines

    def decode(self, data: bytes) -> Any:
        """Read one value. Raises DecodeError for anything that is wrong with it."""
        try:
            if not data.isascii():
                data.decode()  # msgspec does not check the values that it keeps raw
            return self.decode_ascii(data)
        except WRONG as error:
            raise DecodeError(str(error)) from None

    def decode_lines(self, lines: bytes) -> list[Any]:
        """Read every value there is. The caller has checked that the bytes are UTF-8.

        Several values may share a line. Raises DecodeError for anything that is wrong with one of them.
        """
        try:
            return self._decode_lines(lines)
        except WRONG as error:
            raise DecodeError(str(error)) from None


def seal_line(body: bytes) -> bytes:
    """Put the checksum before `body`, which runs from the quote of its first field to the closing brace."""
    return b'{"crc":"%08x",%b' % (zlib.crc32(body), body)


def open_line(line: bytes) -> bytes:
    """Check a sealed line and return its body. Raises BadLine."""
    body = line[_BODY_AT:]
    if line[:_BODY_AT] != b'{"crc":"%08x",' % zlib.crc32(body):
        if line[: len(_PREFIX)] != _PREFIX:
            raise BadLine("it does not begin with a checksum")
        raise BadLine("its checksum does not fit")
    return body
