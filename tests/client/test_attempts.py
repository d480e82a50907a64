"""The decisions of a client, by table: no socket, no clock, no thread."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trioraft.addresses import Address
from trioraft.client import ClientError, NoNode, Refused, Reply, Unknown, attempts
from trioraft.client.attempts import (
    CONNECT_SECONDS,
    FIRST_LOOK_SECONDS,
    FIRST_PAUSE_SECONDS,
    LONG_REPLY_SECONDS,
    LONGEST_PAUSE_SECONDS,
    REPEAT_SECONDS,
    REPLY_SECONDS,
    RETRY_SECONDS,
    SECOND_LOOK_SECONDS,
    SHORTEST_WAIT,
    SILENCE_SECONDS,
    Attempts,
    Nodes,
    Search,
)
from trioraft.wire.replies import error_reply

A, B, C = (Address("127.0.0.1", port) for port in (1, 2, 3))
SOON, LATE = RETRY_SECONDS / 2, RETRY_SECONDS * 2
LOST = "lost"

READS = ["get", "scan", "status", "show_log", "snapshot"]
WRITES = ["put", "delete", "incr", "add_member", "remove_member", "promote_member", "transfer_leadership"]


def decision(op: str, happened: str, applied: str | None, nodes: int, now: float, **fields: Any) -> str:
    """The decision: "again", or the name of the error that is raised."""
    sent = Attempts({"op": op, **fields}, nodes, 0.0)
    try:
        if happened == LOST:
            sent.lost(A, "timed out", now)
        else:
            sent.refused(Reply(error_reply(b"1", happened, "it failed", "", applied)), now)
    except ClientError as error:
        return type(error).__name__
    return "again"


@pytest.mark.parametrize(
    ("ops", "happened", "applied", "nodes", "now", "expected"),
    [
        (READS, LOST, None, 3, SOON, "again"),
        (READS, LOST, None, 1, SOON, "again"),
        (READS, LOST, None, 3, LATE, "NoNode"),
        (WRITES, LOST, None, 3, SOON, "Unknown"),
        (WRITES, LOST, None, 1, LATE, "Unknown"),
        (READS, "no_quorum", None, 3, SOON, "again"),
        (READS, "no_quorum", None, 3, LATE, "Refused"),
        (READS, "no_quorum", None, 1, SOON, "Refused"),  # the same node would answer the same
        (READS, "compacted", None, 3, SOON, "Refused"),
        (READS, "bad_request", None, 3, SOON, "Refused"),
        (WRITES, "shutting_down", "no", 3, SOON, "again"),
        (WRITES, "leader_changed", "no", 3, SOON, "again"),
        (WRITES, "not_leader", "no", 2, SOON, "again"),
        (WRITES, "no_quorum", "no", 3, SOON, "again"),
        (WRITES, "no_quorum", "no", 3, LATE, "Refused"),
        (WRITES, "no_quorum", "no", 1, SOON, "Refused"),
        (WRITES, "leader_changed", "unknown", 3, SOON, "Refused"),
        (WRITES, "leader_changed", None, 3, SOON, "Refused"),
        (WRITES, "timeout", "unknown", 3, SOON, "Refused"),
        (WRITES, "conflict", "no", 3, SOON, "Refused"),
        (["of_another_version"], LOST, None, 3, SOON, "Unknown"),
    ],
)
def test_a_request_goes_out_again_only_where_that_does_no_harm_and_may_help(
    ops: list[str], happened: str, applied: str | None, nodes: int, now: float, expected: str
) -> None:
    assert {op: decision(op, happened, applied, nodes, now) for op in ops} == dict.fromkeys(ops, expected)


@pytest.mark.parametrize(
    ("happened", "applied", "nodes", "now", "expected"),
    [
        (LOST, None, 3, SOON, "again"),
        (LOST, None, 1, RETRY_SECONDS * 2, "again"),
        (LOST, None, 3, REPEAT_SECONDS * 2, "Unknown"),
        ("leader_changed", "unknown", 3, SOON, "again"),
        ("timeout", "unknown", 1, SOON, "again"),
        ("timeout", "unknown", 1, REPEAT_SECONDS * 2, "Refused"),
        ("timeout", "no", 3, SOON, "Refused"),
        ("timeout", "unknown", 3, LATE, "again"),
        ("no_quorum", "no", 3, SOON, "again"),
        ("no_quorum", "no", 3, LATE, "Refused"),
        ("no_quorum", "no", 1, SOON, "Refused"),
        ("conflict", "no", 3, SOON, "Refused"),
        ("session_expired", "unknown", 3, SOON, "Refused"),
        ("seq_too_old", "unknown", 3, SOON, "Refused"),
    ],
)
def test_a_write_that_is_applied_once_goes_out_again_whatever_became_of_it(
    happened: str, applied: str | None, nodes: int, now: float, expected: str
) -> None:
    assert decision("put", happened, applied, nodes, now, client="3fa9c2d1-118", seq=1) == expected


@pytest.mark.parametrize("op", ["lease_grant", "lease_revoke", "lock", "unlock", "open_session"])
def test_a_write_that_does_no_harm_twice_is_tried_no_longer_than_any_other(op: str) -> None:
    assert decision(op, LOST, None, 3, SOON) == "again"
    assert decision(op, LOST, None, 3, LATE) == "Unknown"
    assert decision(op, "timeout", "unknown", 3, SOON) == "again"
    assert decision(op, "timeout", "unknown", 3, LATE) == "Refused"
    assert decision(op, "no_quorum", "no", 3, SOON) == "again"
    assert decision(op, "no_quorum", "no", 3, LATE) == "Refused"


@pytest.mark.parametrize(
    ("second", "applied", "expected"),
    [
        ("no_quorum", "no", "Unknown"),
        ("timeout", "no", "Unknown"),
        ("overloaded", "no", "Unknown"),
        ("conflict", "no", "Refused"),  # the cluster knows this write, or has decided on it now
        ("session_expired", "unknown", "Refused"),
    ],
)
def test_what_a_later_attempt_did_not_apply_an_earlier_one_may_have(second: str, applied: str, expected: str) -> None:
    sent = Attempts({"op": "put", "client": "c", "seq": 1}, 1, 0.0)
    sent.lost(A, "timed out", 0.0)
    with pytest.raises(ClientError) as error:
        sent.refused(Reply(error_reply(b"1", second, "it failed", "", applied)), SOON)
    assert type(error.value).__name__ == expected


def test_where_no_node_is_left_a_write_that_was_sent_before_may_have_been_applied() -> None:
    sent = Attempts({"op": "put", "client": "c", "seq": 1}, 3, 0.0)
    sent.lost(A, "timed out", 0.0)
    assert sent.unreachable(NoNode("no node can be reached"), SOON) >= 0.0
    with pytest.raises(Unknown):
        sent.unreachable(NoNode("no node can be reached"), REPEAT_SECONDS * 2)


@pytest.mark.parametrize("code", ["no_quorum", "shutting_down", "overloaded", "timeout"])
def test_one_that_insists_asks_the_only_node_again(code: str) -> None:
    sent = Attempts({"op": "get"}, 1, 0.0, math.inf, insists=True)
    refused = Reply(error_reply(b"1", code, "it failed", "", None))
    assert [sent.refused(refused, 1e6) for _ in range(3)] == [FIRST_PAUSE_SECONDS * 2**n for n in range(3)]
    for _ in range(2000):
        sent.lost(None, "timed out", 1e6)
    assert sent.lost(None, "timed out", 1e6) == LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize("insists", [False, True])
def test_what_one_node_does_not_know_is_asked_of_each_other_once(insists: bool) -> None:
    sent = Attempts({"op": "watch"}, 3, 0.0, math.inf, insists=insists)
    unknown = Reply(error_reply(b"1", "unknown_op", "there is no operation 'watch'", "", None))
    assert [sent.refused(unknown, SOON) for _ in range(2)] == [0.0, 0.0]
    with pytest.raises(Refused):
        sent.refused(unknown, SOON)


def test_what_a_node_is_to_answer_by_itself_goes_to_no_other() -> None:
    assert decision("put", "not_leader", "no", 3, SOON, forward=False) == "Refused"
    assert decision("put", "not_leader", "no", 3, SOON, forward=True) == "again"


@pytest.mark.parametrize(("op", "applied"), [("put", "no"), ("transfer_leadership", "no"), ("get", None)])
def test_where_no_node_is_reached_a_write_was_not_applied(op: str, applied: str | None) -> None:
    with pytest.raises(NoNode) as error:
        Attempts({"op": op}, 3, 0.0).unreachable(NoNode("no node can be reached"), 0.0)
    assert error.value.applied == applied


def test_errors_say_what_happened_and_what_to_do() -> None:
    with pytest.raises(Unknown, match=rf"{A} did not answer \(timed out\): the write may have been applied") as unknown:
        Attempts({"op": "put"}, 3, 0.0).lost(A, "timed out", 0.0)
    assert unknown.value.hint == "read the key before you write it again"
    with pytest.raises(NoNode, match=f"{A} did not answer: timed out") as unreachable:
        Attempts({"op": "get"}, 3, 0.0).lost(A, "timed out", LATE)
    assert unreachable.value.hint.startswith("start the nodes")
    assert attempts.pipeline_lost(A, "reset", 3, 7).message == f"{A} was lost after 3 of 7 replies: reset"


def test_each_node_is_asked_without_a_pause_and_then_the_pauses_grow() -> None:
    sent = Attempts({"op": "get"}, 3, 0.0)
    pauses = [sent.lost(A, "timed out", 0.0) for _ in range(10)]
    assert pauses[:2] == [0.0, 0.0]
    assert pauses[2:5] == [FIRST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2, FIRST_PAUSE_SECONDS * 4]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_no_pause_is_longer_than_the_time_that_is_left() -> None:
    sent = Attempts({"op": "get"}, 1, 0.0)
    assert sent.lost(A, "timed out", RETRY_SECONDS - FIRST_PAUSE_SECONDS / 2) == pytest.approx(FIRST_PAUSE_SECONDS / 2)
    refused = Reply(error_reply(b"1", "no_quorum", "", "", None))
    assert Attempts({"op": "get"}, 2, 0.0).refused(refused, RETRY_SECONDS) == 0.0


def test_who_failed_is_tried_last_and_who_answered_first() -> None:
    nodes = Nodes([A, B, C])
    nodes.failed(A)
    assert list(nodes) == [B, C, A]
    nodes.answered(A)
    assert list(nodes) == [A, B, C]
    nodes.answered(C)
    assert list(nodes) == [C, A, B]
    nodes.failed(None)
    nodes.failed(Address("127.0.0.1", 4))
    assert list(nodes) == [C, A, B]
    assert len(nodes) == 3


def test_a_search_gives_each_a_short_look_and_the_silent_ones_a_longer_one() -> None:
    search = Search(Nodes([A, B, C]), None, 0.0)
    assert search.next(0.0) == (A, FIRST_LOOK_SECONDS)
    search.failed(A, "timed out", silent=True)
    assert search.next(0.0) == (B, FIRST_LOOK_SECONDS)
    search.failed(B, "Connection refused", silent=False)
    assert search.next(0.0) == (C, FIRST_LOOK_SECONDS)
    search.failed(C, "timed out", silent=True)
    assert search.next(0.0) == (A, SECOND_LOOK_SECONDS)
    assert search.next(CONNECT_SECONDS - 1.0) == (C, 1.0)
    assert search.next(CONNECT_SECONDS) is None
    assert search.error().message == (
        f"no node can be reached ({A}: timed out; {B}: Connection refused; {C}: timed out)"
    )


def test_the_only_node_is_looked_at_once_and_long() -> None:
    search = Search(Nodes([A]), None, 0.0)
    assert search.next(0.0) == (A, SECOND_LOOK_SECONDS)
    assert search.next(0.0) is None


def test_a_search_ends_in_time_and_tells_whom_it_did_not_try() -> None:
    search = Search(Nodes([A, B]), 0.5, 10.0)
    assert search.next(10.0) == (A, 0.25)
    search.failed(A, "timed out", silent=True)
    assert search.next(10.5) is None
    assert search.error().message == f"no node can be reached ({A}: timed out; {B}: not tried)"


@pytest.mark.parametrize(
    ("op", "timeout", "seconds"),
    [
        ("get", None, REPLY_SECONDS),
        ("put", None, REPLY_SECONDS),
        ("scan", None, LONG_REPLY_SECONDS),
        ("snapshot", None, LONG_REPLY_SECONDS),
        ("add_member", None, LONG_REPLY_SECONDS),
        ("get", 2.0, 2.0),
        ("scan", 2.0, 2.0),
    ],
)
def test_how_long_a_reply_may_take(op: str, timeout: float | None, seconds: float) -> None:
    assert attempts.reply_seconds(op, timeout) == seconds


@pytest.mark.parametrize(
    ("left", "wait"),
    [
        (REPLY_SECONDS, (SILENCE_SECONDS, False)),
        (SILENCE_SECONDS, (SILENCE_SECONDS, True)),
        (SILENCE_SECONDS / 2, (SILENCE_SECONDS / 2, True)),
        (-1.0, (SHORTEST_WAIT, True)),
    ],
)
def test_a_silent_node_is_asked_in_between_whether_it_is_there(left: float, wait: tuple[float, bool]) -> None:
    assert attempts.next_wait(left) == wait


def test_the_addresses_of_a_name_share_what_is_left() -> None:
    assert [attempts.share(left, places) for left, places in ((2.0, 2), (1.0, 1), (-1.0, 1))] == [
        1.0,
        1.0,
        SHORTEST_WAIT,
    ]


def test_only_an_answer_of_a_moment_ago_is_fresh() -> None:
    assert attempts.is_fresh(1.0, 1.0)
    assert not attempts.is_fresh(1.0, 1.0 + attempts.FRESH_SECONDS)


def test_a_refusal_is_raised_as_it_came() -> None:
    reply = Reply(error_reply(b"1", "conflict", "it has revision 2", "read it again", "no"))
    with pytest.raises(Refused, match="it has revision 2") as refused:
        Attempts({"op": "put"}, 3, 0.0).refused(reply, 0.0)
    assert (refused.value.code, refused.value.applied, refused.value.reply) == ("conflict", "no", reply)
