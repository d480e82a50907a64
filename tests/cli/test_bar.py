"""The bar below the prompt: what it tells, what it leaves out where there is no room, and when it asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from trioraft_cli import bar
from trioraft_cli.bar import Bar, fitted
from trioraft_cli.connection import Connection
from trioraft_cli.counts import duration
from trioraft_cli.lines import Prompt, run_line

from ..helpers.fake_nodes import FakeNode, Make
from ..helpers.processes import eventually
from ..helpers.prompts import COMMANDS

PARTS = [(2, "node 1"), (0, "leader 2"), (3, "term 7"), (1, "alive 3/3")]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (80, " node 1  leader 2  term 7  alive 3/3 "),
        (30, " node 1  leader 2  alive 3/3 "),
        (28, " leader 2  alive 3/3 "),
        (20, " leader 2 "),
        (4, " lea"),
        (0, ""),
    ],
)
def test_what_matters_most_stays_where_there_is_little_room(columns: int, shown: str) -> None:
    assert fitted(PARTS, columns) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.00042, "0.4 ms"), (0.0999, "99.9 ms"), (0.1234, "123 ms"), (1.5, "1.50 s")]
)
def test_times_are_as_exact_as_a_person_wants_them(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


class Cluster:
    """A node whose answers the test changes, and a bar that asks it."""

    def __init__(self, make: Make) -> None:
        self.leader: int | None = 0
        self.hangs = False
        self.node: FakeNode = make(self._answer)
        self.news: list[str] = []
        self.asked = threading.Event()
        self.connection = Connection([self.node.address])
        self.bar = Bar(self.connection, lambda: None, self.news.append)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        self.asked.set()
        if self.hangs:
            return None
        if request["op"] == "transfer_leadership":
            self.leader = request["target"]
            return {"leader": self.leader, "term": 7}
        if request["op"] == "members":
            return {"members": [{"id": 0, "role": "voter", "live": True}, {"id": 1, "role": "voter", "live": False}]}
        address = None if self.leader is None else str(self.node.address)
        told = {"node": 0, "term": 7, "commit_index": 12, "leader": self.leader, "leader_address": address}
        return told if request["op"] == "status" else {}

    def shows(self, *texts: str) -> None:
        eventually(lambda: all(text in self.bar.text(200) for text in texts), f"{texts} in the bar")


@pytest.fixture
def cluster(fake: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(bar, "ASK_SECONDS", 0.05)
    made = Cluster(fake)
    yield made
    made.bar.close()
    if made.bar._asking is not None:
        made.bar._asking.result(20.0)
    made.connection.close()
    made.connection._client.close()


def test_it_tells_of_node_leader_term_commit_members_and_round_trip_in_80_columns(cluster: Cluster) -> None:
    assert "not connected yet" in cluster.bar.text(80)
    cluster.bar.looked_at()
    cluster.shows("node 0", str(cluster.node.address), "leader 0", "term 7", "commit 12", "alive 1/2", " ms")
    assert "ms" in cluster.bar.text(80)
    assert len(cluster.bar.text(80)) <= 80


def test_a_cluster_without_a_leader_is_told_and_who_leads_then(cluster: Cluster) -> None:
    cluster.bar.looked_at()
    cluster.shows("leader 0")
    cluster.leader = None
    cluster.shows("no leader", "alive ?")
    assert cluster.news == []
    cluster.leader = 1
    cluster.shows("leader 1")
    assert cluster.news == ["node 1 leads now, in term 7; before it was node 0"]


def test_what_a_command_has_told_is_no_news(cluster: Cluster) -> None:
    cluster.bar.looked_at()
    cluster.shows("leader 0")
    cluster.connection.leader = cluster.leader = 1
    cluster.shows("leader 1")
    assert cluster.news == []


def test_a_transfer_has_told_who_leads(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.bar.looked_at()
    cluster.shows("leader 0")
    cluster.bar.rest()  # as while any command runs
    assert run_line(Prompt(cluster.connection, COMMANDS), "transfer 1") == 0
    cluster.bar.looked_at()
    cluster.shows("leader 1")
    assert cluster.news == []
    assert capsys.readouterr().out == "node 1 leads in term 7\n"


def test_a_cluster_that_hangs_is_told_and_nobody_waits_for_it(cluster: Cluster) -> None:
    cluster.bar.looked_at()
    cluster.shows("leader 0")
    cluster.hangs = True
    cluster.shows("no node answers")
    cluster.hangs = False
    cluster.shows("leader 0")


def test_it_asks_only_while_somebody_looks(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.bar.looked_at()
    cluster.shows("leader 0")
    with monkeypatch.context() as within:
        within.setattr(bar, "LOOKED_AT_SECONDS", 0.01)
        cluster.bar.looked_at()
        cluster.shows("leader 0", "as of")
        cluster.asked.clear()
        assert not cluster.asked.wait(3 * bar.ASK_SECONDS)
    cluster.bar.looked_at()
    assert cluster.asked.wait(20.0)
