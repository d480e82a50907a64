"""Random pipelines of legal requests, of every operation there is, and what their replies can be.

Operations come from the program's own table, and the fields of each from the type that its requests are read into: a
new one is in it by itself. What is drawn for a field follows from its name, or, of a few values, from its type.

    pipelines = Pipelines(random, scene)
    asked = pipelines.draw(20)                    # requests, with ids of all kinds, and without
    for piece in pipelines.cut(pipelines.lines(asked)):
        ...                                       # send it
    exchange = Exchange(client, history)
    exchange.ask(asked[0], now)
    done = exchange.take(line, now)               # raises AssertionError where that is no reply to it
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any, Final, Protocol

import msgspec

from trioraft.raft.messages import NodeId
from trioraft.testing.answers import Asked, Judge, scanned
from trioraft.testing.history import Answer, History, Operation
from trioraft.wire.codec import encode
from trioraft.wire.operations import OPERATIONS

_USUAL, _RARE = 8, 1
"""How often each is drawn: where the members and the lead change all the time, nothing else comes to pass."""
_CHANCES: Final = {"timeout_ms": 0.05, "forward": 0.05, "if_rev": 0.25, "read": 0.3, "force": 0.2}
"""How often a field is given that need not be; the others are every second time."""
_CHOICES: Final = {"timeout_ms": (1, 50, 400), "by": (1, 1, 5, -2), "limit": (1, 3, 10), "from": (1, 5, 20, 1000)}
_WHENEVER: Final = ("timeout_ms", "forward")
"""With these a request may fail though nothing is wrong."""


class Scene(Protocol):
    """What there is to ask for, as far as who asks knows."""

    def key(self, op: str) -> str:
        """A key for that operation."""

    def value(self) -> bytes:
        """Of a put: raw JSON, another one each time."""

    def rev(self, key: str) -> int:
        """The newest revision known of the key, or 0."""

    def snapshot(self) -> int:
        """Where a snapshot may end."""

    def address(self) -> str:
        """Where a newcomer may be."""

    def removable(self) -> NodeId:
        """A member that may be let go, or somebody who is none."""

    def target(self) -> NodeId:
        """Who may lead."""


class Pipelines:
    """Draws what one client asks."""

    def __init__(self, random: Random, scene: Scene, changes: bool = True) -> None:
        """`changes`: whether changes of the members and of who leads are among them."""
        self.patient = False
        """Whether nothing is drawn that makes requests fail though nothing is wrong."""
        self._operations = [op for op, row in OPERATIONS.items() if changes or row.kind != "leader"]
        self._weights = [_RARE if OPERATIONS[op].kind == "leader" else _USUAL for op in self._operations]
        self._random = random
        self._scene = scene

    def draw(self, count: int) -> list[dict[str, Any]]:
        """So many requests of any kind."""
        return [self.request(op) for op in self._random.choices(self._operations, self._weights, k=count)]

    def all(self) -> list[dict[str, Any]]:
        """One request of each kind, in any order."""
        return [self.request(op) for op in self._random.sample(self._operations, len(self._operations))]

    def leave_out(self, op: str) -> None:
        """Draw no more of these, but where one of each kind is asked for."""
        pairs = zip(self._operations, self._weights, strict=True)
        self._weights = [0 if name == op else weight for name, weight in pairs]

    def request(self, op: str) -> dict[str, Any]:
        """A request of that kind."""
        asked: dict[str, Any] = {}
        chance = self._random.random()
        if chance < 0.9:
            number = self._random.randrange(1_000_000)
            asked["id"] = number if chance < 0.8 else f"№ {number}"
        asked["op"] = op
        for name, required, values in _fields(OPERATIONS[op].request):
            if self.patient and name in _WHENEVER:
                continue
            if required or self._random.random() < _CHANCES.get(name, 0.5):
                asked[name] = self._draw_field(op, name, values, asked)
        return asked

    def lines(self, asked: Sequence[Asked], end: bool = False) -> bytes:
        """The requests as they may be sent; where it is the `end` of all, the last line need not say so."""
        ends = self._random.choices((b"\n", b"\r\n", b"\n \n\r\n"), (18, 1, 1), k=len(asked))
        data = b"".join(encode(one) + mark for one, mark in zip(asked, ends, strict=True))
        return data.rstrip() if end and self._random.random() < 0.5 else data

    def cut(self, data: bytes) -> list[bytes]:
        """Pieces that end anywhere."""
        places = sorted(self._random.randrange(len(data) + 1) for _ in range(self._random.choice((0, 1, 4))))
        pieces = [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]
        return [piece for piece in pieces if piece]

    def _draw_field(self, op: str, name: str, values: Sequence[object], asked: Asked) -> object:
        random, scene = self._random, self._scene
        match name:
            case "key" | "after":
                return scene.key(op)
            case "prefix":
                return scene.key(op)[: random.randrange(3)]
            case "value":
                return msgspec.Raw(scene.value())
            case "if_rev":
                return random.choice((0, scene.rev(asked["key"]), scene.rev(asked["key"])))
            case "index":
                return scene.snapshot()
            case "offset":
                return random.choice((0, random.randrange(1000), 10**9))
            case "address":
                return scene.address()
            case "member":
                return scene.removable()
            case "target":
                return scene.target()
            case "forward":
                return False
        if name in _CHOICES:
            return random.choice(_CHOICES[name])
        if values:
            return random.choice(values)
        raise TypeError(f"nobody knows what to draw for {name!r} of {op!r}")


@cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, bool, Sequence[object]]]:
    """Of each field of such requests, but the id: its name, whether it has to be there, and its values, if few."""
    found: list[tuple[str, bool, Sequence[object]]] = []
    for field in msgspec.structs.fields(kind):
        known = msgspec.inspect.type_info(field.type)
        values: Sequence[object] = ()
        if isinstance(known, msgspec.inspect.BoolType):
            values = (False, True)
        elif isinstance(known, msgspec.inspect.LiteralType):
            values = known.values
        if field.encode_name != "id":
            found.append((field.encode_name, field.required, values))
    return found


def operation_of(client: int, asked: Asked, now: float) -> Operation | None:
    """The request as a history has it, where it is about one key."""
    op = asked["op"]
    if not OPERATIONS[op].takes_key:
        return None
    return Operation(
        client,
        op,
        asked["key"],
        now,
        value=bytes(asked.get("value", b"null")),
        by=asked.get("by", 1),
        if_rev=asked.get("if_rev"),
        stale=asked.get("read") == "stale",
    )


class _Waiting(msgspec.Struct):
    asked: Asked
    operation: Operation | None
    place: int
    called: float


class Done(msgspec.Struct):
    """A request that has been answered."""

    asked: Asked
    reply: dict[str, Any]
    operation: Operation | None
    """As the history has it, where it is about one key."""


class Exchange:
    """A connection as its client knows it: what has been asked and not answered yet, and the history of it all."""

    def __init__(self, client: int, history: History, unread: str | None = None) -> None:
        """`unread`: how the keys begin of which the history is to have no reads, where a scan shows them."""
        self.waiting: deque[_Waiting] = deque()
        """In order."""
        self._client = client
        self._history = history
        self._number = history.connect()
        self._judge = Judge()
        self._unread = unread

    def ask(self, asked: Asked, now: float, operation: Operation | None = None) -> None:
        """A request is sent; `operation` is what a history is to have of it, where that has been made already."""
        if operation is None:
            operation = operation_of(self._client, asked, now)
        place = self._history.take_place(self._number)
        if operation is not None:
            operation.called, operation.connection, operation.place = now, self._number, place
            self._history.call(operation)
        self.waiting.append(_Waiting(asked, operation, place, now))

    def take(self, line: bytes, now: float) -> Done:
        """The next reply. Raises AssertionError where it can be none."""
        assert self.waiting, f"a reply to nothing: {line!r}"
        one = self.waiting.popleft()
        reply = self._judge.take(one.asked, line)
        if one.operation is not None:
            self._history.complete(one.operation, now, line)
        elif one.asked["op"] == "scan" and reply["ok"]:
            self._history.operations += self._shown_by_scan(one, line, now)
        return Done(one.asked, reply, one.operation)

    def unanswered_writes(self) -> list[Operation]:
        """What has been asked, and may or may not come to pass."""
        return [one.operation for one in self.waiting if one.operation is not None and one.operation.kind != "get"]

    def _shown_by_scan(self, one: _Waiting, line: bytes, now: float) -> list[Operation]:
        """What it has shown of each key, as if each had been read by itself."""
        return [
            Operation(
                self._client,
                "get",
                item.key,
                one.called,
                returned=now,
                outcome="done",
                answer=Answer(bytes(item.value), item.rev, item.created, item.version),
                stale=one.asked.get("read") == "stale",
                connection=self._number,
                place=one.place,
            )
            for item in scanned(line).items
            if bytes(item.value) and not (self._unread and item.key.startswith(self._unread))
        ]
