"""Members removed while another is dead: as far as the leader knows, a majority of those that stay must live."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from trioraft.wire.peers import AdminReply

from ..helpers.virtual_cluster import ADDRESSES, Cluster


async def takes_a_write(cluster: Cluster, index: int) -> bool:
    [reply] = await cluster.ask(index, {"op": "put", "key": "k", "value": 1, "timeout_ms": 1500})
    return reply["ok"] is True


@pytest.mark.parametrize("through", [0, 1])
@pytest.mark.parametrize("seconds", [0.05, 0.3, 3.0])
async def test_with_one_of_three_dead_neither_the_leader_nor_the_other_is_removed(
    cluster: Cluster, through: int, seconds: float
) -> None:
    leader = await cluster.leader()
    other, dead = (leader + 1) % 3, (leader + 2) % 3
    cluster.nodes[dead].crash()
    await trio.sleep(seconds)
    for gone in (leader, other):
        [reply] = await cluster.ask((leader, other)[through], {"op": "remove_member", "member": gone})
        error = reply["error"]
        assert (error["code"], error["applied"]) == ("membership", "no")
        assert f"while node {dead} does not answer" in error["message"]
        assert await cluster.leader() == leader, "the lead was handed over for nothing"
    assert await takes_a_write(cluster, other)


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_removal_held_during_an_election_waits_until_the_new_leader_knows_who_lives(
    cluster: Cluster, gone: int
) -> None:
    dead = await cluster.leader()
    left = (dead + 1) % 3, (dead + 2) % 3
    cluster.nodes[dead].crash()
    [reply] = await cluster.ask(left[0], {"op": "remove_member", "member": left[gone]})
    assert not reply["ok"], "it left two that vote, of which one is dead"
    assert "does not answer" in reply["error"]["message"]
    assert await takes_a_write(cluster, left[0])


@pytest.mark.parametrize("through", [1, 2] * 4)
async def test_the_dead_one_is_removed_also_during_an_election(cluster: Cluster, through: int) -> None:
    """Ask one of the two that are left, several times: chance decides which of them leads then, and that one counts."""
    dead = await cluster.leader()
    cluster.nodes[dead].crash()
    [reply] = await cluster.ask((dead + through) % 3, {"op": "remove_member", "member": dead})
    assert reply["ok"]
    [members] = await cluster.ask(await cluster.leader(), {"op": "members"})
    assert (members["can_lose"], members["voters"]) == (0, 2)


async def test_a_leader_that_is_removed_hands_over_to_one_that_lives(cluster: Cluster) -> None:
    leader = await cluster.leader()
    [reply] = await cluster.ask((leader + 1) % 3, {"op": "remove_member", "member": leader})
    assert reply["ok"]
    assert await cluster.leader() != leader
    assert await takes_a_write(cluster, (leader + 1) % 3)


@pytest.mark.parametrize("away", [0, 1])
async def test_a_change_finds_what_those_before_it_on_its_connection_did(cluster: Cluster, away: int) -> None:
    index = (await cluster.leader() + away) % 3
    replies = await cluster.ask(
        index,
        {"op": "add_member", "address": "new:1", "learner": True},
        {"op": "promote_member", "member": 3},
        {"op": "remove_member", "member": 3},
        {"op": "add_member", "address": "new:1", "learner": True},
        {"op": "put", "key": "k", "value": 1},
        {"op": "remove_member", "member": 4},
        {"op": "members"},
    )
    assert [reply["ok"] for reply in replies] == [True] * 7
    assert [row["id"] for row in replies[-1]["members"]] == [0, 1, 2]


async def test_a_change_that_was_passed_on_is_answered_when_this_node_has_it_too(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    leader = await cluster.leader()
    follower = cluster.nodes[(leader + 1) % 3].driver
    assert follower is not None
    await cluster.ask(leader, {"op": "put", "key": "k", "value": 1})
    await trio.sleep(0.5)
    client = await cluster.connect(follower.node)
    with monkeypatch.context() as patch:
        patch.setattr(follower.replica, "send", lambda *_: None)
        client.send({"op": "promote_member", "member": 2})
        await trio.sleep(0.01)
    told = AdminReply(0, msgspec.Raw(b'{"ok":true}'), index=follower.replica.core.commit_index + 1)
    follower.replica.administration.on_reply(leader, told)
    await trio.sleep(0.2)
    assert client.lines == b"", "the leader's entry has not come here yet"
    await cluster.ask(leader, {"op": "put", "key": "k", "value": 2})
    [reply] = await client.replies(1)
    assert reply["ok"]


async def test_what_the_cluster_can_lose_counts_those_that_live(
    cluster: Cluster,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    leader = await cluster.leader()
    follower, dead = (leader + 1) % 3, (leader + 2) % 3
    await trio.sleep(0.5)
    [members] = await cluster.ask(leader, {"op": "members"})
    assert (members["can_lose"], members["voters"]) == (1, 3)
    cluster.nodes[dead].crash()
    await trio.sleep(0.5)
    [members] = await cluster.ask(leader, {"op": "members"})
    assert (members["can_lose"], members["voters"]) == (0, 3)
    assert {row["id"]: row.get("live") for row in members["members"]} == {leader: True, follower: True, dead: False}
    [members] = await cluster.ask(follower, {"op": "members"})
    assert "can_lose" not in members, "who does not lead does not know who lives"
    assert members["voters"] == 3
    cluster.nodes[dead].start()
    await trio.sleep(1)
    [members] = await cluster.ask(leader, {"op": "members"})
    assert members["can_lose"] == 1


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "transfer_leadership", "target": 7},
        {"op": "remove_member", "member": 9},
        {"op": "promote_member", "member": 1},
        {"op": "add_member", "address": str(ADDRESSES[1])},
    ],
    ids=lambda request: str(request["op"]),
)
async def test_what_no_wait_would_change_is_not_told_to_wait(cluster: Cluster, request_: dict[str, object]) -> None:
    leader = await cluster.leader()
    assert await takes_a_write(cluster, leader)
    [reply] = await cluster.ask(leader, request_)
    error = reply["error"]
    assert error["code"] == "membership"
    assert error["hint"] == "'members' shows who belongs to the cluster, and where"


async def test_how_far_one_is_of_whom_a_leader_has_not_heard_is_not_said(
    cluster: Cluster,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    leader = await cluster.leader()
    dead = (leader + 1) % 3
    assert await takes_a_write(cluster, leader)
    await trio.sleep(0.5)
    cluster.nodes[dead].crash()
    await cluster.hand_over((leader + 2) % 3)
    await trio.sleep(1.5)
    [members] = await cluster.ask((leader + 2) % 3, {"op": "members"})
    rows = {row["id"]: row for row in members["members"]}
    assert rows[dead]["live"] is False
    assert "match_index" not in rows[dead]
    assert rows[leader]["match_index"] > 0


async def test_who_takes_in_a_newcomer_is_told_its_id_and_not_anothers(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
    nursery: trio.Nursery,
) -> None:
    cluster = Cluster(nursery, seed=5)
    weather = cluster.weather()
    weather.seconds = (0.002, 0.002)
    for node in cluster.nodes:
        node.start()
    index = await cluster.leader()
    assert await takes_a_write(cluster, index)
    waiting, other = await cluster.connect(index), await cluster.connect(index)
    # The write is applied before the other client's newcomer is committed. Then the change behind it may begin, too.
    waiting.send({"op": "put", "key": "k", "value": 1}, {"op": "add_member", "address": "waiting:1", "learner": True})
    await trio.sleep(0.001)
    other.send({"op": "add_member", "address": "other:1", "learner": True})
    told = [(await client.replies(count))[-1]["member"] for client, count in ((waiting, 2), (other, 1))]
    [members] = await cluster.ask(index, {"op": "members"})
    taken_in = {row["address"]: row["id"] for row in members["members"][3:]}
    assert taken_in == {"other:1": 3, "waiting:1": 4}
    assert [(row["address"], row["id"]) for row in told] == [("waiting:1", 4), ("other:1", 3)]
