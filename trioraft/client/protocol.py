"""The protocol from the client's side: requests out; bytes in; replies in the order of requests, and pushes. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from trioraft.wire.codec import DecodeError, decode, encode, one_line
from trioraft.wire.framing import LineBuffer

MAX_REPLY_BYTES = 128 * 1024 * 1024

RequestFields = dict[str, Any]
"""A request without its id. A msgspec.Raw in it is sent byte for byte, but for line ends, which become spaces."""


class Unsendable(ValueError):
    """A request that cannot be put into a line of JSON. Nothing of it was sent."""


class NotANode(ValueError):
    """What answers at that address is no trioraft node."""

    def __init__(self) -> None:
        super().__init__("what answers there is no trioraft node")


class ErrorFields(msgspec.Struct):
    """The error in a reply."""

    code: str
    message: str
    hint: str = ""
    applied: str | None = None


class Line:
    """A line that a node sent, as it came, and its fields, raw."""

    def __init__(self, line: bytes, fields: dict[str, msgspec.Raw]) -> None:
        self.line = line
        self.fields = fields
        self._error: ErrorFields | None = None

    def raw(self, name: str) -> bytes:
        """A field's JSON as the node sent it; empty where it is missing."""
        return bytes(self.fields.get(name, b""))

    def __getitem__(self, name: str) -> Any:
        """A field, decoded. Not for values, whose numbers may be longer than any of Python's types keeps."""
        return decode(self.raw(name))

    @property
    def error(self) -> ErrorFields:
        """The error, of a line that has one."""
        assert self._error is not None
        return self._error


class Reply(Line):
    """A node's reply to a request."""

    def __init__(self, line: bytes, fields: dict[str, msgspec.Raw] | None = None) -> None:
        """`fields` are those of the line, where they are known. Raises DecodeError where the line is no reply."""
        super().__init__(line, _fields_of(line) if fields is None else fields)
        self.ok = self.raw("ok") == b"true"
        if not self.ok:
            self._error = decode(self.raw("error"), ErrorFields)


class Push(Line):
    """A line that replies to no request: it tells what happened since, to an earlier request or to the connection."""

    def __init__(self, line: bytes, fields: dict[str, msgspec.Raw]) -> None:
        """Raises DecodeError where the fields do not say what happened, and to what."""
        super().__init__(line, fields)
        self.event = decode(self.raw("event"), str)
        """What happened: the word that the node has for it."""
        self.id = decode(self.raw("id"), int) if "id" in fields else None
        """The number of the request that asked to be told; None where all of the connection is meant."""
        if self.event == "closed":
            self._error = decode(self.raw("error"), ErrorFields)


class Protocol:
    """One connection's conversation."""

    def __init__(self, on_push: Callable[[Push], object] | None = None) -> None:
        """`on_push` is called with each push, in the order of the lines; without it a push is an error."""
        self._on_push = on_push
        self._numbers = count(1)
        self._expected: deque[int] = deque()
        self._buffer = LineBuffer(MAX_REPLY_BYTES)

    def send(self, request: RequestFields) -> bytes:
        """Encode a request as a line. Its reply is the next that is still to come. Raises Unsendable."""
        if "id" in request:
            raise Unsendable("a request's 'id' is the connection's own: leave it out")
        fields = [_field(name, value) for name, value in request.items()]
        number = next(self._numbers)
        self._expected.append(number)
        return b"{%b}\n" % b",".join([b'"id":%d' % number, *fields])

    def receive(self, data: bytes) -> list[Reply]:
        """Return the replies that these bytes complete.

        Raises NotANode, and another ValueError where a line is no answer to what was asked.
        """
        replies = []
        for line in self._buffer.feed(data):
            try:
                reply = _read(line)
            except DecodeError:
                raise NotANode from None
            if isinstance(reply, Push):
                if self._on_push is None:
                    raise ValueError("an event came that was not asked for")
                self._on_push(reply)
                continue
            if not self._expected or reply.raw("id") not in (b"", b"%d" % self._expected[0]):
                raise ValueError("a reply came that was not asked for")
            self._expected.popleft()
            replies.append(reply)
        return replies


def _fields_of(line: bytes) -> dict[str, msgspec.Raw]:
    return decode(line, dict[str, msgspec.Raw])


def _read(line: bytes) -> Reply | Push:
    """What a line is: a reply says whether all went well, and a push what happened. Raises DecodeError."""
    fields = _fields_of(line)
    return Push(line, fields) if "event" in fields and "ok" not in fields else Reply(line, fields)


def _field(name: str, value: object) -> bytes:
    """Encode one field of a request. Each is checked by itself, so that no raw value can become two fields."""
    if type(name) is not str:
        raise Unsendable(f"a field's name is a string, and not {name!r}")
    try:
        return b"%b:%b" % (encode(name), one_line(encode(value)))
    except UnicodeEncodeError:
        raise Unsendable(f"{name!r} holds half of a surrogate pair, or bytes that were no UTF-8: send text") from None
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise Unsendable(f"{name!r} is no JSON: {error}") from None
