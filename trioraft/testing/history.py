"""What clients did and were told: the history that is judged when a run is over.

Times are of any clock, as long as it is one: an operation that returned before another was called came first.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from trioraft.wire.codec import Decoder
from trioraft.wire.operations import OPERATIONS

Outcome = Literal["done", "conflict", "refused", "unknown"]
"""Done and conflict: it took effect or was seen not to; refused: certain to have had none; unknown: either."""


class Answer(msgspec.Struct, frozen=True):
    """What a reply said; what it did not say is left out."""

    value: bytes | None = None
    """Of a get or a conflict: the key's value, None where it is missing. Of an incr: the sum."""
    rev: int | None = None
    created: int | None = None
    version: int | None = None
    deleted: int | None = None


class Operation(msgspec.Struct):
    """One request of one client, to one key."""

    client: int
    kind: str
    """Which operation it is; of those about one key."""
    key: str
    called: float
    value: bytes = b"null"
    """Of what gives the key a value: raw JSON."""
    by: int = 1
    """Of an incr."""
    if_rev: int | None = None
    returned: float | None = None
    outcome: Outcome = "unknown"
    answer: Answer | None = None
    stale: bool = False
    """Of a get: it may see the past, though none that its connection knows to be over."""
    connection: int | None = None
    """The connection that it was asked on; None where that is not noted."""
    place: int = 0
    """Its place among the requests of that connection."""

    def has(self, field: str) -> bool:
        """Whether requests of its kind have that field."""
        return field in OPERATIONS[self.kind].request.__struct_fields__

    def request(self, **more: object) -> dict[str, object]:
        """The fields of the request, to be sent by any client; `more` adds to them."""
        fields: dict[str, object] = {"op": self.kind, "key": self.key, **more}
        if self.has("value"):
            fields["value"] = msgspec.Raw(self.value)
        if self.has("by"):
            fields["by"] = self.by
        if self.if_rev is not None:
            fields["if_rev"] = self.if_rev
        if self.stale:
            fields["read"] = "stale"
        return fields


class _Error(msgspec.Struct):
    code: str
    applied: str | None = None
    rev: int | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")


class _Reply(msgspec.Struct):
    ok: bool
    error: _Error | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")
    rev: int | None = None
    created: int | None = None
    version: int | None = None
    deleted: int | None = None


_replies: Final = Decoder(_Reply)


class History:
    """Operations in the order in which they were called."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._connections: list[int] = []
        """Of each connection: how many requests it has asked."""

    def connect(self) -> int:
        """A client has a new connection; its number."""
        self._connections.append(0)
        return len(self._connections) - 1

    def call(self, operation: Operation, connection: int | None = None) -> Operation:
        """An operation begins, on that connection if it is given; until `complete` says more, its outcome is unknown.

        The operations of a connection are called in the order in which they are sent on it.
        """
        if connection is not None:
            operation.connection, operation.place = connection, self.take_place(connection)
        self.operations.append(operation)
        return operation

    def take_place(self, connection: int) -> int:
        """A request is asked on that connection, whether it is an operation or not; its place among the others."""
        place = self._connections[connection]
        self._connections[connection] += 1
        return place

    def complete(self, operation: Operation, now: float, line: bytes) -> None:
        """The reply to it came: the line as a node sent it. Raises DecodeError where it is none.

        A read that failed saw nothing, and a write that failed with applied "no" had no effect. A write that
        failed otherwise may take effect at any time, now or later. What a node itself calls a bug is an AssertionError.
        """
        reply: _Reply = _replies.decode(line)
        operation.returned = now
        if reply.ok:
            operation.outcome = "done"
            value = _missing_as_none(reply.value, reply.rev) if operation.kind == "get" else bytes(reply.value)
            operation.answer = Answer(value, reply.rev, reply.created, reply.version, reply.deleted)
            return
        error = reply.error
        assert error is not None, line
        assert error.code != "internal", line
        if error.code == "conflict":
            operation.outcome = "conflict"
            operation.answer = Answer(_missing_as_none(error.value, error.rev), error.rev)
        elif operation.kind == "get" or error.applied == "no":
            operation.outcome = "refused"
        else:
            operation.returned = None

    def count(self, outcome: Outcome) -> int:
        """How many operations ended so."""
        return sum(operation.outcome == outcome for operation in self.operations)


def say(operation: Operation) -> str:
    """An operation for people."""
    what = f"client {operation.client}: {operation.kind} {operation.key}"
    if operation.has("value"):
        what += f" {operation.value.decode()}"
    if operation.has("by"):
        what += f" by {operation.by}"
    if operation.if_rev is not None:
        what += f" if_rev {operation.if_rev}"
    if operation.stale:
        what += ", stale,"
    if operation.connection is not None:
        what += f" as request {operation.place} of connection {operation.connection}"
    answer = operation.answer
    told = (
        ""
        if answer is None
        else ", ".join(f"{name} {shown}" for name, shown in msgspec.structs.asdict(answer).items() if shown is not None)
    )
    return f"{what} [{operation.called} to {operation.returned}] {operation.outcome} {told}"


def _missing_as_none(value: msgspec.Raw, rev: int | None) -> bytes | None:
    return bytes(value) if rev else None
