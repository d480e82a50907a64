"""The history of a run: the requests of all clients and the replies to them, to be judged at the end.

Times come from any one clock. An operation that returned before another was called came first.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any, Literal

import msgspec

from trioraft.testing.log_replies import decode_reply
from trioraft.wire.operations import OPERATIONS

Outcome = Literal["done", "conflict", "refused", "unknown"]
"""How an operation ended.

- `done`: it took effect.
- `conflict`: the state did not allow it; the reply shows that state.
- `refused`: it surely had no effect.
- `unknown`: it may have had an effect, or may still have one.
"""


class Answer(msgspec.Struct, frozen=True):
    """The fields of a reply; a field that it did not have is None."""

    value: bytes | None = None
    """After a get or a conflict: the key's value, None where the key is missing. After an incr: the sum."""
    rev: int | None = None
    created: int | None = None
    version: int | None = None
    deleted: int | None = None
    at: int | None = None


class Operation(msgspec.Struct):
    """One request of one client, about one key."""

    client: int
    kind: str
    """The name of the operation."""
    key: str
    called: float
    value: bytes = b"null"
    """The value that the key gets, as raw JSON."""
    by: int = 1
    """The number that an incr adds."""
    if_rev: int | None = None
    returned: float | None = None
    outcome: Outcome = "unknown"
    answer: Answer | None = None
    stale: bool = False
    """Whether a get may see an old state; yet never one older than its connection has seen."""
    connection: int | None = None
    """The connection on which it was asked; None where that was not noted."""
    place: int = 0
    """Its place among the requests of that connection."""

    def has(self, field: str) -> bool:
        """Whether requests of its kind have that field."""
        return field in OPERATIONS[self.kind].request.__struct_fields__

    def request(self, **more: object) -> dict[str, object]:
        """The fields of the request, as any client may send them, and the fields of `more`."""
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


class Request(msgspec.Struct):
    """One request of any kind, with its reply as it came: what the judge compares with the log."""

    client: int
    connection: int
    place: int
    """Its place among the requests of its connection."""
    asked: Mapping[str, Any]
    """Its fields."""
    called: float
    returned: float | None = None
    line: bytes | None = None
    """The reply; None while there is none."""


class History:
    """Operations in the order in which they were called."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.requests: list[Request] = []
        """The requests of every kind of those clients that note them."""
        self.synced: list[tuple[Request, float, int]] = []
        """For each watch that has caught up: when its client was told, and with which revision."""
        self._connections: dict[int, int] = {}
        """For each connection: how many requests were asked on it."""
        self._numbers = count()

    def connect(self) -> int:
        """Note a new connection of a client, and return its number. Threads may call this at once."""
        number = next(self._numbers)
        self._connections[number] = 0
        return number

    def call(self, operation: Operation, connection: int | None = None) -> Operation:
        """Note that an operation begins, on `connection` if given. Its outcome is unknown until `complete` is called.

        Call this for the operations of a connection in the order in which they are sent.
        """
        if connection is not None:
            operation.connection, operation.place = connection, self.take_place(connection)
        self.operations.append(operation)
        return operation

    def take_place(self, connection: int) -> int:
        """Note that a request of any kind is asked on that connection, and return its place among the others."""
        place = self._connections[connection]
        self._connections[connection] += 1
        return place

    def complete(self, operation: Operation, now: float, line: bytes) -> None:
        """Note the reply, a line as the node sent it. Raises DecodeError where it is none.

        A read that failed saw nothing. A write that failed with `applied` "no" had no effect; any other failed write
        may take effect now or later. Raises AssertionError for an error that the node itself calls a bug.
        """
        reply = decode_reply(line)
        operation.returned = now
        if reply.ok:
            operation.outcome = "done"
            value = _missing_as_none(reply.value, reply.rev) if operation.kind == "get" else bytes(reply.value)
            operation.answer = Answer(value, reply.rev, reply.created, reply.version, reply.deleted, reply.at)
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
        """How many operations have that outcome."""
        return sum(operation.outcome == outcome for operation in self.operations)


def say(operation: Operation) -> str:
    """Describe an operation for people."""
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
