"""Transactions, fences and locks at the door, and in their replies."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trioraft.kv import commands
from trioraft.kv.bounds import MAX_OPERATIONS
from trioraft.kv.items import LARGE_VALUE, Item
from trioraft.kv.queries import LockItem, LockPage
from trioraft.kv.results import Conflict, Counted, Deleted, Done, Queued, Refused, Written
from trioraft.kv.store import Store
from trioraft.wire.codec import decode, encode
from trioraft.wire.operations import OPERATION_OF, ReadTxn
from trioraft.wire.parsing import MAX_DEPTH, RequestError, parse_request
from trioraft.wire.replies import MAX_TRANSACTION_BYTES, as_of, locks_reply, result_reply, transaction_reply, whole
from trioraft.wire.results import decode_outcome, encode_outcome

GET = {"op": "get", "key": "a"}
PUT = {"op": "put", "key": "a", "value": 1}
ID = msgspec.Raw(b"7")


def read(fields: dict[str, Any]) -> Any:
    return parse_request(encode(fields))


def command_of(fields: dict[str, Any]) -> Any:
    request = read(fields)
    [command] = OPERATION_OF[type(request)].commands([request])
    return command


def refusal(fields: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(fields)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"then": [{**PUT, "key": ""}]}, "'then[0].key' is empty"),
        ({"then": [{"op": "put", "key": "a"}]}, "the field 'value' is missing in 'then[0]'"),
        ({"then": [GET, {**PUT, "if_rev": 3}]}, "there is no field 'if_rev' in 'then[1]'"),
        ({"then": [{"op": "delete", "prefix": "a"}]}, "there is no field 'prefix' in 'then[0]'"),
        ({"then": [{"op": "scan", "prefix": "a"}]}, "'then[0].op' cannot be 'scan'"),
        ({"then": [], "else": [{"key": "a"}]}, "the field 'op' is missing in 'else[0]'"),
        ({"then": [{"op": "incr", "key": "a", "by": 2**63}]}, "'then[0].by' must be at most 9223372036854775807"),
        ({"then": [GET] * (MAX_OPERATIONS + 1)}, "'then' may have 128 elements at most"),
        ({"then": [], "checks": [{"lease": 5}] * 129}, "'checks' may have 128 elements at most"),
        ({"then": [], "checks": [{"lease": 0}]}, "'checks[0].lease' must be at least 1"),
        ({"then": [PUT, {"op": "incr", "key": "a"}]}, "'then' writes a key twice"),
        ({"then": [PUT], "else": [PUT, {"op": "delete", "key": "a"}]}, "'else' writes a key twice"),
        ({"then": [PUT], "lock": "m"}, "'lock' and 'fence' come together"),
        ({"then": [PUT], "fence": 5}, "'lock' and 'fence' come together"),
    ],
)
def test_what_is_wrong_within_a_transaction_is_named(fields: dict[str, Any], why: str) -> None:
    error = refusal({"id": 7, "op": "txn", **fields})
    assert (error.code, error.message, error.id, error.applied) == ("bad_request", why, b"7", "no")
    assert error.hint.startswith("for example {")


@pytest.mark.parametrize(
    "check",
    [
        {},
        {"key": "a"},
        {"key": "a", "rev": 1, "exists": True},
        {"key": "a", "rev": 1, "lease": 3},
        {"lock": "m"},
        {"fence": 3},
        {"lock": "m", "fence": 3, "key": "a", "rev": 0},
        {"lease": 3, "lock": "m", "fence": 3},
        {"rev": 3},
        {"value": 3},
    ],
)
def test_a_check_is_about_one_thing(check: dict[str, Any]) -> None:
    error = refusal({"op": "txn", "then": [], "checks": [{"lease": 1}, check]})
    assert error.message == "'checks[1]' must have key and one of rev, value, exists; or lock and fence; or lease"


def nested(depth: int) -> msgspec.Raw:
    return msgspec.Raw(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "put", "key": "a", "value": None},
        {"op": "txn", "then": [{"op": "put", "key": "a", "value": None}]},
        {"op": "txn", "then": [], "else": [{"op": "put", "key": "a", "value": None}]},
        {"op": "txn", "then": [], "checks": [{"key": "a", "value": None}]},
    ],
)
def test_a_value_nests_as_deep_wherever_it_stands(fields: dict[str, Any]) -> None:
    def with_value(value: msgspec.Raw) -> dict[str, Any]:
        made = {**fields}
        for name, some in fields.items():
            if isinstance(some, list):
                made[name] = [{**one, "value": value} for one in some]
            elif some is None:
                made[name] = value
        return made

    read(with_value(nested(MAX_DEPTH)))
    for depth in (MAX_DEPTH + 1, MAX_DEPTH + 2, MAX_DEPTH + 50):
        assert refusal(with_value(nested(depth))).code == "too_deep"


def test_a_transaction_that_only_reads_is_a_read() -> None:
    request = read({"op": "txn", "id": 7, "checks": [{"lease": 3}], "then": [GET], "timeout_ms": 50, "min_rev": 9})
    assert isinstance(request, ReadTxn)
    assert OPERATION_OF[type(request)].kind == "read"
    assert (bytes(request.id), request.timeout_ms, request.min_rev) == (b"7", 50, 9)
    assert OPERATION_OF[type(request)].query(request) == commands.Txn(  # type: ignore[misc]
        request.checks, request.then, request.otherwise
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"then": [PUT]},
        {"then": [], "else": [{"op": "delete", "key": "a"}]},
        {"then": [GET], "client": "00000000-7", "seq": 1},
        {"then": [GET], "lock": "m", "fence": 3},
    ],
)
def test_any_other_is_a_write(fields: dict[str, Any]) -> None:
    assert OPERATION_OF[type(read({"op": "txn", **fields}))].kind == "write"


# Other writes


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "it takes either 'key' or 'prefix'"),
        ({"key": "a", "prefix": "a"}, "it takes either 'key' or 'prefix'"),
        ({"prefix": "a", "if_rev": 1}, "'if_rev' is for a 'key'"),
        ({"key": "a", "limit": 1}, "'limit' is for a 'prefix'"),
        ({"prefix": "a", "limit": 0}, "'limit' must be at least 1"),
        ({"prefix": "a", "limit": 10_001}, "'limit' must be at most 10000"),
    ],
)
def test_a_delete_is_of_a_key_or_of_a_prefix(fields: dict[str, Any], why: str) -> None:
    assert refusal({"op": "delete", **fields}).message == why


def test_what_a_request_becomes_in_the_log() -> None:
    assert command_of({"op": "delete", "prefix": ""}) == commands.DeletePrefix("", 1000)
    assert command_of({"op": "delete", "prefix": "a", "limit": 3}) == commands.DeletePrefix("a", 3)
    assert command_of({"op": "lock", "name": "m", "lease": 3}) == commands.Lock("m", 3, True)
    assert command_of({"op": "lock", "name": "m", "lease": 3, "wait_ms": 5}) == commands.Lock("m", 3, True)
    assert command_of({"op": "lock", "name": "m", "lease": 3, "wait_ms": 0}) == commands.Lock("m", 3, False)
    assert command_of({"op": "lease_grant"}) == commands.LeaseGrant(10_000)
    fenced = command_of({"op": "delete", "prefix": "a", "lock": "m", "fence": 9})
    assert fenced == commands.Fenced("m", 9, commands.DeletePrefix("a", 1000))
    assert command_of({"op": "unlock", "name": "m", "lease": 3, "fence": 9}) == commands.Unlock("m", 3, 9)


# Replies


def test_the_results_of_a_transaction_are_shown_as_each_operation_answers() -> None:
    results = [Item(b"[1]", 5, 4, 2), Item(b"2", 6, 6, 1, 3), None, Written(9), Deleted(1, 9), Counted(7, 9)]
    assert whole(result_reply(ID, Done(True, results, 9, 9))) == (
        b'{"id":7,"ok":true,"succeeded":true,"results":[{"value":[1],"rev":5,"created":4,"version":2},'
        b'{"value":2,"rev":6,"created":6,"version":1,"lease":3},'
        b'{"value":null,"rev":0,"created":0,"version":0},{"rev":9},{"deleted":1,"rev":9},{"value":7,"rev":9}],'
        b'"rev":9,"at":9}\n'
    )
    assert whole(transaction_reply(ID, Done(False, [], 0, 0), as_of(12))) == (
        b'{"id":7,"ok":true,"succeeded":false,"results":[],"rev":0,"at":12}\n'
    )


def test_values_beyond_the_bound_are_left_out_and_the_others_are_not_copied() -> None:
    large = Item(b'"%b"' % (b"x" * (MAX_TRANSACTION_BYTES // 2)), 5, 5, 1)
    small = Item(b"1", 6, 6, 1)
    reply = transaction_reply(ID, Done(True, [small, large, large, small, None], 0, 0), as_of(9))
    assert any(piece is large.value for piece in reply)
    assert len(large.value) >= LARGE_VALUE
    shown = decode(whole(reply))["results"]
    assert [("value" in one, one.get("omitted", False)) for one in shown] == [
        (True, False),
        (True, False),
        (False, True),
        (False, True),
        (True, False),
    ]
    assert shown[2]["rev"] == 5


def test_a_refused_transaction_names_the_operation_that_failed() -> None:
    refused = decode(whole(result_reply(ID, Refused("lease_expired", "why", "do", 3))))
    assert refused["error"] == {"code": "lease_expired", "message": "why", "hint": "do", "applied": "no", "failed": 3}
    conflict = decode(whole(result_reply(ID, Conflict("why", "do", 5, b"[1]", 0))))["error"]
    assert (conflict["failed"], conflict["rev"], conflict["value"], conflict["applied"]) == (0, 5, [1], "no")


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (Deleted(3, 9, True), {"deleted": 3, "more": True, "rev": 9}),
        (Deleted(0, 0, False), {"deleted": 0, "more": False, "rev": 0}),
        (Queued(2, 9), {"waiting": True, "ahead": 2}),
    ],
)
def test_what_else_a_write_answers(result: Any, shown: dict[str, Any]) -> None:
    assert decode(whole(result_reply(ID, result))) == {"id": 7, "ok": True, **shown}


def test_locks_are_listed_in_order() -> None:
    page = LockPage([LockItem("a", 3, 5, 0), LockItem("é", 3, 9, 2)], True)
    assert decode(whole(locks_reply(ID, page, as_of(12)))) == {
        "id": 7,
        "ok": True,
        "locks": [
            {"name": "a", "lease": 3, "fence": 5, "waiters": 0},
            {"name": "é", "lease": 3, "fence": 9, "waiters": 2},
        ],
        "more": True,
        "at": 12,
    }


# What is remembered


LONGEST = 2**63 - 1


def test_the_longest_outcomes_fit() -> None:
    """With the longest numbers, as each message of the store can be."""
    store = Store()
    index = LONGEST - 10
    results: list[Any] = []
    for command in (
        commands.Put("a", msgspec.Raw(b"1")),
        commands.Put("a", msgspec.Raw(b"1"), LONGEST),
        commands.Put("b", msgspec.Raw(b"1"), LONGEST),
        commands.Put("c", msgspec.Raw(b"1"), None, LONGEST),
        commands.LeaseGrant(1000),
        commands.Lock("m", index + 5),
        commands.Fenced("m", LONGEST, commands.Incr("a")),
        commands.Fenced("n", LONGEST, commands.Incr("a")),
    ):
        index += 1
        results.append(store.apply_all(index, [command]).get(index, Written(index)))
    for result in [*results, Done(True, [Item(b"1", 5, 5, 1)], LONGEST, LONGEST), Counted(-LONGEST, LONGEST)]:
        remembered = encode_outcome(result)
        assert len(remembered) <= 256
        assert encode_outcome(decode_outcome(remembered)) == remembered


def test_an_outcome_is_told_again_without_what_is_not_remembered() -> None:
    def again(result: Any) -> Any:
        return decode(whole(result_reply(ID, decode_outcome(encode_outcome(result)))))

    assert again(Done(True, [Written(9)], 9, 9))["results"] is None
    assert "value" not in again(Conflict("why", "do", 5, b"[1]"))["error"]
    assert again(Conflict("why", "do", 0, None))["error"]["value"] is None, "there was none"
    assert again(Deleted(1, 9)) == {"id": 7, "ok": True, "deleted": 1, "rev": 9}
