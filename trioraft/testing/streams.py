"""What goes on after its first answer on a connection: watches, waits and waiting locks, and their events.

Each event must belong to something that is open, and must be possible there by itself. Whether the events are all that
the log demands is judged at the end, where the log is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trioraft.testing.answers import Asked
from trioraft.testing.history import Request
from trioraft.wire.codec import Decoder, encode

_EVENTS: Final = {
    "watch": ("put", "delete", "synced", "closed"),
    "wait": ("held", "closed"),
    "lock": ("locked", "closed"),
}
"""The events of what each operation leaves open."""
_LAST: Final = ("held", "locked", "closed")
"""After these nothing follows."""
_CODES: Final = {
    "watch": ("compacted", "slow_consumer", "no_quorum", "shutting_down", "membership"),
    "wait": ("timeout", "no_quorum", "shutting_down"),
    "lock": ("timeout", "superseded", "lease_expired", "no_quorum", "shutting_down"),
}
"""The codes with which it may be closed; where a snapshot was installed, a lock may be `superseded` or gone."""
_NO_ID: Final = msgspec.Raw()


class _Error(msgspec.Struct):
    code: str
    message: str = ""
    applied: str | None = None


class Push(msgspec.Struct, kw_only=True):
    """An event as a node sends it; a field that it did not have is None."""

    event: str
    id: msgspec.Raw = _NO_ID
    key: str | None = None
    value: msgspec.Raw = _NO_ID
    rev: int | None = None
    created: int | None = None
    version: int | None = None
    lease: int | None = None
    more: bool = False
    initial: bool = False
    by: str | None = None
    at: int | None = None
    fence: int | None = None
    error: _Error | None = None


class Stream(msgspec.Struct):
    """Something that was asked on a connection and goes on."""

    request: Request
    sent: int = 0
    """Up to this revision every event of it was sent, as the connection's `progress` says."""

    @property
    def asked(self) -> Asked:
        """The fields of the request."""
        return self.request.asked

    @property
    def op(self) -> str:
        """The operation."""
        return str(self.asked["op"])


_pushes: Final = Decoder(Push)


def is_push(line: bytes) -> bool:
    """Whether the line is an event, and no reply."""
    return b'"event":' in line and b'"ok":' not in line[:200]


class Streams:
    """Everything that is open on one connection, and what was."""

    def __init__(self) -> None:
        self.open: dict[bytes, Stream] = {}
        """What is open under an id, by that id as it is written."""
        self.nameless = 0
        """How many of those that are open have no id."""
        self._progress = 0
        """The revision of the newest `progress`."""

    def replied(self, request: Request, reply: Mapping[str, Any]) -> None:
        """Note a reply, which may open something or end it."""
        asked = request.asked
        if asked["op"] == "cancel" and reply["ok"]:
            self.open.pop(encode(asked["request"]), None)
        if not (reply["ok"] and reply.get("waiting")):
            return
        if "id" in asked:
            id = encode(asked["id"])
            assert id not in self.open, f"two of one id are open: {asked}"
            self.open[id] = Stream(request)
        else:
            self.nameless += 1

    def take(self, line: bytes) -> tuple[Stream | None, Push]:
        """Judge the next event, and return whose it is, None where it names none. Raises AssertionError."""
        push: Push = _pushes.decode(line)
        if not bytes(push.id):
            self._take_nameless(push, line)
            return None, push
        id = bytes(push.id)
        assert id in self.open, f"an event of what is not open: {line!r}"
        stream = self.open[id]
        assert push.rev is None or push.initial or stream.op != "watch" or push.rev > stream.sent, (
            f"up to {stream.sent} every event was sent: {line!r}"
        )
        assert push.event in _EVENTS[stream.op], f"{stream.op} has no such event: {line!r}"
        assert not push.initial or stream.asked.get("initial"), f"nobody has asked for what was there: {line!r}"
        if push.error is not None:
            assert push.error.code in _CODES[stream.op], f"{stream.op} is not closed so: {line!r}"
        if push.event in _LAST:
            del self.open[id]
        return stream, push

    def _take_nameless(self, push: Push, line: bytes) -> None:
        if push.event != "progress":
            assert self.nameless, f"an event of nothing: {line!r}"
            return
        assert push.at is not None, line
        assert push.at >= self._progress, f"progress goes back from {self._progress}: {line!r}"
        self._progress = push.at
        for stream in self.open.values():
            stream.sent = push.at
