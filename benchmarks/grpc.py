"""The gRPC that loads an etcd: calls and streams over HTTP/2 on plain sockets, with as little work as possible.

It sends no more than the server's first window holds unread, some 64 KB a connection, and so needs no flow control of
its own. It gives the server windows that last for two gigabytes. Of headers it only sees that they came.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from benchmarks.load import Address

Fields = dict[int, list[int | bytes]]
"""The fields of a decoded message by their numbers, each with its values in order."""

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WHOLE_WINDOW = (1 << 31) - 1
_FIRST_WINDOW = (1 << 16) - 1
_PREFIX = 5
"""The bytes before a message on a stream: whether it is compressed, and its length."""


def number(field: int, value: int) -> bytes:
    """Encode a field of a message that is a number."""
    return _varint(field << 3) + _varint(value)


def text(field: int, value: bytes) -> bytes:
    """Encode a field of a message that is text, bytes, or a message."""
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes((*digits, value))


def fields(message: bytes) -> Fields:
    """Decode a message of numbers, texts and messages."""
    found: Fields = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            digit = message[at]
            at += 1
            value |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return value

    while at < len(message):
        key = varint()
        value = varint()
        if key & 7 == 2:
            found.setdefault(key >> 3, []).append(message[at : at + value])
            at += value
        else:
            found.setdefault(key >> 3, []).append(value)
    return found


class Connection:
    """A connection to a gRPC server."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._authority = f"{address[0]}:{address[1]}".encode()
        self._next = 1
        self._rest = b""
        initial_window = (4).to_bytes(2, "big") + _WHOLE_WINDOW.to_bytes(4, "big")
        more = (_WHOLE_WINDOW - _FIRST_WINDOW).to_bytes(4, "big")
        self.socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, initial_window) + _frame(_WINDOW, 0, 0, more))

    def begin(self, path: str, message: bytes | None = None) -> tuple[int, bytes]:
        """Number a stream. Return the number and what begins it: a call if there is a message, else it stays open."""
        stream = self._next
        self._next += 2
        headers = b"".join(
            b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value
            for name, value in (
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", path.encode()),
                (b":authority", self._authority),
                (b"content-type", b"application/grpc"),
                (b"te", b"trailers"),
            )
        )
        begun = _frame(_HEADERS, _END_HEADERS, stream, headers)
        if message is not None:
            begun += _frame(_DATA, _END_STREAM, stream, framed(message))
        return stream, begun

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def send(self, stream: int, messages: Sequence[bytes]) -> None:
        """Send messages on an open stream."""
        self.socket.sendall(_frame(_DATA, 0, stream, b"".join([framed(message) for message in messages])))

    def receive(self) -> list[tuple[int, bytes | None]]:
        """Receive once. Return each piece of data with its stream, and None for the end of a stream.

        Raises ConnectionError where the server ends a stream or the connection before its time.
        """
        received = self.socket.recv(256 * 1024)
        if not received:
            raise ConnectionError("the server has closed the connection")
        data = self._rest + received
        found: list[tuple[int, bytes | None]] = []
        at, end = 0, len(data)
        while end - at >= 9:
            after = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if after > end:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            if kind == _DATA:
                found.append((stream, data[at + 9 : after]))
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                self.socket.sendall(_frame(kind, _ACK, 0, data[at + 9 : after] if kind == _PING else b""))
            elif kind in (_RESET, _GO_AWAY):
                raise ConnectionError(f"the server has ended stream {stream}: {data[at:after]!r}")
            if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                found.append((stream, None))
            at = after
        self._rest = data[at:]
        return found

    def call(self, path: str, message: bytes) -> Fields:
        """Make a call and wait for its reply. Raises ConnectionError where there is none."""
        stream, begun = self.begin(path, message)
        self.socket.sendall(begun)
        return self.reply(stream)

    def reply(self, stream: int) -> Fields:
        """Wait for the reply to a call. Nothing else may be under way on the connection."""
        reply = b""
        while True:
            for _, data in self.receive():
                if data is not None:
                    reply += data
                elif not reply:
                    raise ConnectionError(f"the call on stream {stream} is refused")
                else:
                    return fields(reply[_PREFIX:])


def framed(message: bytes) -> bytes:
    """A message as it travels on a stream."""
    return b"\0" + len(message).to_bytes(_PREFIX - 1, "big") + message


def unframed(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages in the data of a stream, and what follows them."""
    messages = []
    at = 0
    while len(data) - at >= _PREFIX and len(data) >= (
        after := at + _PREFIX + int.from_bytes(data[at + 1 : at + 5], "big")
    ):
        messages.append(data[at + _PREFIX : after])
        at = after
    return messages, data[at:]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
