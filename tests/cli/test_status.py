"""The output of `status` for a cluster in any state, from its nodes' own statuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from trioraft_cli import status
from trioraft_cli.outcomes import NO_NODE, NOT_NOW
from trioraft_cli.status import COLUMNS, ClusterStatus, judge, remarks

from trioraft.addresses import Address
from trioraft.client import Client, Reply
from trioraft.wire.replies import error_reply, object_reply


def at(node: int) -> Address:
    return Address("node", 8000 + node)


def node(number: int, formed: int = 0, leader: int | None = None, **more: object) -> Reply:
    """Make the status of a node in a cluster of `formed` nodes."""
    members = [{"id": member, "address": str(at(member)), "role": "voter"} for member in range(formed)]
    status = {"node": number, "role": "leader" if leader == number else "follower", "term": 1, "leader": leader}
    indexes = {"commit_index": 9, "last_applied": 9, "first_index": 1, "last_index": 9}
    return Reply(object_reply(b"1", {**status, "leader_address": None, **indexes, "members": members, **more}))


Look = Callable[[dict[int, Reply | str]], ClusterStatus]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Ask nodes that give these answers or errors, in the order of the list."""

    def look(said: dict[int, Reply | str]) -> ClusterStatus:
        answers = {at(number): answer for number, answer in said.items()}
        monkeypatch.setattr(status, "_ask_one", lambda address: answers.get(address, "Connection refused"))
        return ClusterStatus(list(answers))

    return look


def column(name: str, found: ClusterStatus) -> list[str]:
    place = COLUMNS.index(name)
    return [row[place] for row in found.rows()]


@pytest.mark.parametrize("listed", [range(12), reversed(range(12)), [3, 11, 10, 1], [11]])
def test_nodes_stand_in_the_order_of_their_numbers(look: Look, listed: Sequence[int]) -> None:
    found = look({number: node(number, 12, 0) if number % 3 else "timed out" for number in listed})
    assert column("NODE#", found) == [str(number) for number in range(12)]


def test_those_of_no_number_come_last_as_they_are_listed(look: Look) -> None:
    found = look({20: "timed out", 10: node(10, 11, 10), 9: node(9, 11, 10), 8: "timed out", 12: "timed out"})
    assert column("NODE#", found) == [*map(str, range(11)), "?", "?"]
    assert column("ADDRESS", found)[-2:] == ["node:8020", "node:8012"]


WAITING = ["node 2 at node:8002", "node 1, whose servers.txt differs: a:1"]


def test_a_cluster_that_has_not_formed_has_no_followers_and_says_whom_it_waits_for(
    look: Look, capsys: pytest.CaptureFixture[str]
) -> None:
    found = look(
        {0: node(0, waiting_for=WAITING), 1: node(1, role="unformed", waiting_for=WAITING[:1]), 2: "timed out"}
    )
    assert column("ROLE", found) == ["not formed", "not formed", "no answer: timed out"]
    assert judge(found) == NOT_NOW
    told = capsys.readouterr().err
    assert told == f"trioraft: the cluster has not formed yet: waiting for {'; '.join(WAITING)}\n"


def test_nodes_that_wait_for_none_any_more_have_not_formed_either(look: Look) -> None:
    found = look({number: node(number, waiting_for=[]) for number in range(3)})
    assert column("ROLE", found) == ["not formed"] * 3
    assert remarks(found.statuses) == ["the cluster has not formed yet: waiting for the nodes to agree"]


def test_a_newcomer_to_a_cluster_that_runs_is_told_apart(look: Look, capsys: pytest.CaptureFixture[str]) -> None:
    found = look({0: node(0, 3, 0), 1: node(1, 3, 0), 2: node(2, 3, 0), 3: node(3, waiting_for=["a member"])})
    assert column("ROLE", found) == ["leader", "follower", "follower", "not formed"]
    assert judge(found) == 0
    assert capsys.readouterr().err == "trioraft: node 3 at node:8003 belongs to no cluster yet: waiting for a member\n"


def test_a_removed_node_is_no_follower(look: Look, capsys: pytest.CaptureFixture[str]) -> None:
    found = look({0: node(0, role="removed"), 1: node(1, 3, 1), 2: node(2, 3, 1)})
    assert column("ROLE", found) == ["removed", "leader", "follower"]
    assert judge(found) == 0
    told = "node 0 at node:8000 has been removed from the cluster: stop it, and put '-' in its line of servers.txt"
    assert capsys.readouterr().err == f"trioraft: {told}\n"


def test_a_leader_that_too_few_follow_takes_no_writes(look: Look) -> None:
    found = look({0: node(0, 3, 0), 1: node(1, 3, None), 2: "timed out"})
    assert judge(found) == NOT_NOW
    assert remarks(found.statuses) == ["no leader has a majority: writes are not taken now"]


def test_where_no_node_answers_or_one_refuses_it_is_said(look: Look, capsys: pytest.CaptureFixture[str]) -> None:
    found = look({0: "timed out", 1: "timed out"})
    assert judge(found) == NO_NODE
    assert capsys.readouterr().err == "trioraft: no node answers\n"


def test_a_node_that_refuses_is_shown_with_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Reply(error_reply(b"1", "internal", "the request could not be handled", "", None))
    monkeypatch.setattr(Client, "pipeline", lambda *_: [refusal])
    assert column("ROLE", ClusterStatus([at(0)])) == ["no answer: the request could not be handled"]
