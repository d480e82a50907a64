"""What a relay does with the lines of a pipeline and with the nodes that are lost: no socket, no clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioraft.client import NoNode
from trioraft.client.protocol import NotANode
from trioraft.client.relay import MOST_REQUESTS, Relay

NODE = "127.0.0.1:8000"
READ = {"op": "get", "key": "k"}
WRITE = {"op": "put", "key": "k", "value": 1}
ONCE = {**WRITE, "client": "3fa9c2d1-118", "seq": 1}
WATCH = {"op": "watch", "prefix": "", "id": 7}
WAITING = {"ok": True, "waiting": True, "at": 3, "cluster": "c"}


class Node:
    """A relay, and the node that it talks to."""

    def __init__(self) -> None:
        self.relay = Relay()
        self.relay.begin(0.0)
        self.sent: list[dict[str, Any]] = []
        """What this node was sent, and has not answered."""

    def ask(self, *requests: dict[str, Any], sent: bool = True) -> None:
        for request in requests:
            self.relay.ask(json.dumps(request).encode(), 0.0)
        if sent:
            self.take()

    def take(self) -> None:
        self.sent += [json.loads(line) for line in self.relay.take(10**9).splitlines()]

    def answer(self, **fields: Any) -> None:
        request = self.sent.pop(0)
        id_ = {"id": request["id"]} if "id" in request else {}
        self.push({**id_, "ok": True, **fields})

    def refuse(self, code: str, **fields: Any) -> None:
        self.answer(ok=False, error={"code": code, "message": "no", **fields})

    def push(self, fields: dict[str, Any]) -> None:
        self.relay.receive([json.dumps(fields).encode()])

    def is_lost(self, now: float = 0.0) -> None:
        """The next node is connected to."""
        self.relay.lost(NODE, "timed out")
        self.sent.clear()
        self.relay.begin(now)
        self.take()

    def out(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.relay.answers()]


def event(rev: int, **fields: Any) -> dict[str, Any]:
    return {"id": 7, "event": "put", "key": f"k{rev}", "value": 1, "rev": rev, **fields}


def test_lines_and_replies_pass_as_they_are() -> None:
    relay = Relay()
    line = b'  {"op" : "get", "key":"k","id": 1.50 }'
    relay.ask(line, 0.0)
    assert relay.take(10**9) == line + b"\n"
    reply = b'{"id":1.50,"ok":true,"value":1E+400,"at":3}'
    relay.receive([reply])
    assert relay.answers() == [reply]
    assert relay.is_done
    assert relay.first_refusal is None


@pytest.mark.parametrize("line", [b"get k", b"GET / HTTP/1.1", b"\x16\x03\x01", b"[]", b"7"])
def test_what_is_no_object_is_answered_here_in_its_turn(line: bytes) -> None:
    node = Node()
    node.ask({**READ, "id": 1})
    node.relay.ask(line, 0.0)
    assert node.out() == []
    node.answer()
    first, second = node.out()
    assert (first["id"], second["error"]["code"]) == (1, "bad_json")
    assert node.relay.is_done


@pytest.mark.parametrize("line", [b'{"op":"get"', b'{"op":7}', b"{}", b'{"op":"get","key":"\xff"}', b'{"op":"none"}'])
def test_what_is_wrong_with_an_object_the_node_says(line: bytes) -> None:
    relay = Relay()
    relay.ask(line, 0.0)
    assert relay.take(10**9) == line + b"\n"
    relay.receive([b'{"ok":false,"error":{"code":"bad_json","message":"no"}}'])
    assert len(relay.answers()) == 1
    assert relay.first_refusal is not None


def test_after_a_loss_what_does_no_harm_twice_is_asked_again_and_of_the_rest_it_is_said() -> None:
    node = Node()
    requests: list[dict[str, Any]] = [
        READ,
        {**WRITE, "id": "w"},
        ONCE,
        {"op": "unlock", "name": "l", "lease": 4},
        {"op": "of_the_future"},
    ]
    node.ask(*requests)
    node.ask(WRITE, sent=False)
    node.is_lost()
    assert node.sent == [READ, ONCE, requests[3], WRITE]  # the last had not been sent
    assert node.out() == []
    for _ in range(4):
        node.answer()
    out = node.out()
    assert [reply.get("error", {}).get("applied") for reply in out] == [None, "unknown", None, None, "unknown", None]
    assert (out[1]["id"], out[1]["error"]["code"]) == ("w", "lost")
    assert node.relay.is_done


def test_a_node_that_stops_costs_no_request() -> None:
    node = Node()
    node.ask(READ, WRITE, READ)
    node.answer()
    node.refuse("shutting_down", applied="no")
    node.refuse("shutting_down")
    assert node.relay.is_through
    node.is_lost()
    assert node.sent == [WRITE, READ]
    node.answer()
    node.answer()
    assert [reply["ok"] for reply in node.out()] == [True] * 3


def test_a_write_that_a_stopping_node_refuses_overtakes_none_that_it_carried_out() -> None:
    node = Node()
    node.ask(WRITE, WRITE, READ)
    node.refuse("shutting_down", applied="no")
    node.answer()
    node.refuse("shutting_down")
    node.is_lost()
    assert node.sent == [READ]
    node.answer()
    assert [reply["ok"] for reply in node.out()] == [False, True, True]


def test_a_write_that_a_stopping_node_refuses_overtakes_none_that_it_may_have_carried_out() -> None:
    node = Node()
    node.ask(WRITE, READ, WRITE)
    node.refuse("shutting_down", applied="no")
    node.is_lost()
    assert node.sent == [READ]
    node.answer()
    assert [reply.get("error", {}).get("applied") for reply in node.out()] == ["no", None, "unknown"]


@pytest.mark.parametrize("code", ["no_quorum", "timeout", "leader_changed", "overloaded", "shutting_down"])
def test_what_a_lost_node_may_have_applied_is_not_denied_by_the_next(code: str) -> None:
    node = Node()
    node.ask({**ONCE, "id": 5})
    node.is_lost()
    node.refuse(code, applied="no")
    if code == "shutting_down":
        node.relay.give_up(NoNode("no node can be reached", ""))
    [reply] = node.out()
    assert (reply["id"], reply["error"]["applied"]) == (5, "unknown")


def test_what_the_session_tells_of_a_write_asked_again_is_its_answer() -> None:
    node = Node()
    node.ask(ONCE)
    node.is_lost()
    node.refuse("conflict", applied="no")
    assert [reply["error"]["applied"] for reply in node.out()] == ["no"]


def test_a_write_that_waits_at_a_node_is_not_denied_when_the_time_is_over() -> None:
    node = Node()
    node.ask({**WRITE, "id": 1}, {**ONCE, "id": 2}, {**READ, "id": 3}, {**WRITE, "id": 4})
    node.refuse("shutting_down", applied="no")
    node.ask({**WRITE, "id": 5}, sent=False)
    assert node.relay.is_uncertain
    node.relay.give_up(NoNode("the time is over", ""))
    told = [(reply["id"], reply["error"].get("applied")) for reply in node.out()]
    assert told == [(1, "no"), (2, "unknown"), (3, None), (4, "unknown"), (5, "no")]


@pytest.mark.parametrize("code", ["no_quorum", "conflict", "timeout", "leader_changed"])
def test_any_other_refusal_is_an_answer(code: str) -> None:
    node = Node()
    node.ask(WRITE)
    node.refuse(code, applied="no")
    assert [reply["error"]["code"] for reply in node.out()] == [code]
    assert node.relay.is_done


def test_nothing_behind_a_line_that_is_too_long_was_read() -> None:
    node = Node()
    node.ask(WRITE, WRITE, READ)
    node.refuse("line_too_long")
    assert node.relay.is_through
    node.is_lost()
    assert node.sent == [WRITE, READ]


def test_where_no_node_is_left_each_request_is_answered_and_says_whether_it_was_applied() -> None:
    node = Node()
    node.ask({**READ, "id": 1}, {**ONCE, "id": 2}, {**WRITE, "id": 3})
    node.ask({**WRITE, "id": 4}, sent=False)
    node.relay.lost(NODE, "timed out")
    assert node.relay.is_uncertain
    node.relay.give_up(NoNode("no node can be reached", "start one"))
    told = [(reply["id"], reply["error"]["code"], reply["error"].get("applied")) for reply in node.out()]
    assert told == [(1, "no_node", None), (2, "no_node", "unknown"), (3, "lost", "unknown"), (4, "no_node", "no")]
    assert node.relay.is_done
    assert not node.relay.wants_node
    node.ask(READ)
    assert node.sent[-1] == READ


def test_a_watch_goes_on_at_another_node_and_shows_each_change_once() -> None:
    node = Node()
    node.ask({**WATCH, "progress_ms": 300}, READ)
    node.answer(**WAITING)
    node.answer()
    node.push(event(4, more=True))
    node.push(event(4, key="other"))
    node.push(event(5, more=True))
    assert len(node.out()) == 5
    node.is_lost()
    assert node.sent == [{**WATCH, "progress_ms": 300, "cluster": "c", "after_rev": 4}]
    node.answer(**WAITING)
    node.push(event(5, more=True))
    node.push(event(5, key="last"))
    node.push({"event": "progress", "at": 9})
    assert [push.get("key", push["event"]) for push in node.out()] == ["last", "progress"]
    node.is_lost()
    assert node.sent[0]["after_rev"] == 9
    node.answer(ok=False, error={"code": "compacted", "message": "gone"})
    assert node.out() == [{"id": 7, "event": "closed", "error": {"code": "compacted", "message": "gone"}}]
    assert node.relay.is_done
    assert node.relay.first_refusal is not None


def test_an_initial_watch_starts_over_until_it_is_synced() -> None:
    node = Node()
    node.ask({**WATCH, "initial": True})
    node.answer(**WAITING)
    node.is_lost()
    assert node.sent == [{**WATCH, "initial": True, "cluster": "c"}]
    node.answer(**WAITING)
    node.push({"id": 7, "event": "synced", "at": 8})
    node.is_lost()
    assert node.sent == [{**WATCH, "cluster": "c", "after_rev": 8}]


@pytest.mark.parametrize("code", ["shutting_down", "no_quorum", "overloaded"])
def test_what_a_node_ends_for_the_moment_goes_on_elsewhere(code: str) -> None:
    node = Node()
    node.ask(WATCH)
    node.answer(**WAITING)
    node.push({"id": 7, "event": "closed", "error": {"code": code, "message": "no"}})
    assert node.relay.is_through
    assert len(node.out()) == 1
    node.is_lost()
    node.refuse(code)
    assert node.relay.is_through
    assert node.out() == []
    node.is_lost()
    assert node.sent[0]["op"] == "watch"


@pytest.mark.parametrize(
    ("request_", "state", "told"),
    [
        ({"op": "wait", "key": "k", "exists": True, "id": "a"}, {"value": 1, "rev": 4}, "held"),
        ({"op": "lock", "name": "l", "lease": 3, "id": "a"}, {"fence": 8}, "locked"),
    ],
)
def test_a_wait_goes_on_for_the_time_that_is_left_and_its_end_is_an_event(
    request_: dict[str, Any], state: dict[str, Any], told: str
) -> None:
    node = Node()
    node.ask({**request_, "wait_ms": 5000})
    node.answer(**WAITING)
    node.is_lost(now=2.0)
    assert node.sent == [{**request_, "wait_ms": 3000}]
    node.answer(**state)
    assert node.out()[1:] == [{"id": "a", "event": told, **state}]
    assert node.relay.is_done


def test_the_end_of_the_time_of_a_wait_is_its_end() -> None:
    node = Node()
    node.ask({"op": "wait", "key": "k", "exists": True, "id": 1, "wait_ms": 5})
    node.answer(**WAITING)
    node.push({"id": 1, "event": "closed", "error": {"code": "timeout", "message": "over"}})
    assert len(node.out()) == 2
    assert node.relay.is_done


@pytest.mark.parametrize("wait_ms", ["1" + "0" * 400, "9" * 5000, "-5", "1.5", "null", '"x"'])
def test_a_time_that_no_node_takes_is_for_the_node_to_refuse(wait_ms: str) -> None:
    relay = Relay()
    line = b'{"op":"wait","key":"k","exists":true,"id":1,"wait_ms":%b}' % wait_ms.encode()
    relay.ask(line, 0.0)
    assert relay.take(10**9) == line + b"\n"


def test_what_is_cancelled_goes_on_nowhere() -> None:
    node = Node()
    node.ask(WATCH, {"op": "cancel", "request": 7})
    node.answer(**WAITING)
    assert not node.relay.is_done
    node.answer()
    assert node.relay.is_done
    node.is_lost()
    assert node.sent == []


@pytest.mark.parametrize("request_", [{"op": "watch", "prefix": ""}, {"op": "lock", "name": "l", "lease": 4}])
def test_what_goes_on_needs_an_id(request_: dict[str, Any]) -> None:
    node = Node()
    node.ask(request_)
    assert node.sent == []
    assert node.out()[0]["error"]["code"] == "bad_request"
    node.ask({**request_, "op": "lock", "wait_ms": 0})
    assert len(node.sent) == 1


def test_nothing_is_sent_before_a_node_that_was_silent_has_answered() -> None:
    node = Node()
    node.ask(WRITE, sent=False)
    node.relay.probe()
    node.take()
    assert node.sent == [{"op": "ping"}]
    assert not node.relay.can_send
    node.answer()
    node.take()
    assert node.sent == [WRITE]
    assert node.out() == []
    node.relay.lost(NODE, "timed out")
    assert len(node.out()) == 1


def test_there_is_an_end_to_what_is_taken() -> None:
    node = Node()
    node.ask(*[READ] * MOST_REQUESTS)
    assert not node.relay.has_room
    node.answer()
    assert node.relay.has_room
    node.ask({**WRITE, "value": "x" * 5_000_000})
    assert not node.relay.has_room


@pytest.mark.parametrize("line", [b"SSH-2.0", b'{"ok":true}', b'{"id":2,"ok":true}', b'{"id":1}'])
def test_what_no_node_says_is_an_error(line: bytes) -> None:
    node = Node()
    if line != b'{"ok":true}':
        node.ask({**READ, "id": 1})
    with pytest.raises((ValueError, NotANode)):
        node.relay.receive([line])


STEPS = st.lists(
    st.one_of(
        st.sampled_from([READ, WRITE, ONCE]).map(lambda request: ("ask", request)),
        st.sampled_from([("answer", {}), ("stop", {}), ("lose", {}), ("hold", {})]),
    ),
    max_size=40,
)


@given(STEPS)
def test_each_request_gets_one_reply_in_its_turn_and_a_write_is_sent_twice_only_in_a_session(
    steps: list[tuple[str, dict[str, Any]]],
) -> None:
    node = Node()
    asked: list[dict[str, Any]] = []
    sendings: list[int] = []
    refused: set[int] = set()

    def taken() -> None:
        before = len(node.sent)
        node.take()
        sendings.extend(request["id"] for request in node.sent[before:])

    def lose() -> None:
        node.relay.lost(NODE, "timed out")
        node.sent.clear()
        node.relay.begin(0.0)
        taken()

    for step, request in [*steps, ("end", {})]:
        if step == "ask":
            asked.append({**request, "id": len(asked)})
            node.ask(asked[-1], sent=False)
        elif step == "answer" and node.sent:
            node.answer()
        elif step == "stop" and node.sent:
            refused.add(node.sent[0]["id"])
            node.refuse("shutting_down", applied="no")
        elif step == "lose":
            lose()
        if step != "hold":
            taken()
    while not node.relay.is_done:
        if not node.sent:
            lose()
        node.answer()
        taken()
    assert [reply["id"] for reply in node.out()] == list(range(len(asked)))
    for request in asked:
        if request["op"] == "put" and "seq" not in request and request["id"] not in refused:
            assert sendings.count(request["id"]) == 1
