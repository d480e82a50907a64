"""Whole nodes in virtual time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from trioraft.kv.commands import Delete, Put
from trioraft.raft.messages import HardState, RequestVote
from trioraft.replica.ports import TICK_SECONDS
from trioraft.server.gathering import GATHER_SECONDS, PLENTY
from trioraft.wire.commands import decode_command, encode_commands
from trioraft.wire.peers import NotProposed, Propose, Proposed

from ..helpers.virtual_cluster import Cluster


async def test_a_cluster_forms_and_elects_a_leader_within_two_seconds(cluster: Cluster) -> None:
    began = trio.current_time()
    await cluster.leader()
    assert trio.current_time() - began < 2


async def test_no_node_votes_before_all_have_been_up_together(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
    nursery: trio.Nursery,
) -> None:
    cluster = Cluster(nursery, seed=2)
    cluster.nodes[0].start()
    cluster.nodes[1].start()
    await trio.sleep(30)
    [reply] = await cluster.ask(0, {"op": "status"})
    assert reply["term"] == 0
    assert reply["waiting_for"] == ["node 2 at node:3"]
    assert reply["role"] == "unformed"
    [reply] = await cluster.ask(0, {"op": "put", "key": "k", "value": 1})
    assert reply["error"]["code"] == "no_quorum"
    assert reply["error"]["applied"] == "no"
    assert "start every node" in reply["error"]["hint"], "a majority forms nothing"
    cluster.nodes[2].start()
    leader = await cluster.leader()
    [reply] = await cluster.ask(leader, {"op": "status"})
    assert reply["role"] == "leader"
    assert "waiting_for" not in reply


async def test_every_write_is_answered_with_the_revision_that_a_read_shows_then(cluster: Cluster) -> None:
    leader = await cluster.leader()
    for writer in range(3):
        for write in ({"op": "put", "value": 1}, {"op": "incr", "by": 5}, {"op": "incr"}, {"op": "put", "value": "x"}):
            wrote, read = await cluster.ask(writer, {"key": "k", **write}, {"op": "get", "key": "k"})
            assert wrote["rev"] == read["rev"] > 0
            if write["op"] == "incr":
                assert wrote["value"] == read["value"]
    [deleted, gone, put] = await cluster.ask(
        leader, {"op": "delete", "key": "k"}, {"op": "get", "key": "k"}, {"op": "put", "key": "k", "value": 1}
    )
    assert deleted["rev"] == put["rev"] - 1
    assert gone["rev"] == 0


async def test_keys_alone_come_by_the_page_whatever_their_values_weigh(cluster: Cluster) -> None:
    leader = await cluster.leader()
    keys = [f"k{number}" for number in range(5)]
    await cluster.ask(leader, *({"op": "put", "key": key, "value": "x" * 900_000} for key in keys))
    for read in ("linearizable", "stale"):
        [reply] = await cluster.ask(leader, {"op": "scan", "keys_only": True, "read": read})
        assert ([item["key"] for item in reply["items"]], reply["more"]) == (keys, False)
        [reply] = await cluster.ask(leader, {"op": "scan", "read": read})
        assert ([item["key"] for item in reply["items"]], reply["more"]) == (keys[:1], True)


@pytest.mark.parametrize("away", [0, 1, 2])
async def test_each_request_sees_those_before_it_through_any_node(cluster: Cluster, away: int) -> None:
    index = (await cluster.leader() + away) % 3
    requests: list[dict[str, object]] = []
    for value in range(300):
        requests.append({"op": "put", "key": "k", "value": value})
        requests.append({"op": "get", "key": "k"})
        requests.append({"op": "get", "key": "k", "read": "stale"})
    replies = await cluster.ask(index, *requests)
    assert [reply["value"] for reply in replies if "value" in reply] == [n for n in range(300) for _ in range(2)]


async def test_a_stale_read_waits_for_the_writes_before_it_though_one_of_them_is_refused(cluster: Cluster) -> None:
    follower = (await cluster.leader() + 1) % 3
    replies = await cluster.ask(
        follower,
        {"op": "put", "key": "k", "value": 1},
        {"op": "put", "key": "k", "value": 2, "forward": False},
        {"op": "get", "key": "k", "read": "stale"},
    )
    assert [reply["ok"] for reply in replies] == [True, False, True]
    assert replies[2]["value"] == 1


async def test_no_read_shows_less_than_one_before_it_nor_a_write_behind_it(cluster: Cluster) -> None:
    follower = (await cluster.leader() + 1) % 3
    for round in range(100):
        put = {"op": "put", "key": "k", "value": round}
        get, stale = {"op": "get", "key": "k"}, {"op": "get", "key": "k", "read": "stale"}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cluster.ask, (follower + 1) % 3, {"op": "put", "key": "k", "value": -round})
            replies = await cluster.ask(follower, get, {**put, "forward": False}, stale, get, put, stale)
        revisions = [reply["rev"] for reply in replies if reply["ok"]]
        assert revisions == sorted(revisions)
        assert revisions[2] < revisions[3]


async def test_reads_that_come_together_are_each_answered_and_each_refused(
    cluster: Cluster,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    leader = await cluster.leader()
    await cluster.ask(leader, *[{"op": "put", "key": str(key), "value": key} for key in range(3)])
    gets: list[dict[str, object]] = [{"id": f"read {key}", "op": "get", "key": str(key)} for key in range(4)]
    for node in range(3):
        replies = await cluster.ask(node, *gets)
        assert [(reply["id"], reply["value"]) for reply in replies] == [
            ("read 0", 0),
            ("read 1", 1),
            ("read 2", 2),
            ("read 3", None),
        ]
    for away in (1, 2):
        cluster.nodes[(leader + away) % 3].crash()
    replies = await cluster.ask(leader, *gets)
    assert [(reply["id"], reply["error"]["code"]) for reply in replies] == [(get["id"], "no_quorum") for get in gets]
    assert all("applied" not in reply["error"] for reply in replies)


async def test_a_crashed_leader_is_replaced_without_an_election_timeout(cluster: Cluster) -> None:
    leader = await cluster.leader()
    await cluster.ask(leader, {"op": "put", "key": "k", "value": 1})
    began = trio.current_time()
    cluster.nodes[leader].crash()
    await cluster.leader()
    assert trio.current_time() - began < 0.5
    [reply] = await cluster.ask((leader + 1) % 3, {"op": "get", "key": "k"})
    assert reply["value"] == 1


async def test_without_a_majority_writes_fail_and_say_so_and_stale_reads_go_on(cluster: Cluster) -> None:
    leader = await cluster.leader()
    await cluster.ask(leader, {"op": "put", "key": "k", "value": 1})
    for away in (1, 2):
        cluster.nodes[(leader + away) % 3].crash()
    began = trio.current_time()
    [reply] = await cluster.ask(leader, {"op": "put", "key": "k", "value": 2})
    assert reply["error"]["code"] == "no_quorum"
    assert reply["error"]["applied"] == "unknown"
    [reply] = await cluster.ask(leader, {"op": "put", "key": "k", "value": 3})
    assert reply["error"]["applied"] == "no"
    assert trio.current_time() - began < 3.5
    [reply] = await cluster.ask(leader, {"op": "get", "key": "k", "read": "stale"})
    assert reply["value"] == 1
    cluster.nodes[(leader + 1) % 3].start()
    await cluster.leader()
    [reply] = await cluster.ask(leader, {"op": "put", "key": "k", "value": 4})
    assert reply["ok"]


async def test_everything_acknowledged_outlives_the_crash_of_all(cluster: Cluster) -> None:
    for round in range(5):
        leader = await cluster.leader()
        writes = [{"op": "put", "key": f"{round}-{n}", "value": n} for n in range(50)]
        replies = await cluster.ask((leader + round) % 3, *writes)
        assert all(reply["ok"] for reply in replies)
        for node in cluster.nodes:
            node.crash()
        for node in cluster.nodes:
            node.start()
    await cluster.leader()
    for index in range(3):
        reads = [{"op": "get", "key": f"{round}-{n}"} for round in range(5) for n in range(50)]
        replies = await cluster.ask(index, *reads)
        assert [reply["value"] for reply in replies] == [n for _ in range(5) for n in range(50)]


async def test_a_deadline_is_kept(cluster: Cluster) -> None:
    leader = await cluster.leader()
    for away in (1, 2):
        cluster.nodes[(leader + away) % 3].crash()
    began = trio.current_time()
    [reply] = await cluster.ask(leader, {"op": "put", "key": "k", "value": 2, "timeout_ms": 100})
    assert reply["error"]["code"] == "timeout"
    assert reply["error"]["applied"] == "unknown"
    assert trio.current_time() - began < 0.2


async def test_a_read_sees_the_writes_before_it_though_the_last_of_them_failed_early(cluster: Cluster) -> None:
    leader = await cluster.leader()
    follower = (leader + 1) % 3
    for node in (leader, (leader + 2) % 3):
        cluster.nodes[node].crash()
    replies: list[dict[str, object]] = []

    async def ask() -> None:
        put = {"op": "put", "key": "k", "value": 1}
        late = {"op": "put", "key": "other", "value": 1, "timeout_ms": 10}
        stale = {"op": "get", "key": "k", "read": "stale"}
        replies.extend(await cluster.ask(follower, put, late, stale))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(0.5)
        cluster.nodes[leader].start()
    assert [reply["ok"] for reply in replies] == [True, False, True]
    assert replies[2]["value"] == 1


async def test_a_write_passed_on_while_the_nodes_connect_anew_is_answered_soon(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
    nursery: trio.Nursery,
) -> None:
    cluster = Cluster(nursery, seed=3)
    weather = cluster.weather()
    weather.seconds = (0.0, 0.03)
    for node in cluster.nodes:
        node.start()
    leader = await cluster.leader()
    follower = (leader + 1) % 3
    for value in range(40):
        for connection in list(cluster.nodes[follower].hub.connections):
            if connection.other.hub is cluster.nodes[leader].hub:
                connection.break_off()
        began = trio.current_time()
        await cluster.ask(follower, {"op": "put", "key": "k", "value": value})
        assert trio.current_time() - began < 1


async def test_writes_through_a_follower_keep_their_order_while_the_lead_goes_and_comes_back(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
    nursery: trio.Nursery,
) -> None:
    cluster = Cluster(nursery, seed=4)
    weather = cluster.weather()
    for node in cluster.nodes:
        node.start()
    leader = await cluster.leader()
    other, deaf = (leader + 1) % 3, (leader + 2) % 3
    client = await cluster.connect(deaf)
    asked = 0

    async def write() -> None:
        nonlocal asked
        while True:
            client.send({"op": "put", "key": f"k{asked % 10}", "value": asked})
            asked += 1
            await trio.sleep(0.002)

    async with trio.open_nursery() as writing:
        writing.start_soon(write)
        for _ in range(5):
            for sender in (leader, other):  # its leader does not learn of that either: it hears nobody, but is heard
                weather.cut(f"node {sender}", f"node {deaf}")
            for successor in (other, leader):
                await cluster.hand_over(successor)
                await trio.sleep(0.02)
            for sender in (leader, other):
                weather.mend(f"node {sender}", f"node {deaf}")
            await trio.sleep(0.3)
        writing.cancel_scope.cancel()
    replies = await client.replies(asked)
    assert all(reply["ok"] for reply in replies)
    revisions = [reply["rev"] for reply in replies]
    assert revisions == sorted(revisions)


async def test_nothing_is_sent_behind_a_write_that_was_refused_before_all_are_answered(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    leader = await cluster.leader()
    follower = cluster.nodes[(leader + 1) % 3].driver
    assert follower is not None
    core, requests = follower.replica.core, follower.requests
    passed: list[Propose] = []
    monkeypatch.setattr(follower.replica, "send", lambda _, message: passed.append(message))
    client = await cluster.connect(core.node)
    term = core.term
    for value in range(2):
        client.send({"op": "put", "key": "k", "value": value})
        await trio.sleep(0.01)
    requests.on_not_proposed(leader, NotProposed(passed[0].number, 1, "leader_changed", "", ""))
    core.hard_state = HardState(term + 2, None)  # the leader was deposed, and leads again
    client.send({"op": "put", "key": "k", "value": 2})
    await trio.sleep(0.05)
    assert [message.term for message in passed] == [term, term]
    requests.on_not_proposed(leader, NotProposed(passed[1].number, 1, "leader_changed", "", ""))
    requests.route()
    assert [message.term for message in passed] == [term, term, term + 2]
    assert [
        bytes(command.value) for line in passed[2].commands if isinstance(command := decode_command(line), Put)
    ] == [
        b"0",
        b"1",
        b"2",
    ]


async def test_what_was_passed_on_to_the_leader_of_another_term_is_refused(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    index = await cluster.leader()
    leader = cluster.nodes[index].driver
    assert leader is not None
    answers: list[object] = []
    monkeypatch.setattr(leader.replica, "send", lambda _, message: answers.append(message))
    command, term, last = encode_commands([Delete("k")]), leader.replica.core.term, leader.replica.core.last_index
    for number, for_term in enumerate((term - 1, term, term + 1, None)):  # None: an older version's
        leader.requests.on_propose((index + 1) % 3, Propose(number, command, for_term))
    assert [type(answer) for answer in answers] == [NotProposed, Proposed, NotProposed, Proposed]
    assert leader.replica.core.last_index == last + 2


async def test_writes_passed_on_during_a_transfer_are_refused_in_the_order_in_which_they_came(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    index = await cluster.leader()
    leader = cluster.nodes[index].driver
    assert leader is not None
    sender, successor = (node.index for node in cluster.nodes if node.index != index)
    core, requests = leader.replica.core, leader.requests
    answers: list[object] = []
    monkeypatch.setattr(leader.replica, "send", lambda _, message: answers.append(message))
    command = encode_commands([Delete("k")])
    core.transfer_leadership(successor)
    requests.on_propose(sender, Propose(0, command))
    core.step(successor, RequestVote(core.term + 1, core.last_index, core.log.last_term, transfer=True))
    assert core.role == "follower"
    requests.on_propose(sender, Propose(1, command))
    requests.route()
    assert [(answer.number, answer.code) for answer in answers if isinstance(answer, NotProposed)] == [
        (0, "leader_changed"),
        (1, "leader_changed"),
    ]


async def test_writes_that_come_while_others_are_under_way_share_a_batch_soon(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    index = await cluster.leader()
    leader = cluster.nodes[index].driver
    assert leader is not None
    followers = [node for node in cluster.nodes if node.index != index]
    proposed: list[tuple[float, int]] = []
    propose = leader.replica.core.propose

    def watched(payloads: Sequence[bytes]) -> int:
        proposed.append((trio.current_time(), len(payloads)))
        return propose(payloads)

    monkeypatch.setattr(leader.replica.core, "propose", watched)
    for node in followers:
        node.hub.freeze()
    async with trio.open_nursery() as clients:
        for key in ("a", "b", "c"):
            clients.start_soon(cluster.ask, index, {"op": "put", "key": key, "value": 1})
            await trio.sleep(GATHER_SECONDS / 4)
        await trio.sleep(0.1)
        for node in followers:
            node.hub.thaw()
    (first, one), (second, two) = proposed
    assert (one, two) == (1, 2)
    assert second - first < 2 * GATHER_SECONDS


async def test_plenty_of_writes_wait_for_no_more(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    index = await cluster.leader()
    leader = cluster.nodes[index].driver
    assert leader is not None
    proposed: list[int] = []
    propose = leader.replica.core.propose

    def watched(payloads: Sequence[bytes]) -> int:
        assert leader.replica.core.commit_index == leader.replica.core.last_index or len(payloads) >= PLENTY
        proposed.append(len(payloads))
        return propose(payloads)

    monkeypatch.setattr(leader.replica.core, "propose", watched)
    puts: list[dict[str, object]] = [{"op": "put", "key": str(key), "value": 1} for key in range(2 * PLENTY)]
    async with trio.open_nursery() as clients:
        for few in (puts[:PLENTY], puts[PLENTY:]):
            clients.start_soon(cluster.ask, index, *few)
    assert sum(proposed) == 2 * PLENTY


async def test_an_answer_to_a_call_is_judged_by_what_was_known_when_it_was_asked_for(cluster: Cluster) -> None:
    """Otherwise a peer that acknowledges something meanwhile, on its own link, is taken for an older copy of itself."""
    index = await cluster.leader()
    peer = (index + 1) % 3
    leader, follower = cluster.nodes[index].driver, cluster.nodes[peer].driver
    assert leader is not None
    assert follower is not None
    asked, answer = leader.replica.introductions.acknowledged(peer), follower.replica.introductions.introduction(index)
    with trio.fail_after(10):
        while leader.replica.introductions.acknowledged(peer).index <= answer.last_index:
            await cluster.ask(index, {"op": "put", "key": "k", "value": 1})
    assert leader.replica.introductions.objection(peer, answer, asked) is None
    refused = leader.replica.introductions.objection(peer, answer, leader.replica.introductions.acknowledged(peer))
    assert refused is not None
    assert "older copy" in refused.message


async def test_a_leader_syncs_in_the_next_tick_what_it_left_for_that(cluster: Cluster) -> None:
    leader = await cluster.leader()
    driver = cluster.nodes[leader].driver
    assert driver is not None
    core = driver.replica.core
    left = 0
    for place in range(40):
        await trio.sleep(0.3 + place * 0.003)  # anywhere between two ticks, and between two heartbeats
        await cluster.ask(leader, *[{"op": "put", "key": str(number), "value": place} for number in range(20)])
        left += core.durable_index < core.last_index
        await trio.sleep(2 * TICK_SECONDS)
        assert core.durable_index == core.last_index, "it sleeps to the next heartbeat"
    assert left > 5
