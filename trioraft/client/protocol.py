"""The protocol from the client's side, without I/O: requests out, bytes in, replies in the order of the requests."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Any

import msgspec

from trioraft.wire.codec import decode, encode
from trioraft.wire.framing import LineBuffer

MAX_REPLY_BYTES = 128 * 1024 * 1024

RequestFields = dict[str, Any]
"""A request without its id; a msgspec.Raw among the values is sent byte for byte."""


class ErrorFields(msgspec.Struct):
    """What a node says when it fails."""

    code: str
    message: str
    hint: str = ""
    applied: str | None = None


class Reply:
    """One reply: its line as it came, and its fields, raw."""

    def __init__(self, line: bytes) -> None:
        """Raises DecodeError where the line is no reply."""
        self.line = line
        self.fields: dict[str, msgspec.Raw] = decode(line, dict[str, msgspec.Raw])
        self.ok = self.raw("ok") == b"true"

    @property
    def error(self) -> ErrorFields:
        """The error, of a reply that has one."""
        return decode(self.raw("error"), ErrorFields)

    def raw(self, name: str) -> bytes:
        """A field's JSON as the node sent it; empty where it is missing."""
        return bytes(self.fields.get(name, b""))

    def __getitem__(self, name: str) -> Any:
        """A field, decoded. Not for values, whose numbers may be longer than any of Python's types keeps."""
        return decode(self.raw(name))


class Protocol:
    """One connection's conversation."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._expected: deque[int] = deque()
        self._buffer = LineBuffer(MAX_REPLY_BYTES)

    @property
    def outstanding(self) -> int:
        """How many requests have no reply yet."""
        return len(self._expected)

    def send(self, request: RequestFields) -> bytes:
        """The line of a request; its reply is the next that has not come."""
        number = next(self._numbers)
        self._expected.append(number)
        return encode({"id": number, **request}) + b"\n"

    def receive(self, data: bytes) -> list[Reply]:
        """The replies that these bytes complete. Raises ValueError where the other end is no trioraft node."""
        replies = []
        for line in self._buffer.feed(data):
            reply = Reply(line)
            if not self._expected or reply.raw("id") not in (b"", b"%d" % self._expected[0]):
                raise ValueError("a reply came that was not asked for")
            self._expected.popleft()
            replies.append(reply)
        return replies
