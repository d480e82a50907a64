"""Watches and waits over connections that break, fall silent or are refused: nothing lost, nothing twice."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from trioraft.addresses import Address
from trioraft.client import Line, NoNode, Refused, Stream, Waiting, Watching, attempts, standing

from ..helpers.fake_nodes import FakeNode, Make

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter times in the same order, which is all that matters here."""
    monkeypatch.setattr(attempts, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(attempts, "FIRST_LOOK_SECONDS", 0.2)
    monkeypatch.setattr(attempts, "SECOND_LOOK_SECONDS", 0.3)
    monkeypatch.setattr(attempts, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(standing, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(standing, "DEAD_SECONDS", 0.4)


class History:
    """What several nodes answer to a watch: the events of one log, behind what is asked for, some a connection."""

    def __init__(self, *counts: int) -> None:
        self.events = [
            {"event": "put", "key": key, "value": 1, "rev": rev, **({"more": True} if key != "c" else {})}
            for rev in (12, 15, 21)
            for key in "abc"
        ]
        self.counts = list(counts)
        self.asked: list[dict[str, Any]] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "watch":
            return {}
        self.asked.append(request)
        after = request.get("after_rev", 10)
        left = [event for event in self.events if event["rev"] > after]
        count = self.counts.pop(0) if self.counts else len(left)
        synced = {"event": "synced", "at": after}
        return {"waiting": True, "at": after, "cluster": "c1", "pushes": [synced, *map(dict, left[:count])]}


class Reading:
    """Reads a stream in a thread, up to so many lines."""

    def __init__(self, stream: Stream, count: int) -> None:
        self.lines: list[Line] = []
        self.error: BaseException | None = None
        self._stream = stream
        self._count = count
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._stream:
                self.lines.append(line)
                if len(self.lines) == self._count:
                    return
        except Exception as error:
            self.error = error

    def result(self) -> list[Line]:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.lines


def stream_of(nodes: list[FakeNode], asked: standing.Standing | None = None) -> tuple[Stream, list[str]]:
    told: list[str] = []
    return Stream([node.address for node in nodes], asked or Watching({"prefix": ""}), told.append), told


@pytest.mark.parametrize("ending", ["break", "silence"])
def test_a_watch_goes_on_at_another_node_and_hands_each_change_out_once(fake: Make, ending: str) -> None:
    history = History(2, 0, 5, 1)
    mute = threading.Event()

    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        return None if mute.is_set() and ending == "silence" else history.answer(request)

    nodes = [fake(answer), fake(history.answer)]
    stream, told = stream_of(nodes)
    turns = 0

    def trouble() -> None:
        nonlocal turns
        turns += 1
        if ending == "silence":
            mute.set()
        else:
            for node in nodes:
                node.drop()

    stream.before_waiting = trouble
    if ending == "silence":
        history.counts = [2]
    lines = Reading(stream, 10).result()
    assert [line.raw("event") for line in lines[:1]] == [b'"synced"']
    assert [(line["rev"], line["key"]) for line in lines[1:]] == [(e["rev"], e["key"]) for e in history.events]
    assert {request.get("cluster") for request in history.asked[1:]} == {"c1"}
    assert history.asked[1]["after_rev"] == 10
    assert told[0].startswith(f"{nodes[0].address} is lost (")
    assert told[0].endswith("the watch goes on after revision 10")


def test_a_quiet_node_that_is_there_is_kept(fake: Make) -> None:
    node = fake(lambda request: {"waiting": True} if request["op"] == "wait" else {})
    stream, told = stream_of([node], Waiting({"op": "wait", "key": "k"}, None, 0.0))
    reading = Reading(stream, 1)
    answered = threading.Event()
    stream.before_waiting = lambda: answered.set() if node.asked.count("ping") > 3 else None
    assert answered.wait(PATIENCE)
    node.push({"event": "held", "value": 7, "rev": 3, "id": 2})
    [line] = reading.result()
    assert line["value"] == 7
    assert told == []
    assert node.asked.count("wait") == 1


def test_a_watch_outlives_a_time_without_nodes(fake: Make) -> None:
    history = History(1)
    node = fake(history.answer)
    stream, told = stream_of([node])
    reading = Reading(stream, 10)
    stream.before_waiting = node.go_away
    waited = threading.Event()

    def note(sentence: str) -> None:
        told.append(sentence)
        if "tried again" in sentence:
            waited.set()

    stream._notice = note
    assert waited.wait(PATIENCE)
    stream.before_waiting = lambda: None
    node.come_back()
    assert len(reading.result()) == 10
    assert len([sentence for sentence in told if "tried again" in sentence]) == 1


def test_where_no_node_is_there_at_first_it_says_so() -> None:
    stream = Stream([Address("127.0.0.1", 1)], Watching({"prefix": ""}), print)
    with pytest.raises(NoNode, match="no node can be reached"):
        next(iter(stream))


@pytest.mark.parametrize("where", ["reply", "push"])
def test_what_ends_a_watch_is_raised(fake: Make, where: str) -> None:
    error = {"code": "compacted", "message": "it is too long ago", "first_rev": 90}
    reply = {"ok": False, "error": error}
    push = {"waiting": True, "at": 1, "cluster": "c", "pushes": [{"event": "closed", "error": error, "at": 3}]}
    node = fake(lambda request: {} if request["op"] == "ping" else dict(reply if where == "reply" else push))
    stream, _ = stream_of([node])
    with pytest.raises(Refused, match="too long ago") as refused:
        next(iter(stream))
    assert refused.value.code == "compacted"
    assert refused.value.reply.line.endswith(b"}")


def test_a_watch_that_a_node_closes_because_it_stops_goes_on_at_another(fake: Make) -> None:
    closed = {"event": "closed", "error": {"code": "shutting_down", "message": "it stops"}, "at": 12}
    history = History()

    def stopping(request: dict[str, Any]) -> dict[str, Any]:
        begin = {"waiting": True, "at": 10, "cluster": "c1", "pushes": [closed]}
        return begin if request["op"] == "watch" else {}

    stream, told = stream_of([fake(stopping), fake(history.answer)])
    assert len(Reading(stream, 10).result()) == 10
    assert "is lost (it stops)" in told[0]


def test_a_wait_whose_node_is_lost_asks_another_for_the_time_that_is_left(fake: Make) -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "wait":
            return {}
        asked.append(request)
        return {"waiting": True} if len(asked) == 1 else {"value": 5, "rev": 8}

    nodes = [fake(answer), fake(answer)]
    stream, _ = stream_of(nodes, Waiting({"op": "wait", "key": "k"}, 60.0, time.monotonic()))
    stream.before_waiting = nodes[0].drop
    [line] = Reading(stream, 2).result()
    assert line["value"] == 5
    assert 50_000 < asked[1]["wait_ms"] <= asked[0]["wait_ms"] <= 60_000


def test_one_that_is_abandoned_ends_at_once_and_hands_nothing_out(fake: Make) -> None:
    history = History()
    history.events = []
    node = fake(history.answer)
    stream, told = stream_of([node])
    begun = threading.Event()
    reading = Reading(stream, 100)
    stream.before_waiting = lambda: begun.set() if reading.lines else None
    assert begun.wait(PATIENCE)
    stream.abandon()
    assert [line["event"] for line in reading.result()] == ["synced"]
    assert told == []
