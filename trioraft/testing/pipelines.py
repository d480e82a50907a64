"""Random pipelines of legal requests of every operation, and the check of their replies.

The operations come from the program's own table, and the fields from the types of their requests, so a new operation
is included by itself. The value of a field is drawn by its name; where its type has only a few values, by its type.

    pipelines = Pipelines(random, scene)
    asked = pipelines.draw(20)                    # requests, with ids of all kinds or without
    for piece in pipelines.cut(pipelines.lines(asked)):
        ...                                       # send it
    exchange = Exchange(client, history)
    exchange.ask(asked[0], now)
    done = exchange.take(line, now)               # raises AssertionError where the line cannot be the reply
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from functools import cache
from random import Random
from typing import Any, Final, Protocol

import msgspec

from trioraft.raft.messages import NodeId
from trioraft.testing.answers import Asked, Judge, scanned
from trioraft.testing.belongings import Belongings, Fields
from trioraft.testing.history import Answer, History, Operation, Request
from trioraft.testing.streams import Push, Stream, Streams, is_push
from trioraft.wire.codec import encode
from trioraft.wire.operations import OPERATIONS

_USUAL, _RARE = 8, 1
"""The weights of operations. Changes of members and leader are rare, because nothing else happens while they last."""
_CHANCES: Final = {
    "timeout_ms": 0.05,
    "forward": 0.05,
    "if_rev": 0.25,
    "read": 0.3,
    "force": 0.2,
    "client": 0.1,
    "lock": 0.05,
    "lease": 0.15,
    "min_rev": 0.1,
    "cluster": 0.05,
}
"""How often an optional field is given; any other optional field is given every second time."""
_CHOICES: Final = {
    "timeout_ms": (1, 50, 400),
    "by": (1, 1, 5, -2),
    "limit": (1, 3, 10),
    "from": (1, 5, 20, 1000),
    "ttl_ms": (1000, 2000, 10_000),
    "wait_ms": (0, 1, 100, 1000),
    "max_age_ms": (1, 500, 60_000),
    "progress_ms": (100, 1000),
    "changes": (20, 60, 120),
    "bytes": (2_000, 20_000),
}
_WHENEVER: Final = ("timeout_ms", "forward")
"""The fields with which a request may fail even if nothing is wrong."""
ONE_OF: Final = {
    "delete": ("key", "prefix"),
    "watch": ("key", "prefix"),
    "wait": ("exists", "missing", "value", "rev_above"),
    "lease_keepalive": ("lease", "leases"),
}
"""The fields of which a request has exactly one."""
_ONLY_WITH: Final = {("delete", "if_rev"): "key", ("delete", "limit"): "prefix"}
"""The fields that stand only beside another one."""
_NOT_WITH: Final = {("watch", "initial"): "after_rev"}
"""The fields that do not stand beside another one."""
_OF_FAULTS: Final = ("kind", "nodes", "way", "ms", "percent", "for_ms", "heal")
_TOGETHER: Final = ("client", "seq", "acked", "lock", "fence", "max_age_ms", *_OF_FAULTS)
"""The fields of any request that are drawn at the end, because they depend on each other and on the rest."""
SHARED: Final = "any"
"""The prefix of keys that requests about many keys, leases and sessions touch. The judge of single keys omits them."""
_SHARED_KEY: Final = f"{SHARED}-"
_SHARED_KEYS: Final = 4
_NO_CLUSTER: Final = "00000000"
_AGAIN: Final = 0.03
"""How often a request that was asked before is asked again under its number."""


class Scene(Protocol):
    """The client's knowledge, from which the fields of requests are drawn."""

    def key(self, op: str) -> str:
        """A key for that operation."""

    def value(self) -> bytes:
        """The value of a put as raw JSON, a new one each time."""

    def rev(self, key: str) -> int:
        """The newest known revision of the key, or 0."""

    def snapshot(self) -> int:
        """An index at which a snapshot may end."""

    def address(self) -> str:
        """An address for a new member."""

    def removable(self) -> NodeId:
        """A member that may be removed, or an id that no member has."""

    def target(self) -> NodeId:
        """A node that may lead."""


class Pipelines:
    """Draws the requests of one client."""

    def __init__(self, random: Random, scene: Scene, changes: bool = True) -> None:
        """`changes`: whether to draw changes of the members and the leader too."""
        self.patient = False
        """Whether to leave out the fields with which a request may fail even if nothing is wrong."""
        self.belongings = Belongings(random)
        """What the requests may name; it learns from the replies."""
        self._operations = [op for op, row in OPERATIONS.items() if changes or row.kind != "leader"]
        self._weights = [_RARE if OPERATIONS[op].kind == "leader" else _USUAL for op in self._operations]
        self._random = random
        self._scene = scene

    def draw(self, count: int) -> list[Fields]:
        """Draw `count` requests of any operation, some of them asked before under the same number."""
        drawn = []
        for op in self._random.choices(self._operations, self._weights, k=count):
            again = self.belongings.again() if self._random.random() < _AGAIN else None
            drawn.append(self._with_id(again) if again is not None else self.request(op))
        return drawn

    def all(self) -> list[Fields]:
        """Draw one request of each operation, in any order."""
        return [self.request(op) for op in self._random.sample(self._operations, len(self._operations))]

    def leave_out(self, op: str) -> None:
        """Draw that operation no more, except in `all`."""
        pairs = zip(self._operations, self._weights, strict=True)
        self._weights = [0 if name == op else weight for name, weight in pairs]

    def request(self, op: str) -> Fields:
        """Draw a request of that operation."""
        asked = self._with_id({"op": op})
        fields = _fields(OPERATIONS[op].request)
        names = {name for name, _, _ in fields}
        choice = [name for name in ONE_OF.get(op, ()) if name in names]
        chosen = self._random.choice(choice) if choice else None
        for name, required, values in fields:
            if name in _TOGETHER and (op, name) != ("unlock", "fence"):
                continue
            if (self.patient and name in _WHENEVER) or (name in choice and name != chosen):
                continue
            if _ONLY_WITH.get((op, name), "op") not in asked:
                continue
            if _NOT_WITH.get((op, name)) in asked:
                continue
            if required or name == chosen or self._random.random() < _CHANCES.get(name, 0.5):
                asked[name] = self._draw_field(op, name, values, asked)
        self._draw_together(asked, names)
        return asked

    def lines(self, asked: Sequence[Asked], end: bool = False) -> bytes:
        """Encode the requests as a client may send them. At the `end` of all, the last line may lack its line end."""
        ends = self._random.choices((b"\n", b"\r\n", b"\n \n\r\n"), (18, 1, 1), k=len(asked))
        data = b"".join(encode(one) + mark for one, mark in zip(asked, ends, strict=True))
        return data.rstrip() if end and self._random.random() < 0.5 else data

    def cut(self, data: bytes) -> list[bytes]:
        """Cut the bytes into pieces that end anywhere."""
        places = sorted(self._random.randrange(len(data) + 1) for _ in range(self._random.choice((0, 1, 4))))
        pieces = [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]
        return [piece for piece in pieces if piece]

    def _with_id(self, asked: Fields) -> Fields:
        """The request with an id of its own, of any kind, or with none."""
        asked.pop("id", None)
        chance = self._random.random()
        if chance < 0.9:
            number = self._random.randrange(1_000_000)
            asked["id"] = number if chance < 0.8 else f"№ {number}"
        return asked

    def _draw_field(self, op: str, name: str, values: Sequence[object], asked: Fields) -> object:
        random, scene, belongings = self._random, self._scene, self.belongings
        match name:
            case "after" if op == "leases":
                return belongings.lease()
            case "key" | "after":
                return scene.key(op) if random.random() < 0.8 else self._shared_key()
            case "prefix":
                key = self._shared_key() if op == "delete" or random.random() < 0.2 else scene.key(op)
                return (
                    key[: random.randrange(3)] if op != "delete" else key[: random.choice((len(_SHARED_KEY), len(key)))]
                )
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
            case "exists" | "missing":
                return True
            case "min_rev" if op != "txn":  # one that is still to come, now and then; a txn that writes heeds it not
                return belongings.rev() + (0 if self.patient else random.choice((0, 0, 1, 3)))
            case "min_rev" | "after_rev" | "rev_above":
                return belongings.rev()
            case "lease":
                return belongings.lease()
            case "leases":
                return [belongings.lease() for _ in range(random.randrange(4))]
            case "name":
                return belongings.name()
            case "fence":
                asked["name"], asked["lease"], fence = belongings.held()
                return fence
            case "request":
                return belongings.id()
            case "client":
                return belongings.client()
            case "cluster":
                return _NO_CLUSTER
            case "checks":
                return [self._draw_check() for _ in range(random.randrange(3))]
            case "then" | "else":
                return self._draw_branch()
        if name in _CHOICES:
            return random.choice(_CHOICES[name])
        if values:
            return random.choice(values)
        raise TypeError(f"nobody knows what to draw for {name!r} of {op!r}")

    def _draw_together(self, asked: Fields, names: Collection[str]) -> None:
        """Add the fields that depend on each other."""
        random = self._random
        if "lock" in names and random.random() < _CHANCES["lock"]:
            asked["lock"], _, asked["fence"] = self.belongings.held()
        if asked["op"] == "close_session":
            asked["client"] = self.belongings.client()
        elif "client" in names and random.random() < _CHANCES["client"]:
            self.belongings.number(asked)
        if asked.get("read") == "stale" and "max_age_ms" in names and random.random() < 0.3:
            asked["max_age_ms"] = random.choice(_CHOICES["max_age_ms"])
        if "key" in asked and ("client" in asked or "lease" in asked):
            asked["key"] = self._shared_key()
        if asked["op"] == "fault":
            asked.update(self._draw_fault())

    def _shared_key(self) -> str:
        return f"{_SHARED_KEY}{self._random.randrange(_SHARED_KEYS)}"

    def _draw_fault(self) -> Fields:
        """The fields of a fault that soon ends by itself, or is healed, or shown."""
        random = self._random
        kind, heal = random.choice(("cut", "slow", "drop", "disk", None)), self.patient or random.random() < 0.4
        fault: Fields = {} if kind is None else {"kind": kind}
        if heal:
            fault["heal"] = True
        elif kind is not None:
            fault["for_ms"] = random.choice((1, 200, 700))
            how = {"slow": {"ms": random.choice((1, 100))}, "drop": {"percent": random.choice((5, 50, 100))}}
            fault |= how.get(kind, {})
        if kind == "disk" or not fault:
            return fault
        fault["nodes"] = [self._scene.target()]
        if random.random() < 0.5:
            fault["way"] = random.choice(("to", "from", "both"))
        return fault

    def _draw_check(self) -> Fields:
        random, belongings, key = self._random, self.belongings, self._shared_key()
        name, _, fence = belongings.held()
        return random.choice(
            (
                {"key": key, "rev": belongings.rev()},
                {"key": key, "value": msgspec.Raw(self._scene.value())},
                {"key": key, "exists": random.random() < 0.5},
                {"lock": name, "fence": fence},
                {"lease": belongings.lease()},
            )
        )

    def _draw_branch(self) -> list[Fields]:
        """Draw some reads and writes of shared keys; none is written twice."""
        random = self._random
        branch: list[Fields] = []
        for number in random.sample(range(_SHARED_KEYS), random.randrange(_SHARED_KEYS)):
            key = f"{_SHARED_KEY}{number}"
            if random.random() < 0.5:
                branch.append({"op": "get", "key": key})
            asked: Fields = {"op": random.choice(("put", "put", "delete", "incr")), "key": key}
            if asked["op"] == "put":
                asked["value"] = msgspec.Raw(self._scene.value())
                if random.random() < _CHANCES["lease"]:
                    asked["lease"] = self.belongings.lease()
            branch.append(asked)
        return branch


@cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, bool, Sequence[object]]]:
    """For each field but the id: its name, whether it is required, and its values where there are few."""
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
    """The entry of a request in the history of single keys; None where it does not belong there."""
    op = asked["op"]
    if OPERATIONS[op].kind not in ("read", "write") or asked.get("key", SHARED).startswith(SHARED):
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
    request: Request
    operation: Operation | None

    @property
    def asked(self) -> Asked:
        return self.request.asked


class Done(msgspec.Struct):
    """A request and its reply."""

    asked: Asked
    reply: dict[str, Any]
    operation: Operation | None
    """The entry in the history; None where the request is not about one key."""


class Told(msgspec.Struct):
    """An event of something that goes on."""

    stream: Stream | None
    """What it belongs to; None where it names nothing."""
    push: Push


class Exchange:
    """One connection as its client sees it: the requests that wait for a reply, and their part of the history."""

    def __init__(self, client: int, history: History, unread: str | None = None) -> None:
        """`unread`: the prefix of keys that a scan may show, but that are not noted as reads in the history."""
        self.waiting: deque[_Waiting] = deque()
        """The requests without a reply, in the order of asking."""
        self.streams = Streams()
        """What was asked on this connection and goes on."""
        self._client = client
        self._history = history
        self._number = history.connect()
        self._judge = Judge()
        self._unread = SHARED if unread is None else (SHARED, unread)

    def ask(self, asked: Asked, now: float, operation: Operation | None = None) -> None:
        """Note that a request is sent; `operation` is its entry in the history, if the caller has made one."""
        if operation is None:
            operation = operation_of(self._client, asked, now)
        place = self._history.take_place(self._number)
        if operation is not None:
            operation.called, operation.connection, operation.place = now, self._number, place
            self._history.call(operation)
        request = Request(self._client, self._number, place, asked, now)
        self._history.requests.append(request)
        self.waiting.append(_Waiting(request, operation))

    def take(self, line: bytes, now: float) -> Done | Told:
        """Match the next reply with its request, or the next event with what goes on.

        Raises AssertionError where the line cannot be that reply, or that event.
        """
        if is_push(line):
            stream, push = self.streams.take(line)
            if push.event == "synced" and stream is not None:
                self._history.synced.append((stream.request, now, push.at or 0))
            return Told(stream, push)
        assert self.waiting, f"a reply to nothing: {line!r}"
        one = self.waiting.popleft()
        reply = self._judge.take(one.asked, line)
        one.request.returned, one.request.line = now, line
        self.streams.replied(one.request, reply)
        if one.operation is not None:
            self._history.complete(one.operation, now, line)
        elif one.asked["op"] == "scan" and reply["ok"]:
            self._history.operations += self._shown_by_scan(one, line, now)
        return Done(one.asked, reply, one.operation)

    def unanswered_writes(self) -> list[Operation]:
        """The operations other than gets that wait for a reply, and may or may not take effect."""
        return [one.operation for one in self.waiting if one.operation is not None and one.operation.kind != "get"]

    def _shown_by_scan(self, one: _Waiting, line: bytes, now: float) -> list[Operation]:
        """Turn a scan into one read for each key that it has shown."""
        shown = scanned(line)
        return [
            Operation(
                self._client,
                "get",
                item.key,
                one.request.called,
                returned=now,
                outcome="done",
                answer=Answer(bytes(item.value), item.rev, item.created, item.version, at=shown.at),
                stale=one.asked.get("read") == "stale",
                connection=self._number,
                place=one.request.place,
            )
            for item in shown.items
            if bytes(item.value) and not item.key.startswith(self._unread)
        ]
