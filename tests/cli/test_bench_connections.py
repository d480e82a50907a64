"""The connections of a load, with nodes that refuse, break, are silent, or name another leader."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
from trioraft_cli.bench import channels as connections
from trioraft_cli.bench.channels import Channels, Place
from trioraft_cli.bench.job import Job
from trioraft_cli.bench.load import Load
from trioraft_cli.bench.requests import Wishes
from trioraft_cli.bench.watch import Watch

from ..helpers.fake_nodes import Answer, FakeNode, Make

PATIENCE_SECONDS = 20
JOB = Job(
    places=[],
    seeks_leader=False,
    wishes=Wishes("bench/", 5, 20, 1.0),
    watches=False,
    connections=1,
    first=0,
    pipeline=1,
    warm_up=0.0,
    seconds=None,
    requests=6,
    interval=None,
)
NO_QUORUM = {"ok": False, "error": {"code": "no_quorum", "message": "no leader", "hint": "wait"}}


def place(node: FakeNode) -> Place:
    return Place(str(node.address), socket.AF_INET, (node.address.host, node.address.port))


@pytest.fixture(name="hub")
def made_hub() -> Iterator[Callable[..., Channels]]:
    """Give a function that makes the connections to nodes; all are closed at the end."""
    made: list[Channels] = []

    def make(*nodes: FakeNode, seeks_leader: bool = False) -> Channels:
        made.append(Channels([place(node) for node in nodes], seeks_leader))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


def serve(hub: Channels, worker: Load | Watch, is_enough: Callable[[], bool]) -> None:
    """Serve the connections until it is enough. Fails where that never comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_enough():
        assert time.monotonic() < deadline, worker.figures
        now = time.monotonic_ns()
        hub.check(now)
        tick = now + 5_000_000
        hub.turn(min(tick, worker.pump(now) or tick))


def loaded(hub: Channels, **changes: Any) -> Load:
    """What a load has seen that was carried out to its end."""
    job = msgspec.structs.replace(JOB, **changes)
    load = Load(job, hub)
    hub.owner = load
    hub.add(job.connections, 0)
    serve(hub, load, lambda: load.is_ready)
    load.count_from(time.monotonic_ns())
    load.start(time.monotonic_ns())
    serve(hub, load, lambda: load.is_done)
    load.stop(time.monotonic_ns())
    return load


def now_and_then(*answers: dict[str, Any] | None) -> Answer:
    """Give these answers in turn, again and again."""
    numbers = count()
    return lambda _: answers[next(numbers) % len(answers)]


@pytest.mark.parametrize("changes", [{}, {"pipeline": 4}, {"connections": 3, "pipeline": 2}, {"interval": 100_000}])
def test_every_request_is_answered_and_no_more_are_sent(
    fake: Make, hub: Callable[..., Channels], changes: dict[str, Any]
) -> None:
    node = fake(lambda _: {"rev": 1})
    load = loaded(hub(node), requests=50, **changes)
    assert (load.figures.answered, load.figures.errors, node.asked) == (50, {}, ["put"] * 50)
    assert load.figures.ended > load.figures.began
    assert load.figures.longest_gap > 0


@pytest.mark.parametrize("pipeline", [1, 3])
def test_errors_are_counted_and_not_timed(fake: Make, hub: Callable[..., Channels], pipeline: int) -> None:
    load = loaded(hub(fake(now_and_then({"rev": 1}, NO_QUORUM, {"rev": 2}))), pipeline=pipeline)
    assert (load.figures.answered, load.figures.errors) == (4, {"no_quorum": 2})
    assert load.figures.messages == {"no_quorum": "no leader (wait)"}


def test_what_is_no_answer_is_called_so(fake: Make, hub: Callable[..., Channels]) -> None:
    load = loaded(hub(fake(now_and_then({"ok": 1}))), requests=2)
    assert load.figures.errors == {"no_answer": 2}


def test_long_answers_may_come_in_parts(fake: Make, hub: Callable[..., Channels]) -> None:
    load = loaded(hub(fake(lambda _: {"value": "x" * 1_000_000})), pipeline=2)
    assert (load.figures.answered, load.figures.errors) == (6, {})


def test_long_requests_are_sent_when_there_is_room(fake: Make, hub: Callable[..., Channels]) -> None:
    node = fake(lambda _: {"rev": 1})
    load = loaded(hub(node), pipeline=3, wishes=Wishes("b/", 2, 3_000_000, 1.0))
    assert (load.figures.answered, len(node.asked)) == (6, 6)


@pytest.mark.parametrize("changes", [{"pipeline": 2}, {"interval": 100_000}])
def test_a_connection_that_breaks_is_made_again_to_the_next_node(
    fake: Make, hub: Callable[..., Channels], changes: dict[str, Any]
) -> None:
    def answer(_: dict[str, Any]) -> dict[str, Any] | None:
        if len(first.asked) == 3:
            first.go_away()
        return {"rev": 1}

    first, second = fake(answer), fake(lambda _: {"rev": 1})
    load = loaded(hub(first, second), requests=20, **changes)
    assert load.figures.answered == 20
    assert sum(load.figures.lost.values()) == 1
    assert load.figures.unanswered >= 1
    assert second.asked


def test_a_node_that_is_silent_is_given_up(
    fake: Make, hub: Callable[..., Channels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SILENCE_SECONDS", 0.5)
    silent, other = fake(None), fake(lambda _: {"rev": 1})
    load = loaded(hub(silent, other))
    assert load.figures.answered == 6
    assert sum(load.figures.lost.values()) >= 1  # on a busy machine the other may be slow as well
    assert other.asked


def test_a_place_where_nobody_listens_is_passed_over(fake: Make, hub: Callable[..., Channels]) -> None:
    gone, other = fake(None), fake(lambda _: {"rev": 1})
    gone.go_away()
    load = loaded(hub(gone, other))
    assert (load.figures.answered, load.figures.lost, load.figures.unconnected) == (6, {}, {})


def test_connections_that_are_not_made_are_counted(fake: Make, hub: Callable[..., Channels]) -> None:
    gone = fake(None)
    gone.go_away()
    channels = hub(gone)
    load = Load(JOB, channels)
    channels.owner = load
    channels.add(2, 0)
    serve(channels, load, lambda: channels.unconnected() == {"Connection refused": 2})
    assert not load.is_ready


def test_the_leader_is_asked_whichever_node_is_met_first(fake: Make, hub: Callable[..., Channels]) -> None:
    def follower(request: dict[str, Any]) -> dict[str, Any]:
        assert request["op"] == "status"
        return {"leader_address": str(leader.address)}

    def leading(request: dict[str, Any]) -> dict[str, Any]:
        return {"leader_address": str(leader.address)} if request["op"] == "status" else {"rev": 1}

    leader = fake(leading)
    load = loaded(hub(fake(follower), leader, seeks_leader=True))
    assert load.figures.answered == 6
    assert leader.asked == ["status", *["put"] * 6]


@pytest.mark.parametrize("named", [None, "nobody:1"])
def test_without_a_known_leader_any_node_will_do(fake: Make, hub: Callable[..., Channels], named: str | None) -> None:
    node = fake(lambda request: {"leader_address": named} if request["op"] == "status" else {"rev": 1})
    assert loaded(hub(node, seeks_leader=True)).figures.answered == 6


def test_nodes_that_do_not_agree_are_not_followed_for_ever(fake: Make, hub: Callable[..., Channels]) -> None:
    def naming(other: Callable[[], FakeNode]) -> Answer:
        return lambda request: {"leader_address": str(other().address)} if request["op"] == "status" else {"rev": 1}

    nodes: list[FakeNode] = [fake(naming(lambda: nodes[1])), fake(naming(lambda: nodes[0]))]
    assert loaded(hub(*nodes, seeks_leader=True)).figures.answered == 6


def test_a_node_that_has_no_room_says_so(fake: Make, hub: Callable[..., Channels]) -> None:
    full = {"ok": False, "error": {"code": "overloaded", "message": "no room"}}
    channels = hub(fake(lambda _: dict(full)), seeks_leader=True)
    load = Load(JOB, channels)
    channels.owner = load
    channels.add(1, 0)
    serve(channels, load, lambda: channels.unconnected() == {"overloaded: no room": 1})


def test_a_watch_goes_on_behind_what_it_has_seen(fake: Make, hub: Callable[..., Channels]) -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return {"waiting": True, "at": 10}

    def change(revision: int, sent: int) -> None:
        line = f'{{"event":"put","key":"bench/1","value":"{sent:020d}xx","rev":{revision}}}\n'
        node.newest.sendall(line.encode())

    node = fake(answer)
    channels = hub(node)
    watch = Watch(msgspec.structs.replace(JOB, watches=True), channels)
    channels.owner = watch
    channels.add(1, 0)
    serve(channels, watch, lambda: watch.is_ready)
    began = time.monotonic_ns()
    watch.count_from(began)
    change(11, began - 1)  # sent before it was counted
    change(12, began)
    serve(channels, watch, lambda: watch.figures.events == 1)
    node.drop()
    serve(channels, watch, lambda: len(asked) == 2 and watch.is_ready)
    change(13, time.monotonic_ns())
    serve(channels, watch, lambda: watch.figures.events == 2)
    watch.stop(time.monotonic_ns())
    assert watch.is_done
    assert (watch.figures.answered, sum(watch.figures.lost.values())) == (0, 1)
    assert [request.get("after_rev") for request in asked] == [None, 12]
    assert asked[0]["prefix"] == "bench/"


def test_a_watch_that_is_refused_is_an_error(fake: Make, hub: Callable[..., Channels]) -> None:
    channels = hub(fake(lambda _: dict(NO_QUORUM)))
    watch = Watch(msgspec.structs.replace(JOB, watches=True), channels)
    channels.owner = watch
    channels.add(1, 0)
    serve(channels, watch, lambda: watch.figures.errors == {"no_quorum": 1})
    assert not watch.is_ready
