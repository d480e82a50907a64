"""Watches and waits, by table and by drawn histories: where they resume, what they skip, when they start over."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioraft.client import Push, Reply, Waiting, Watching
from trioraft.client.protocol import Protocol


def push(**fields: Any) -> Push:
    """A push to request 1, or to the connection if it is a progress."""
    pushes: list[Push] = []
    id_ = {} if fields["event"] == "progress" else {"id": 1}
    Protocol(pushes.append).receive(json.dumps({**id_, **fields}).encode() + b"\n")
    return pushes[0]


def put(rev: int, key: str = "k", *, more: bool = False, **fields: Any) -> Push:
    return push(event="put", key=key, rev=rev, **({"more": True} if more else {}), **fields)


def begun(at: int = 10, **fields: Any) -> Watching:
    watching = Watching({"prefix": "", **fields})
    watching.answered(answer(at))
    return watching


def answer(at: int, cluster: str = "c1") -> Reply:
    return Reply(json.dumps({"id": 1, "ok": True, "waiting": True, "at": at, "cluster": cluster}).encode())


def resumes(watching: Watching) -> int | None:
    after: int | None = watching.request(0.0).get("after_rev")
    return after


def test_the_first_node_is_asked_for_what_was_typed_and_the_next_for_the_same_cluster() -> None:
    watching = Watching({"prefix": "a/"})
    first = watching.request(0.0)
    assert first == {"op": "watch", "prefix": "a/", "progress_ms": 1000}
    watching.answered(answer(10))
    assert watching.request(0.0) == {**first, "after_rev": 10, "cluster": "c1"}
    assert watching.outlook == "the watch goes on after revision 10"


@pytest.mark.parametrize(
    ("came", "after"),
    [
        ([], 10),
        ([put(12)], 12),
        ([put(12, more=True)], 10),
        ([put(12, more=True), put(12, "l")], 12),
        ([put(12), put(15, more=True)], 12),
        ([push(event="progress", at=30)], 30),
        ([push(event="synced", at=30)], 30),
        ([put(12), push(event="progress", at=11)], 12),
        ([put(12, more=True), push(event="progress", at=11)], 11),
    ],
)
def test_a_watch_that_is_broken_off_resumes_behind_what_it_has_handed_out_whole(came: list[Push], after: int) -> None:
    watching = begun()
    for each in came:
        watching.take(each)
    assert resumes(watching) == after


def test_inside_a_revision_it_skips_as_many_events_as_it_has_handed_out() -> None:
    watching = begun()
    events = [put(12, key, more=key != "d") for key in "abcd"]
    assert [watching.take(each) for each in events[:2]] == events[:2]
    watching.answered(answer(10))
    assert [watching.take(each) for each in events[:3]] == [None, None, events[2]]
    watching.answered(answer(10))
    assert [watching.take(each) for each in events] == [None, None, None, events[3]]
    assert resumes(watching) == 12


def test_synced_is_handed_out_once_and_progress_never() -> None:
    watching = begun()
    synced = push(event="synced", at=10)
    assert watching.take(synced) is synced
    assert watching.take(push(event="progress", at=11)) is None
    watching.answered(answer(11))
    assert watching.take(push(event="synced", at=12)) is None


def test_one_that_begins_with_what_is_there_starts_over_until_it_is_synced() -> None:
    watching = Watching({"prefix": "", "initial": True})
    watching.answered(answer(10))
    assert watching.take(put(3, initial=True)) is not None
    assert watching.take(put(11)) is not None
    assert watching.take(push(event="progress", at=11)) is None
    assert resumes(watching) is None
    assert watching.request(0.0)["initial"] is True
    assert watching.request(0.0)["cluster"] == "c1"
    assert watching.outlook == "the watch starts over"
    watching.answered(answer(14))
    assert watching.take(put(3, initial=True)) is not None
    assert watching.take(push(event="synced", at=14)) is not None
    assert resumes(watching) == 14
    assert "initial" not in watching.request(0.0)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=8),
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=6),
)
def test_each_change_is_handed_out_once_in_order_wherever_connections_break(
    log: list[tuple[int, int]], breaks: list[tuple[int, bool]]
) -> None:
    """`log`: for each entry the gap before it and its events; `breaks`: how many lines come, and whether progress."""
    events: list[Push] = []
    rev = 10
    for gap, count in log:
        rev += gap
        events.extend(put(rev, f"k{number}", more=number < count - 1) for number in range(count))
    watching = begun()
    got: list[Push] = []
    for count, told in [*breaks, (len(events), False)]:
        after = resumes(watching)
        assert after is not None
        watching.answered(answer(after))
        rest = [each for each in events if each["rev"] > after]
        for number, each in enumerate(rest[:count]):
            handed = watching.take(each)
            got += [] if handed is None else [handed]
            is_last = each.raw("more") != b"true"
            if told and is_last:
                watching.take(push(event="progress", at=each["rev"]))
            elif told and number == 0:
                watching.take(push(event="progress", at=after))
    assert got == events


def test_a_watch_goes_on_for_ever() -> None:
    assert begun().patience(0.0) == math.inf
    assert not begun().has_ended


def test_a_wait_that_holds_at_once_has_ended() -> None:
    waiting = Waiting({"op": "wait", "key": "k", "exists": True}, None, 0.0)
    assert waiting.request(5.0) == {"op": "wait", "key": "k", "exists": True}
    held = Reply(b'{"id":1,"ok":true,"value":1,"rev":7,"at":9}')
    assert waiting.answered(held) is held
    assert waiting.has_ended


def test_a_wait_that_has_to_wait_asks_the_next_node_for_the_time_that_is_left() -> None:
    waiting = Waiting({"op": "wait", "key": "k", "exists": True}, 10.0, 100.0)
    assert waiting.request(100.0)["wait_ms"] == 10_000
    assert waiting.answered(answer(1)) is None
    assert waiting.take(push(event="progress", at=3)) is None
    assert (waiting.request(107.5)["wait_ms"], waiting.patience(107.5)) == (2_500, 2.5)
    assert (waiting.request(111.0)["wait_ms"], waiting.patience(111.0)) == (0, 0.0)
    assert not waiting.has_ended
    held = push(event="held", value=1, rev=7)
    assert waiting.take(held) is held
    assert waiting.has_ended
