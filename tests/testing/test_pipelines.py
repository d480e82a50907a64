"""The generator of pipelines knows every operation, and its judge finds every impossible reply."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from trioraft.testing.answers import Judge, codes
from trioraft.testing.history import Answer, History
from trioraft.testing.pipelines import Exchange, Pipelines
from trioraft.wire.codec import encode
from trioraft.wire.operations import OPERATION_OF, OPERATIONS
from trioraft.wire.parsing import parse_request
from trioraft.wire.table import Request


class Scene:
    """A scene with few things to ask for."""

    key: Callable[[Any, str], str] = lambda self, op: "clé"  # noqa: ARG005
    value: Callable[[Any], bytes] = lambda self: b"[1, 2]"  # noqa: ARG005
    rev: Callable[[Any, str], int] = lambda self, key: 7  # noqa: ARG005
    snapshot: Callable[[Any], int] = lambda self: 7  # noqa: ARG005
    address: Callable[[Any], str] = lambda self: "new:1"  # noqa: ARG005
    removable: Callable[[Any], int] = lambda self: 9  # noqa: ARG005
    target: Callable[[Any], int] = lambda self: 1  # noqa: ARG005


def pipelines(seed: int = 1) -> Pipelines:
    return Pipelines(Random(seed), Scene())  # type: ignore[arg-type]


def test_each_operation_there_is_is_drawn_and_known_to_the_judge() -> None:
    assert {asked["op"] for asked in pipelines().draw(2000)} == set(OPERATIONS)
    assert sorted(asked["op"] for asked in pipelines().all()) == sorted(OPERATIONS)


def test_every_field_of_every_operation_is_drawn() -> None:
    some = pipelines()
    for op, row in OPERATIONS.items():
        drawn = {name for _ in range(300) for name in some.request(op)}
        for field in msgspec.structs.fields(row.request):
            assert field.encode_name in drawn, op


def test_what_is_drawn_is_legal() -> None:
    for asked in pipelines().draw(3000):
        assert OPERATION_OF[type(parse_request(encode(asked)))].name == asked["op"]


def test_a_new_operation_is_in_it_and_one_with_a_field_that_nobody_can_draw_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Touch(Request, tag="touch", kw_only=True, gc=False):
        key: str
        soft: bool = False

    class Rename(Request, tag="rename", kw_only=True, gc=False):
        new_name: str

    for name, kind in (("touch", Touch), ("rename", Rename)):
        row = msgspec.structs.replace(OPERATIONS["put"], name=name, request=kind)
        monkeypatch.setitem(OPERATIONS, name, row)
    assert pipelines().request("touch")["key"] == "clé"
    with pytest.raises(TypeError, match="'new_name' of 'rename'"):
        pipelines().request("rename")


@pytest.mark.parametrize("seed", range(20))
def test_pieces_are_the_whole_and_lines_are_the_requests(seed: int) -> None:
    some = pipelines(seed)
    requests = some.draw(20)
    data = some.lines(requests, end=True)
    assert b"".join(some.cut(data)) == data
    lines = [line for line in data.splitlines() if line.strip()]
    assert [json.loads(line)["op"] for line in lines] == [asked["op"] for asked in requests]


RIGHT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a missing key": (
        {"op": "get", "key": "k"},
        {"ok": True, "value": None, "rev": 0, "created": 0, "version": 0, "at": 0},
    ),
    "no id for none": ({"op": "ping"}, {"ok": True}),
    "more than was known": ({"op": "ping", "id": "a"}, {"id": "a", "ok": True, "more": 1}),
    "a conflict": (
        {"op": "delete", "key": "k", "if_rev": 3},
        {"ok": False, "error": {"code": "conflict", "message": "m", "hint": "h", "applied": "no", "rev": 4}},
    ),
}
_ERROR = {"code": "timeout", "message": "m", "hint": "h"}
WRONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another id": ({"op": "ping", "id": 1}, {"id": 2, "ok": True}),
    "an id for none": ({"op": "ping"}, {"id": 2, "ok": True}),
    "no id": ({"op": "ping", "id": 2}, {"ok": True}),
    "another reply": ({"op": "put", "key": "k", "value": 1}, {"ok": True, "value": 1}),
    "a missing key with a version": (
        {"op": "get", "key": "k"},
        {"ok": True, "value": None, "rev": 0, "created": 0, "version": 1, "at": 0},
    ),
    "keys out of order": (
        {"op": "scan", "keys_only": True},
        {
            "ok": True,
            "items": [{"key": k, "rev": 2, "created": 2, "version": 1} for k in ("b", "a")],
            "more": False,
            "at": 2,
        },
    ),
    "more than was asked for": (
        {"op": "scan", "keys_only": True, "limit": 1},
        {
            "ok": True,
            "items": [{"key": k, "rev": 2, "created": 2, "version": 1} for k in ("a", "b")],
            "more": False,
            "at": 2,
        },
    ),
    "another newcomer": (
        {"op": "add_member", "address": "a:1"},
        {"ok": True, "member": {"id": 3, "address": "b:1", "role": "learner"}},
    ),
    "a timeout that nobody has asked for": ({"op": "ping"}, {"ok": False, "error": _ERROR}),
    "a write that says nothing of its effect": (
        {"op": "put", "key": "k", "value": 1, "timeout_ms": 1},
        {"ok": False, "error": _ERROR},
    ),
    "a read that does": (
        {"op": "get", "key": "k", "timeout_ms": 1},
        {"ok": False, "error": {**_ERROR, "applied": "no"}},
    ),
    "a bug": ({"op": "snapshot"}, {"ok": False, "error": {**_ERROR, "code": "internal"}}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_can_be_a_reply_is_taken(name: str) -> None:
    asked, reply = RIGHT[name]
    assert Judge().take(asked, encode(reply)) == reply


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_one_is_refused_with_the_request(name: str) -> None:
    asked, reply = WRONG[name]
    with pytest.raises(AssertionError, match=asked["op"]):
        Judge().take(asked, encode(reply))


def test_a_connection_is_held_to_what_it_was_told_before() -> None:
    judge = Judge()
    judge.take({"op": "put", "key": "k", "value": 1}, b'{"ok":true,"rev":9}')
    with pytest.raises(AssertionError, match="it had applied entry 9"):
        judge.take({"op": "snapshot"}, b'{"ok":true,"index":8,"keys":1,"bytes":100}')
    judge.take({"op": "hello"}, b'{"ok":true,"version":"1","node":1,"protocol":[2,2]}')
    with pytest.raises(AssertionError, match="another node's"):
        judge.take({"op": "hello"}, b'{"ok":true,"version":"1","node":2,"protocol":[2,2]}')


READ = {"op": "get", "key": "k"}


def found(at: int, rev: int = 0) -> bytes:
    """The reply to a get as of `at`."""
    return encode(
        {"ok": True, "value": 1 if rev else None, "rev": rev, "created": rev, "version": int(rev > 0), "at": at}
    )


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (READ, found(8)),
        (READ, found(9, 10)),
        ({**READ, "min_rev": 11}, found(10)),
        ({**READ, "read": "stale"}, found(8)),
        ({"op": "put", "key": "k", "value": 1}, b'{"ok":true,"rev":9}'),
    ],
    ids=["older than before", "older than it shows", "older than was asked for", "stale", "a write before a read"],
)
def test_what_a_reply_reflects_goes_on_from_what_was_told_before(asked: dict[str, Any], line: bytes) -> None:
    judge = Judge()
    judge.take({"op": "get", "key": "other"}, found(9))
    with pytest.raises(AssertionError, match=r"reflects less|written before"):
        judge.take(asked, line)


def test_how_a_request_may_fail_follows_from_what_it_is() -> None:
    assert codes({"op": "ping"}) == set()
    assert codes({"op": "get", "key": "k", "read": "stale", "timeout_ms": 1}) == {"timeout", "leader_changed"}
    assert "not_leader" in codes({"op": "put", "key": "k", "value": 1, "forward": False})
    assert "membership" in codes({"op": "remove_member", "member": 1})
    assert "membership" not in codes({"op": "put", "key": "k", "value": 1})
    read, write = ({"op": "txn", "then": [{"op": op, "key": "k"}]} for op in ("get", "incr"))
    assert "shutting_down" in codes(write) - codes(read)


def test_what_a_scan_shows_is_in_the_history_as_reads() -> None:
    history = History()
    exchange = Exchange(5, history)
    exchange.ask({"op": "put", "key": "a", "value": msgspec.Raw(b"1")}, 1.0)
    exchange.ask({"op": "scan"}, 2.0)
    exchange.take(b'{"ok":true,"rev":2}', 3.0)
    item = b'{"key":"a","value":1,"rev":2,"created":2,"version":1}'
    exchange.take(b'{"ok":true,"items":[%b],"more":false,"at":2}' % item, 4.0)
    put, shown = history.operations
    assert (put.value, put.place, put.outcome) == (b"1", 0, "done")
    assert (shown.kind, shown.key, shown.place, shown.called, shown.returned) == ("get", "a", 1, 2.0, 4.0)
    assert shown.answer == Answer(b"1", 2, 2, 1, at=2)
    with pytest.raises(AssertionError, match="a reply to nothing"):
        exchange.take(b'{"ok":true}', 5.0)
