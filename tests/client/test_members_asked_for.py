"""The nodes that `members` asks, and its words where nobody knows which members are live."""

from __future__ import annotations

from typing import Any

import pytest
from trioraft_cli.membership import Members, ask_members, show_members

from trioraft.addresses import Address
from trioraft.client import Client

from ..helpers.fake_nodes import Answer, FakeNode, Make

GONE = Address("127.0.0.1", 1)


def answering(listed: list[Address], leader: Address | None = None, **more: Any) -> Answer:
    """Make a node that lists these members, the leader among them."""
    rows: list[dict[str, Any]] = [
        {"id": number, "address": str(address), "role": "voter"} for number, address in enumerate(listed)
    ]
    if leader is not None:
        rows[listed.index(leader)]["leader"] = True
    place = None if leader is None else str(leader)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "status":
            return {"leader": None if leader is None else listed.index(leader), "leader_address": place}
        return {"members": rows, "next_id": 9, "voters": len(rows), **more}

    return answer


def asked(node: FakeNode) -> Members:
    with Client([node.address]) as client:
        return ask_members(client)


def test_a_removed_node_is_asked_only_for_those_that_it_knows_of(
    fake: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    removed, leader, follower = (fake(lambda _: {}) for _ in range(3))
    listed = [leader.address, follower.address]
    leader.answer = answering(listed, leader.address, can_lose=0)
    follower.answer = answering(listed, leader.address)
    removed.answer = answering(listed[::-1], removed=True)
    found = asked(removed)
    assert not found.removed
    show_members(found)
    assert capsys.readouterr().out.endswith("can lose 0 of 2\n")


def test_a_removed_node_that_is_all_there_is_says_so(fake: Make, capsys: pytest.CaptureFixture[str]) -> None:
    removed = fake(answering([GONE], removed=True))
    show_members(asked(removed))
    assert "can lose: not known: who answers has been removed" in capsys.readouterr().out


def test_two_removed_nodes_that_name_each_other_are_not_asked_for_ever(fake: Make) -> None:
    one, other = (fake(lambda _: {}) for _ in range(2))
    one.answer, other.answer = answering([other.address], removed=True), answering([one.address], removed=True)
    assert asked(one).removed


def test_without_a_leader_that_answers_nobody_knows_what_can_be_lost(
    fake: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    node = fake(lambda _: {})
    node.answer = answering([node.address, GONE])
    show_members(asked(node))
    assert capsys.readouterr().out.endswith("can lose: not known: no leader\n")
    node.answer = answering([node.address, GONE], GONE)
    show_members(asked(node))
    assert capsys.readouterr().out.endswith("can lose: not known: the leader does not answer\n")
