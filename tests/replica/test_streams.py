"""What a connection is told of its watches and waits: how they begin, what comes between, and how they end."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from trioraft.kv.commands import Command, Delete, Expire, LeaseGrant, Put
from trioraft.replica import subscriptions
from trioraft.replica.fan_out import Portions

from ..helpers.listeners import CLUSTER, Listener, Teller

Fields = dict[str, Any]


def put(key: str, value: str = "1", lease: int | None = None) -> Put:
    return Put(key, msgspec.Raw(value.encode()), lease=lease)


def waiting(at: int, **fields: object) -> Fields:
    return {**fields, "ok": True, "waiting": True, "at": at, "cluster": CLUSTER}


def codes(lines: list[Fields]) -> list[str]:
    return [line["error"]["code"] if "error" in line else line.get("event", "ok") for line in lines]


@pytest.fixture
def teller() -> Teller:
    return Teller()


@pytest.fixture
def listener(teller: Teller) -> Listener:
    return Listener(teller)


class TestWatches:
    def test_tell_of_every_change_of_a_prefix_and_say_what_goes_with_a_lease(
        self, teller: Teller, listener: Listener
    ) -> None:
        listener.ask(op="watch", id=7, prefix="cfg/")
        teller.apply(put("cfg/a"), LeaseGrant(1000), put("cfg/b", "2", 2), put("cfg/c", "3", 2), put("other"))
        teller.apply(Delete("cfg/a"), Delete("cfg/a"), Expire([2]))
        assert listener.read_all() == [
            waiting(0, id=7),
            {"id": 7, "event": "synced", "at": 0},
            {"id": 7, "event": "put", "key": "cfg/a", "value": 1, "rev": 1, "created": 1, "version": 1},
            {"id": 7, "event": "put", "key": "cfg/b", "value": 2, "rev": 3, "created": 3, "version": 1, "lease": 2},
            {"id": 7, "event": "put", "key": "cfg/c", "value": 3, "rev": 4, "created": 4, "version": 1, "lease": 2},
            {"id": 7, "event": "delete", "key": "cfg/a", "rev": 6},
            {"id": 7, "event": "delete", "key": "cfg/b", "rev": 8, "by": "lease", "more": True},
            {"id": 7, "event": "delete", "key": "cfg/c", "rev": 8, "by": "lease"},
        ]

    def test_a_change_on_its_way_when_a_watch_begins_is_told_to_those_before_it_alone(
        self, teller: Teller, listener: Listener
    ) -> None:
        listener.ask(op="watch", id=1, key="k")
        teller.apply(put("k"))
        listener.ask(op="watch", id=2, key="k")
        assert [(line["id"], line.get("event")) for line in listener.read_all() if "rev" in line] == [(1, "put")]

    def test_synced_follows_a_confirmed_read_begun_later_and_another_after_a_failure(
        self, teller: Teller, listener: Listener
    ) -> None:
        teller.apply(put("k"), put("k", "2"))
        listener.ask(op="watch", id=1, key="k", after_rev=1)
        teller.turn()
        listener.ask(op="watch", id=2, key="k", after_rev=2)
        assert codes(listener.read()) == ["ok", "ok", "put"]
        teller.confirm(succeeds=False)
        teller.turn()
        assert not teller.asked, "it is not asked again at once"
        teller.pass_time(10)
        teller.turn()
        teller.confirm()
        teller.turn()
        assert listener.read() == [{"id": id, "event": "synced", "at": 2} for id in (2, 1)]
        assert not teller.subscriptions.hurries

    def test_a_read_that_is_under_way_confirms_nothing_asked_later(self, teller: Teller, listener: Listener) -> None:
        listener.ask(op="watch", id=1, key="k", after_rev=0)
        teller.turn()
        listener.ask(op="watch", id=2, key="k", after_rev=0)
        teller.confirm()
        teller.turn()
        assert listener.read()[2:] == [{"id": 1, "event": "synced", "at": 0}]

    def test_what_is_not_applied_yet_is_waited_for_in_silence(self, teller: Teller, listener: Listener) -> None:
        listener.ask(op="watch", key="k", after_rev=3, read="stale")
        teller.apply(put("k"), put("k"))
        assert listener.read_all() == [waiting(3)]
        teller.apply(put("k"), put("k"))
        assert codes(listener.read_all()) == ["put", "synced"]

    def test_before_the_history_there_is_nothing_to_resume(self, teller: Teller, listener: Listener) -> None:
        teller.history.bound(2, 10**6)
        teller.apply(*[put("k")] * 5)
        listener.ask(op="watch", id=1, key="k", after_rev=2)
        [refused] = listener.read_all()
        assert (refused["error"]["code"], refused["error"]["first_rev"]) == ("compacted", 3)
        listener.ask(op="watch", id=1, key="k", after_rev=3, read="stale")
        assert codes(listener.read_all()) == ["ok", "put", "put", "synced"]

    def test_another_cluster_is_refused(self, listener: Listener) -> None:
        listener.ask(op="watch", prefix="", cluster="another")
        listener.ask(op="wait", key="k", missing=True, cluster="another")
        listener.ask(op="watch", prefix="", cluster=CLUSTER)
        assert codes(listener.read_all()) == ["membership", "membership", "ok", "synced"]

    def test_initial_shows_what_is_there_page_by_page_and_the_changes_of_what_was_shown(self) -> None:
        teller = Teller(Portions(page_keys=2, pending_bytes=100))
        teller.apply(*[put(key) for key in "abcde"])
        listener = Listener(teller)
        listener.ask(op="watch", id=1, prefix="", initial=True)
        teller.turn()
        teller.apply(put("a", "2"), put("e", "2"), Delete("b"), Delete("d"))
        events = [(line["key"], line["rev"], line.get("initial")) for line in listener.read_all() if "key" in line]
        assert events == [
            *(("a", 1, True), ("b", 2, True), ("a", 6, None), ("b", 8, None)),
            *(("c", 3, True), ("e", 7, True)),
        ]

    def test_slow_clients_cost_their_bound_and_lose_what_the_history_forgets(self, teller: Teller) -> None:
        teller.history.bound(1000, 10**9)
        slow, quick = Listener(teller, lambda: 0), Listener(teller)
        for one in (slow, quick):
            one.ask(op="watch", id=1, prefix="")
        lines = []
        for _ in range(100):
            teller.apply(*[put("k", "1" * 100)] * 100)
            lines += quick.read_all()
        assert codes(lines).count("put") == 10_000
        told = slow.session.subscriber
        assert told is not None
        assert told._size < Portions().pending_bytes + 1000
        slow._room = lambda: 10**6
        assert codes(slow.read_all())[-1] == "slow_consumer"
        assert len(teller.subscriptions.fan_out.opened) == 1

    def test_a_node_that_is_too_slow_itself_says_so(self, teller: Teller, listener: Listener) -> None:
        teller.history.bound(10, 10**9)
        listener.ask(op="watch", id=1, prefix="")
        listener.ask(op="wait", id=2, key="k", exists=True)
        teller.apply(*[put("k")] * 1000)
        assert sorted(codes(listener.read_all())) == ["held", "ok", "ok", "slow_consumer", "synced"]


class TestWaits:
    @pytest.mark.parametrize(
        ("condition", "holds_at"),
        [
            ({"exists": True}, 2),
            ({"missing": True}, 4),
            ({"value": msgspec.Raw(b'{"a" : "b c"}')}, 3),
            ({"value": 5}, 5),
            ({"value": "long" * 50}, 6),
            ({"rev_above": 4}, 5),
        ],
    )
    def test_one_is_told_of_the_first_state_that_it_waits_for(
        self, teller: Teller, listener: Listener, condition: Fields, holds_at: int
    ) -> None:
        entries: list[Command] = [
            *(put("other"), put("k", "1"), put("k", '{"a":"b c"}'), Delete("k"), put("k", "5")),
            *(put("k", '"%s"' % ("long" * 50)), put("k", "6")),
        ]
        if holds_at == 4:
            teller.apply(*entries[:2])
            entries = entries[2:]
        listener.ask(op="wait", id=1, key="k", **condition)
        teller.apply(*entries)
        first, held = listener.read_all()
        assert first["waiting"]
        assert (held["event"], held["at"]) == ("held", holds_at)
        assert held["rev"] == (0 if holds_at == 4 else holds_at)
        assert not teller.subscriptions.fan_out.opened

    def test_what_holds_is_answered_at_once(self, teller: Teller, listener: Listener) -> None:
        teller.apply(put("k", "[1]"))
        listener.ask(op="wait", id=1, key="k", value=[1])
        state = {"value": [1], "rev": 1, "created": 1, "version": 1}
        assert listener.read_all() == [{"id": 1, "ok": True, **state, "at": 1}]

    def test_the_time_that_is_given_begins_with_the_answer(self, teller: Teller, listener: Listener) -> None:
        listener.ask(op="wait", id=1, key="k", exists=True, wait_ms=95)
        listener.ask(op="wait", id=2, key="k", exists=True, wait_ms=0)
        assert codes(listener.read_all()) == ["ok", "timeout"]
        teller.pass_time(9)
        assert listener.read_all() == []
        teller.pass_time(1)
        [closed] = listener.read_all()
        assert (closed["event"], closed["error"]["code"], closed["at"]) == ("closed", "timeout", 0)

    def test_none_times_out_before_what_is_applied_is_looked_at(self, teller: Teller, listener: Listener) -> None:
        listener.ask(op="wait", id=1, key="k", exists=True, wait_ms=10)
        teller.apply(put("k"), Delete("k"))
        teller.pass_time(5)
        assert codes(listener.read_all()) == ["ok", "held"]


class TestProgress:
    def test_a_silent_connection_with_watches_is_told_how_far_all_are(self, teller: Teller) -> None:
        listener, other = Listener(teller), Listener(teller)
        listener.ask(op="watch", id=1, key="k", progress_ms=1000)
        listener.ask(op="watch", id=2, key="l", progress_ms=200)
        other.ask(op="wait", id=1, key="k", exists=True)
        assert len(listener.read_all() + other.read_all()) == 5
        teller.pass_time(19)
        teller.apply(put("l"))
        assert codes(listener.read_all()) == ["put"]
        teller.pass_time(19)
        teller.apply(put("other"))
        assert listener.read_all() == []
        teller.pass_time(1)
        assert listener.read_all() == [{"event": "progress", "at": 2}]
        listener.ask(op="cancel", request=2)
        listener.read_all()
        teller.pass_time(99)
        assert listener.read_all() == []
        teller.pass_time(1)
        assert listener.read_all() == [{"event": "progress", "at": 2}]
        listener.ask(op="cancel", request=1)
        teller.pass_time(10_000)
        assert codes(listener.read_all() + other.read_all()) == ["ok"]

    def test_it_comes_behind_what_it_speaks_of(self) -> None:
        teller = Teller(Portions(events_a_turn=1))
        listener = Listener(teller)
        listener.ask(op="watch", id=1, key="k", progress_ms=100)
        listener.read_all()
        teller.apply(put("k"), put("k"))
        for _ in range(3):
            teller.pass_time(20)
            teller.turn()
        assert codes(listener.read_all()) == ["put", "put"]


class TestIds:
    def test_each_is_open_once(self, teller: Teller, listener: Listener) -> None:
        listener.ask(op="watch", id=1, key="k")
        listener.ask(op="wait", id=1, key="k", exists=True)
        listener.ask(op="watch", id="1", key="k")
        listener.ask(op="watch", key="k")
        listener.ask(op="watch", key="k")
        other = Listener(teller)
        other.ask(op="watch", id=1, key="k")
        assert codes(listener.read()) == ["ok", "bad_request", "ok", "ok", "ok"] + ["synced"] * 4
        assert codes(other.read()) == ["ok", "synced"]
        teller.apply(put("k"))
        assert len(listener.read_all()) == 4

    def test_no_event_follows_the_answer_to_a_cancel_and_others_go_on(self, teller: Teller, listener: Listener) -> None:
        for id in (1, 2):
            listener.ask(op="watch", id=id, key="k")
        listener.read_all()
        teller.apply(put("k"))
        teller.turn()
        listener.ask(op="cancel", id=3, request=1)
        teller.apply(put("k"))
        lines = listener.read_all()
        assert [line["id"] for line in lines] == [3, 2, 2]
        listener.ask(op="cancel", request=1)
        listener.ask(op="watch", id=1, key="k")
        assert codes(listener.read_all()) == ["ok", "ok", "synced"]

    def test_there_is_an_end_to_what_is_open(self, teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subscriptions, "MOST_A_CONNECTION", 2)
        monkeypatch.setattr(subscriptions, "MOST", 3)
        one, other = Listener(teller), Listener(teller)
        for listener in (one, other):
            for id in range(3):
                listener.ask(op="wait", id=id, key="k", exists=True)
        assert codes(one.read_all()) == ["ok", "ok", "overloaded"]
        assert codes(other.read_all()) == ["ok", "overloaded", "overloaded"]
        one.session.abandon()
        other.ask(op="wait", id=1, key="k", exists=True)
        assert codes(other.read_all()) == ["ok"]


class TestEnds:
    def test_a_connection_that_asks_no_more_is_told_until_nothing_is_open(
        self, teller: Teller, listener: Listener
    ) -> None:
        listener.ask(op="wait", id=1, key="k", exists=True)
        listener.ask(op="watch", id=2, key="k")
        listener.session.receive(b"")
        assert codes(listener.read_all()) == ["ok", "ok", "synced"]
        assert not listener.session.done
        teller.apply(put("k"))
        assert codes(listener.read_all()) == ["held", "put"]
        assert not listener.session.done
        teller.subscriptions.stop()
        assert not listener.session.done
        assert codes(listener.read_all()) == ["shutting_down"]
        assert listener.session.done

    def test_a_node_that_was_removed_says_so_to_all(self, teller: Teller, listener: Listener) -> None:
        listener.ask(op="watch", id=1, key="k")
        listener.ask(op="wait", id=2, key="k", exists=True)
        listener.read_all()
        teller.is_removed = True
        teller.pass_time(1)
        assert codes(listener.read_all()) == ["no_quorum", "no_quorum"]

    def test_nothing_is_opened_at_a_node_that_stops(self, teller: Teller, listener: Listener) -> None:
        teller.subscriptions.stop()
        listener.ask(op="watch", id=1, key="k")
        assert codes(listener.read_all()) == ["shutting_down"]

    def test_a_line_that_has_begun_is_finished_before_anything_else_leaves(self, teller: Teller) -> None:
        random = Random(1)
        listener = Listener(teller, lambda: random.choice((1, 12, 40)))
        for id in (1, 2):
            listener.ask(op="watch", id=id, key="k")
        teller.apply(*[put("k", "1" * 30)] * 20)
        lines = []
        for number in range(20):
            lines += listener.read()
            teller.turn()
            listener.ask(op="cancel", id=f"c{number}", request=1 if number == 10 else 9)
        lines += listener.read_all()
        assert sum(line["id"] == 2 and line.get("event") == "put" for line in lines) == 20
        cancelled = next(place for place, line in enumerate(lines) if line["id"] == "c10")
        assert all(line["id"] != 1 for line in lines[cancelled:])

    def test_an_installed_snapshot_is_looked_at_by_those_who_wait(self, teller: Teller, listener: Listener) -> None:
        listener.ask(op="wait", id=1, key="k", exists=True)
        listener.ask(op="wait", id=2, key="l", exists=True)
        listener.ask(op="watch", id=3, prefix="", after_rev=7)
        ahead = Teller()
        ahead.apply(*[put("k")] * 5)
        teller.restore(ahead)
        lines = listener.read_all()
        assert [(line["id"], line.get("event")) for line in lines[3:]] == [(1, "held")]
        teller.apply(put("l"))
        assert [(line["id"], line.get("event")) for line in listener.read_all()] == [(2, "held")]

    def test_a_snapshot_whose_history_begins_later_ends_a_watch(self, teller: Teller, listener: Listener) -> None:
        listener.ask(op="watch", id=1, prefix="")
        teller.apply(put("k"))
        assert codes(listener.read_all()) == ["ok", "synced", "put"]
        ahead = Teller()
        ahead.history.bound(2, 10**6)
        ahead.apply(*[put("k")] * 5)
        teller.restore(ahead)
        [closed] = listener.read_all()
        assert (closed["error"]["code"], closed["error"]["first_rev"], closed["at"]) == ("compacted", 3, 5)
