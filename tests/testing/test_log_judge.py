"""The judge of whole histories believes a right one, and finds each kind of lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from trioraft.testing.history import History, Request
from trioraft.testing.log_judge import WrongAnswer, judge
from trioraft.wire.codec import encode


class Story:
    """A history under construction: requests one after another, each on a connection, and the log."""

    def __init__(self) -> None:
        self.log: dict[int, bytes] = {}
        self.history = History()
        self._places: dict[int, int] = {}

    def entry(self, index: int, **command: Any) -> None:
        self.log[index] = encode(command)

    def ask(
        self, reply: dict[str, Any] | None, *, connection: int = 0, at: tuple[float, float] | None = None, **asked: Any
    ) -> None:
        """Ask something, and get that reply; one after another, if it is not said when."""
        called, returned = at or (2.0 * len(self.history.requests), 2.0 * len(self.history.requests) + 1)
        place = self._places[connection] = self._places.get(connection, -1) + 1
        request = Request(0, connection, place, asked, called)
        if reply is not None:
            request.returned, request.line = returned, encode({"ok": "error" not in reply, **reply})
        self.history.requests.append(request)

    def failed(self, code: str, applied: str | None = None, **more: Any) -> dict[str, Any]:
        return {"error": {"code": code, "message": "m", "hint": "h", "applied": applied, **more}}


def plain() -> Story:
    """Puts, counts, conflicts and deletes of two keys, of which the outcomes of two are unknown."""
    story = Story()
    story.entry(2, op="put", key="a", value=1)
    story.ask({"rev": 2}, op="put", key="a", value=1)
    story.entry(3, op="put", key="a", value=2, if_rev=2)
    story.ask({"rev": 3}, op="put", key="a", value=2, if_rev=2)
    story.entry(5, op="put", key="a", value=3, if_rev=2)
    story.ask(story.failed("conflict", "no", rev=3, value=2), op="put", key="a", value=3, if_rev=2)
    story.entry(6, op="incr", key="n", by=4)
    story.ask(None, op="incr", key="n", by=4)
    story.ask({"value": 4, "rev": 6, "created": 6, "version": 1, "at": 6}, op="get", key="n", connection=1)
    story.ask(None, op="put", key="a", value=9, connection=1)
    story.entry(7, op="delete", key="a")
    story.ask({"deleted": 1, "rev": 7}, op="delete", key="a", connection=1)
    story.entry(8, op="delete", key="a")
    story.ask({"deleted": 0, "rev": 0}, op="delete", key="a")
    story.ask({"value": None, "rev": 0, "created": 0, "version": 0, "at": 8}, op="get", key="a")
    story.ask(
        {"value": 2, "rev": 3, "created": 2, "version": 2, "at": 6}, op="get", key="a", read="stale", connection=2
    )
    story.ask(
        {"items": [{"key": "n", "value": 4, "rev": 6, "created": 6, "version": 1}], "more": False, "at": 8}, op="scan"
    )
    story.ask(story.failed("no_quorum", "no"), op="put", key="a", value=7)
    return story


def test_a_right_history_is_believed() -> None:
    story = plain()
    judge(story.log, story.history)


def reply(story: Story, number: int, **fields: Any) -> None:
    """Put other fields into a reply."""
    line = story.history.requests[number].line
    assert line is not None
    whole = {**json.loads(line), **fields}
    story.history.requests[number].line = encode(whole)


def move_to(story: Story, number: int, connection: int, place: int) -> None:
    story.history.requests[number].connection, story.history.requests[number].place = connection, place


def entry(story: Story, index: int, **command: Any) -> None:
    story.entry(index, **command)


def move(story: Story, number: int, called: float, returned: float) -> None:
    story.history.requests[number].called, story.history.requests[number].returned = called, returned


PLAIN_LIES: dict[str, tuple[Callable[[Story], object], str]] = {
    "a write that is not in the log": (lambda story: story.log.pop(7), "entry 7 is None|the key is"),
    "a write at another's place": (lambda story: reply(story, 0, rev=3), "entry 3 is"),
    "a value that nobody has written": (lambda story: reply(story, 4, value=5), "at 6 the key is"),
    "a revision that the key did not have": (lambda story: reply(story, 4, rev=5), "at 6 the key is"),
    "a version that leaves one out": (lambda story: reply(story, 9, version=1), "at 6 the key is"),
    "a stale read of a state that never was": (lambda story: reply(story, 9, at=7), "at 7 the key is"),
    "a read of the past": (
        lambda story: reply(story, 8, value=2, rev=3, created=2, version=2, at=6),
        "8 was known before it",
    ),
    "a scan that leaves a key out": (lambda story: reply(story, 10, items=[]), "there are 1 keys"),
    "a scan that goes on for ever": (lambda story: reply(story, 10, more=True), "there are 1 keys"),
    "a scan that shows another value": (
        lambda story: reply(story, 10, items=[{"key": "n", "value": 5, "rev": 6, "created": 6, "version": 1}]),
        "n is",
    ),
    "a condition that was lost on its way to the log": (
        lambda story: entry(story, 3, op="put", key="a", value=2),
        "entry 3 is",
    ),
    "a conflict without a reason": (
        lambda story: reply(story, 1, error=story.failed("conflict", "no", rev=2, value=1)["error"], ok=False),
        "explains it",
    ),
    "a conflict that shows another state": (
        lambda story: reply(story, 2, error=story.failed("conflict", "no", rev=2, value=1)["error"]),
        "explains it",
    ),
    "a conflict that no entry explains": (lambda story: story.log.pop(5), "explains it"),
    "a delete that found nothing, though there was something": (
        lambda story: reply(story, 6, deleted=0, rev=0),
        "explains it|1 can have",
    ),
    "a refused write that took effect": (lambda story: entry(story, 9, op="put", key="a", value=7), "0 can have"),
    "an unknown write that took effect twice": (lambda story: entry(story, 9, op="incr", key="n", by=4), "1 can have"),
    "a write that nobody has asked for": (
        lambda story: entry(story, 9, op="put", key="b", value=7),
        "nobody has asked",
    ),
    "a write that overtakes one that was answered before it": (
        lambda story: move(story, 0, 99, 100),
        "was known before it",
    ),
    "a connection that goes back": (lambda story: move_to(story, 9, 0, 9), "had seen"),
}


@pytest.mark.parametrize("lie", PLAIN_LIES)
def test_each_lie_about_single_keys_is_found(lie: str) -> None:
    story = deepcopy(plain())
    spoil, words = PLAIN_LIES[lie]
    spoil(story)
    with pytest.raises(WrongAnswer, match=words):
        judge(story.log, story.history)


def whole() -> Story:
    """Transactions, sessions, leases and locks: what is about many keys, or about none."""
    story = Story()
    story.entry(2, op="lease_grant", ttl_ms=5000)
    story.ask({"lease": 2}, op="lease_grant", ttl_ms=5000)
    story.entry(3, op="put", key="a", value=1, lease=2)
    story.ask({"rev": 3}, op="put", key="a", value=1, lease=2)
    then = [{"op": "incr", "key": "n", "by": 2}, {"op": "get", "key": "n"}, {"op": "delete", "key": "x"}]
    story.entry(4, op="txn", checks=[{"key": "a", "rev": 3}], then=then)
    item = {"value": 2, "rev": 4, "created": 4, "version": 1}
    results = [{"value": 2, "rev": 4}, item, {"deleted": 0, "rev": 0}]
    story.ask(
        {"succeeded": True, "results": results, "rev": 4, "at": 4},
        op="txn",
        checks=[{"key": "a", "rev": 3}],
        then=then,
    )
    story.entry(5, op="open_session")
    story.ask({"client": "5eed5eed-5"}, op="open_session")
    once = {"op": "once", "session": 5, "seq": 1, "command": {"op": "incr", "key": "n"}}
    story.entry(6, **once)
    story.entry(7, **once)
    story.ask(None, op="incr", key="n", client="5eed5eed-5", seq=1)
    story.ask({"value": 3, "rev": 6, "replayed": True}, op="incr", key="n", client="5eed5eed-5", seq=1)
    story.entry(8, op="lock", name="l", lease=2)
    story.ask({"fence": 8}, op="lock", name="l", lease=2)
    story.entry(9, op="lease_grant", ttl_ms=5000)
    story.ask({"lease": 9}, op="lease_grant", ttl_ms=5000)
    story.entry(10, op="lock", name="l", lease=9)
    story.ask({"waiting": True, "ahead": 1}, op="lock", name="l", lease=9)
    story.entry(11, op="fenced", lock="l", fence=8, command={"op": "put", "key": "b", "value": 1})
    story.ask({"rev": 11}, op="put", key="b", value=1, lock="l", fence=8)
    story.entry(12, op="expire", leases=[2])
    story.ask({"value": None, "rev": 0, "created": 0, "version": 0, "at": 12}, op="get", key="a")
    story.entry(13, op="fenced", lock="l", fence=8, command={"op": "put", "key": "b", "value": 2})
    story.ask(story.failed("fenced", "no"), op="put", key="b", value=2, lock="l", fence=8)
    lock = {"name": "l", "lease": 9, "fence": 12, "waiters": 0}
    story.ask({"locks": [lock], "more": False, "at": 13}, op="locks")
    story.entry(14, op="delete_prefix", prefix="", limit=1)
    story.ask({"deleted": 1, "rev": 14, "more": True}, op="delete", prefix="", limit=1)
    otherwise: dict[str, Any] = {"else": [{"op": "get", "key": "n"}]}
    story.ask(
        {"succeeded": False, "results": [{"value": 3, "rev": 6, "created": 4, "version": 2}], "rev": 0, "at": 14},
        op="txn",
        checks=[{"key": "b", "exists": True}],
        then=[],
        **otherwise,
    )
    return story


def test_a_right_history_of_many_keys_is_believed() -> None:
    story = whole()
    model = judge(story.log, story.history)
    assert model.grants == {("l", 8): 2, ("l", 12): 9}


WHOLE_LIES: dict[str, tuple[Callable[[Story], object], str]] = {
    "a transaction that shows another result": (
        lambda story: reply(story, 2, results=[{"value": 3, "rev": 4}, {}, {}]),
        "entry 4 gives",
    ),
    "a transaction that took the other branch": (lambda story: reply(story, 2, succeeded=False), "entry 4 gives"),
    "a transaction of which a check was lost": (
        lambda story: entry(story, 4, op="txn", then=story.history.requests[2].asked["then"]),
        "entry 4 is",
    ),
    "a replayed write that counted again": (lambda story: reply(story, 5, value=4), "explains it"),
    "a replayed write that is told as a new one": (
        lambda story: reply(story, 5, replayed=None, rev=7),
        "entry 7 gives",
    ),
    "a number that was not remembered": (
        lambda story: entry(story, 7, op="once", session=5, seq=2, command={"op": "incr", "key": "n"}),
        "it should show",
    ),
    "a lock that two hold": (lambda story: reply(story, 8, waiting=None, fence=10), "explains it"),
    "a place in the queue that is too far ahead": (lambda story: reply(story, 8, ahead=2), "explains it"),
    "a fence that did not hold": (
        lambda story: reply(story, 11, ok=True, error=None, rev=13),
        "entry 13 gives",
    ),
    "a fence that was lost on its way to the log": (
        lambda story: entry(story, 11, op="put", key="b", value=1),
        "entry 11 is",
    ),
    "a key that outlives its lease": (
        lambda story: reply(story, 10, value=1, rev=3, created=3, version=1),
        "at 12 the key is",
    ),
    "a lock that did not pass on": (
        lambda story: reply(story, 12, locks=[{"name": "l", "lease": 2, "fence": 8, "waiters": 1}]),
        "the locks are",
    ),
    "a delete by prefix that takes more": (lambda story: reply(story, 13, deleted=2), "entry 14 gives"),
    "a delete by prefix that hides that there is more": (lambda story: reply(story, 13, more=False), "entry 14 gives"),
    "a transaction that reads the past": (lambda story: reply(story, 14, at=13), "it should show|was known before"),
}


@pytest.mark.parametrize("lie", WHOLE_LIES)
def test_each_lie_about_many_keys_is_found(lie: str) -> None:
    story = whole()
    spoil, words = WHOLE_LIES[lie]
    spoil(story)
    with pytest.raises(WrongAnswer, match=words):
        judge(story.log, story.history)


def test_a_watch_that_has_caught_up_has_seen_what_was_known_when_it_was_asked() -> None:
    story = plain()
    asked = Request(0, 9, 0, {"op": "watch", "prefix": "", "after_rev": 3}, 50.0)
    story.history.synced.append((asked, 51.0, 8))
    judge(story.log, story.history)
    story.history.synced[0] = (asked, 51.0, 7)
    with pytest.raises(WrongAnswer, match="8 was known before it"):
        judge(story.log, story.history)
