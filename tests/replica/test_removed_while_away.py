"""A node that was removed while nobody could tell it: who tells it later, and what it says then."""

from __future__ import annotations

import msgspec
import pytest
import trio

from trioraft.cluster.handshake import Acknowledged
from trioraft.raft.membership import Configuration, Formation, Member, with_folder, without
from trioraft.replica.removal import Removal
from trioraft.server.driver import Driver
from trioraft.wire.peers import PeerHello, PeerRefused

from ..helpers.virtual_cluster import ADDRESSES, Cluster

SAID = "has been removed from the cluster"


def driver_of(cluster: Cluster, index: int) -> Driver:
    driver = cluster.nodes[index].driver
    assert driver is not None
    return driver


async def remove_unheard(cluster: Cluster, *, alive: bool) -> int:
    """Remove an unreachable node, and let another node lead, to which it is no peer. Return the node, back again."""
    leader = await cluster.leader()
    gone, successor = (leader + 1) % 3, (leader + 2) % 3
    await trio.sleep(0.5)
    if alive:
        driver_of(cluster, leader).peers._links.pop(gone)  # its connection stands, but nothing is sent on it any more
    else:
        cluster.nodes[gone].crash()
    [reply] = await cluster.ask(leader, {"op": "remove_member", "member": gone})
    assert reply["ok"]
    await trio.sleep(0.5)
    await cluster.hand_over(successor)
    if not alive:
        cluster.nodes[gone].start()
    await trio.sleep(3)
    return gone


@pytest.mark.parametrize("alive", [True, False])
async def test_it_learns_of_it_says_so_once_and_sends_its_clients_to_the_members(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, alive: bool
) -> None:
    gone = await remove_unheard(cluster, alive=alive)
    own = [record.getMessage() for record in caplog.records if "may be stopped" in record.getMessage()]
    assert len(own) == 1
    [status, members] = await cluster.ask(gone, {"op": "status"}, {"op": "members"})
    assert status["role"] == "removed"
    assert members["removed"] is True
    assert "can_lose" not in members
    others = [index for index in range(3) if index != gone]
    assert [row["id"] for row in members["members"]] == others

    began = trio.current_time()
    replies = await cluster.ask(
        gone, {"op": "get", "key": "k"}, {"op": "put", "key": "k", "value": 1}, {"op": "remove_member", "member": 0}
    )
    assert trio.current_time() - began < 0.2, "its clients wait for a leader that it will never have"
    for reply in replies:
        error = reply["error"]
        assert error["code"] == "no_quorum"
        assert SAID in error["message"]
        assert all(str(ADDRESSES[index]) in error["hint"] for index in others)
    assert [reply["error"].get("applied") for reply in replies] == [None, "no", "no"]


async def told(cluster: Cluster, changes: dict[str, object]) -> tuple[Driver, bool]:
    """Whether a member believes the refusal of another, changed like this, that it was removed."""
    index = await cluster.leader()
    peer = (index + 1) % 3
    driver, hello = driver_of(cluster, index), driver_of(cluster, peer).replica.introductions.introduction(index)
    assert hello.formation is not None
    said = Formation(hello.formation.cluster, without(hello.formation.configuration, index))
    lie: PeerHello = msgspec.structs.replace(hello, **{"formation": said, **changes})
    return driver, driver.replica.introductions.is_removed_by(
        peer, PeerRefused("membership", "m", "h", lie), Acknowledged(0, 0)
    )


async def test_the_word_of_a_member_counts(cluster: Cluster) -> None:
    driver, believed = await told(cluster, {})
    assert believed
    assert driver.replica.removal.configuration is not None


@pytest.mark.parametrize(
    "lie",
    [
        {"folder": "another"},
        {"cluster": "another"},
        {"sender": 7},
        {"receiver": 7},
        {"formation": None, "cluster": None},
        {"formation": Formation("c", Configuration((), 0))},
    ],
)
async def test_nobody_else_is_believed(cluster: Cluster, lie: dict[str, object]) -> None:
    driver, believed = await told(cluster, lie)
    assert not believed
    assert driver.replica.removal.configuration is None


def test_a_member_whose_folder_is_not_known_yet_is_not_believed() -> None:
    own = Configuration((Member(0, "a:1", "learner", "f0"), Member(1, "b:1", "voter", "")), 2)
    said = PeerHello((2, 2), "c", 1, 0, "f1", 1, "i", 1, 1, [], Formation("c", without(own, 0)))
    removal = Removal(0)
    assert not removal.is_told_by(said, own)
    assert removal.is_told_by(said, with_folder(own, 1, "f1"))


async def test_a_refusal_without_an_introduction_is_no_removal(cluster: Cluster) -> None:
    driver = driver_of(cluster, await cluster.leader())
    refused = PeerRefused("membership", f"node {driver.node} {SAID}", "")
    assert not driver.replica.introductions.is_removed_by((driver.node + 1) % 3, refused, Acknowledged(0, 0))


async def test_who_leads_or_follows_serves_on_whatever_it_is_told(cluster: Cluster) -> None:
    """The news only changes what a node without a leader tells its clients."""
    driver, believed = await told(cluster, {})
    assert believed
    [reply, status] = await cluster.ask(driver.node, {"op": "put", "key": "k", "value": 1}, {"op": "status"})
    assert reply["ok"]
    assert status["role"] == "leader"
    await cluster.hand_over((driver.node + 1) % 3)
    await trio.sleep(0.1)
    assert driver.replica.removal.configuration is None, "a leader counts on it"


def test_a_newcomer_whose_log_begins_before_its_time_is_not_removed(caplog: pytest.LogCaptureFixture) -> None:
    removal = Removal(4)
    removal.commits(Configuration((), 4))
    assert removal.configuration is None
    removal.commits(Configuration((), 5))
    removal.commits(Configuration((), 6))
    assert removal.configuration == Configuration((), 6)
    assert len(caplog.records) == 1
