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
