"""How long a command tries: --timeout, after which it ends, and --retry, up to which it goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import pytest
from trioraft_cli import cluster, locks, outcomes
from trioraft_cli.deadlines import ending_within

from trioraft.client import blocking, streams

from ..helpers.fake_nodes import FakeNode, Make
from .conftest import Call

VALUE = {"value": 1, "rev": 3, "created": 3, "version": 1, "at": 3}
NO_QUORUM = {"ok": False, "error": {"code": "no_quorum", "message": "no leader", "applied": "no"}}
OVERLOADED = {"ok": False, "error": {"code": "overloaded", "message": "too much waits", "applied": "no"}}
SHORT = "0.3"


def knows_it(request: dict[str, Any]) -> dict[str, Any]:
    return {"client": "3fa9c2d1-118"} if request["op"] == "open_session" else {**VALUE, "deleted": 1}


def hangs(*ops: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """Answers of a node that takes these requests, and never answers them."""
    return lambda request: None if request["op"] in ops else knows_it(request)


def refusing(answer: dict[str, Any], times: int, *ops: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Answers of a node that cannot do these so many times, and then can."""
    answers = chain(repeat(answer, times), repeat(None))
    return lambda request: (request["op"] in ops and next(answers)) or knows_it(request)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("put", "k", "1"), outcomes.UNKNOWN, "not done within 0.3 s: it may have been applied, or may still be"),
        (("put", "k", "1", "--once"), outcomes.UNKNOWN, "not done within 0.3 s: it may have been applied"),
        (("delete", "--prefix", "k"), outcomes.UNKNOWN, "not done within 0.3 s: it may have been applied"),
        (("get", "k"), outcomes.NOT_NOW, "not done within 0.3 s\n"),
        (("scan",), outcomes.NOT_NOW, "not done within 0.3 s\n"),
    ],
)
def test_a_command_ends_when_its_time_is_over_and_says_whether_it_was_applied(
    fake: Make, call: Call, words: tuple[str, ...], code: int, said: str
) -> None:
    node = fake(hangs("put", "delete", "get", "scan"))
    ended, out, err = call(node, *words, "--timeout", SHORT)
    assert (ended, out) == (code, "")
    assert said in err


@pytest.mark.parametrize("words", [("put", "k", "1"), ("delete", "--prefix", "k"), ("get", "k"), ("members",)])
def test_what_was_not_sent_was_not_applied(fake: Make, call: Call, words: tuple[str, ...]) -> None:
    code, _, err = call(fake(None), *words, "--timeout", SHORT)
    assert (code, err) == (outcomes.NOT_NOW, "trioraft: not done within 0.3 s\n")


def test_what_is_done_in_parts_may_have_been_applied_in_part(fake: Make, call: Call) -> None:
    answers = iter([{"deleted": 1000, "rev": 4, "more": True}])
    node = fake(lambda request: next(answers, None) if request["op"] == "delete" else {})
    assert call(node, "delete", "--prefix", "k", "--timeout", SHORT)[0] == outcomes.UNKNOWN


def test_a_node_is_told_to_answer_in_time(fake: Make, call: Call) -> None:
    told: list[int] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "put":
            return {}
        told.append(request["timeout_ms"])
        error = {"code": "timeout", "message": "its time is over", "applied": "no"}
        return {"ok": False, "error": error}

    code, _, err = call(fake(answer), "put", "k", "1", "--timeout", "2")
    assert (code, err) == (outcomes.NOT_NOW, "trioraft: timeout: its time is over. It was not applied.\n")
    assert 1000 < told[0] <= 1800


def test_time_that_is_not_used_up_ends_nothing_later() -> None:
    before = signal.getsignal(signal.SIGALRM)
    try:
        with ending_within(600):
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 500
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        assert signal.getsignal(signal.SIGALRM) == before
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_a_write_that_is_done_stays_done_whatever_follows_it(fake: Make, call: Call) -> None:
    assert call(fake(hangs("close_session")), "put", "k", "1", "--once", "--timeout", SHORT) == (0, "", "")


@pytest.mark.parametrize("words", [("wait", "k"), ("lock", "l"), ("watch",)])
def test_a_node_that_is_silent_does_not_outlast_a_wait(
    fake: Make, call: Call, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("trioraft_cli.asking.GRACE_SECONDS", 0.1)
    node = fake(lambda request: None if request["op"] in words else {"lease": 4, "expired": [], "deleted": 0})
    code, out, err = call(node, *words, "--timeout", SHORT)
    assert (code, out, err) == (outcomes.NOT_NOW, "", "trioraft: no node has answered within 0.3 s\n")


def test_a_watch_that_has_begun_ends_well_when_its_time_is_over(fake: Make, call: Call) -> None:
    event = {"event": "put", "key": "k", "value": 1, "rev": 4, "created": 4, "version": 1}
    begun = {"waiting": True, "at": 3, "cluster": "c"}
    node = fake(lambda request: {**begun, "pushes": [event]} if request["op"] == "watch" else {})
    assert call(node, "watch", "--timeout", SHORT) == (0, "4  put  k  1\n", "")


@pytest.mark.parametrize("answer", [NO_QUORUM, OVERLOADED])
def test_a_read_is_tried_again_at_the_only_node(
    fake: Make, call: Call, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    node = fake(refusing(answer, 3, "get"))
    assert call(node, "get", "k")[0] == outcomes.NOT_NOW
    assert call(node, "get", "k", "--retry", "30") == (0, "1\n", "")
    assert node.asked.count("get") == 4


def test_a_write_that_is_tried_again_goes_in_a_session(fake: Make, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    unknown = {"ok": False, "error": {"code": "timeout", "message": "late", "applied": "unknown"}}
    node = fake(refusing(unknown, 3, "put"))
    assert call(node, "put", "k", "1", "--retry", "30") == (0, "", "")
    assert [op for op in node.asked if op != "ping"] == ["open_session", *["put"] * 4, "close_session"]


@pytest.mark.parametrize(
    ("words", "op"), [(("members", "add", "h:1"), "add_member"), (("lease", "grant"), "lease_grant")]
)
def test_what_no_session_is_for_is_tried_again_where_it_was_not_applied(
    fake: Make, call: Call, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], op: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    done = {"member": {"id": 1, "address": "h:1", "role": "learner"}, "lease": 4}
    answers = chain(repeat(NO_QUORUM, 3), repeat(done))
    node = fake(lambda request: next(answers) if request["op"] == op else knows_it(request))
    assert call(node, *words, "--retry", "30")[0] == 0
    assert node.asked.count(op) == 4


@pytest.mark.parametrize(
    ("words", "module"),
    [(("get", "k"), blocking), (("wait", "k"), streams), (("lock", "l"), locks), (("status",), cluster)],
)
def test_a_node_that_comes_is_found(
    fake: Make, call: Call, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], module: Any
) -> None:
    status = {"node": 0, "role": "leader", "term": 1, "leader": 0, "commit_index": 3, "last_applied": 3}
    state = {"first_index": 1, "last_index": 3, "members": [{"id": 0, "address": "h:1", "role": "voter"}]}
    node = fake(lambda _: {**VALUE, **status, **state, "lease": 4, "fence": 5, "deleted": 0, "expired": []})
    node.go_away()
    assert call(node, *words)[0] == outcomes.NO_NODE
    if module is streams:
        monkeypatch.setattr(streams.threading.Event, "wait", coming_back(node, streams.threading.Event.wait))
    else:
        monkeypatch.setattr(module.time, "sleep", coming_back(node, time.sleep))
    tail = ("--", "true") if words[0] == "lock" else ()
    assert call(node, *words, "--retry", "30", *tail)[0] == 0


def coming_back(node: FakeNode, pause: Callable[..., Any]) -> Callable[..., Any]:
    """A pause at whose first begin the node comes back."""
    told: list[bool] = []

    def act(*arguments: Any) -> Any:
        if not told:
            told.append(True)
            node.come_back()
        return pause(*arguments)

    return act


def test_one_that_stays_away_is_tried_no_longer(fake: Make, call: Call) -> None:
    node = fake(knows_it)
    node.go_away()
    for words in (("put", "k", "1"), ("get", "k"), ("status",), ("lock", "l"), ("wait", "k"), ("watch",)):
        assert call(node, *words, "--retry", "0.1")[0] == outcomes.NO_NODE
    code, _, err = call(node, "put", "k", "1", "--retry", "30", "--timeout", SHORT)
    assert (code, err) == (outcomes.NOT_NOW, "trioraft: not done within 0.3 s\n")
