"""The binding of the newest member's folder: what a newcomer shows, what it is told, and what other nodes know."""

from __future__ import annotations

import pytest
import trio

from trioraft.cluster.formation import Assembly, View
from trioraft.cluster.handshake import PROTOCOL
from trioraft.raft.membership import Configuration, Formation, Member, with_folder, with_learner
from trioraft.wire.cluster_commands import LEVEL
from trioraft.wire.peers import PeerHello, PeerRefused, decode_handshake
from trioraft.wire.peers import encode as encode_message

from ..helpers.virtual_cluster import ADDRESSES, Client, Cluster

NEW = 3
ADDRESS = "new:1"


def hello(cluster: Cluster, receiver: int, folder: str, configuration: Configuration | None = None) -> PeerHello:
    """The newest member's introduction to that node."""
    servers = [*(str(address) for address in ADDRESSES), ADDRESS]
    driver = cluster.nodes[receiver].driver
    assert driver is not None
    formation = driver.replica.folder.formation
    assert formation is not None
    own = None if configuration is None else Formation(formation.cluster, configuration)
    name = None if own is None else own.cluster
    return PeerHello(PROTOCOL, name, NEW, receiver, folder, 1, folder, 1, 0, servers, own, LEVEL)


async def introduce(cluster: Cluster, said: PeerHello) -> tuple[Client, PeerHello | PeerRefused]:
    """Introduce it. Return the connection and the answer."""
    client = await cluster.connect(said.receiver)
    client.connection.send(encode_message(said))
    with trio.fail_after(5):
        while b"\n" not in client.lines:
            await client.news.wait()
            client.news = trio.Event()
    return client, decode_handshake(client.lines[:-1])


async def configuration_with(cluster: Cluster, index: int) -> Configuration:
    """The members as that node knows them, once it knows the folder of the newest."""
    driver = cluster.nodes[index].driver
    assert driver is not None
    with trio.fail_after(5):
        while (member := driver.replica.core.configuration.member(NEW)) is None or not member.folder:
            await trio.sleep(0.01)
    return driver.replica.core.configuration


async def take_in(cluster: Cluster) -> int:
    """Add the newest member, which has not introduced itself. Return the leader."""
    leader = await cluster.leader()
    [reply] = await cluster.ask(leader, {"op": "add_member", "address": ADDRESS, "learner": True})
    assert reply["member"]["id"] == NEW
    return leader


async def test_the_folder_is_bound_with_which_a_newcomer_came_last(cluster: Cluster) -> None:
    """The folder was emptied between two starts, before it was bound: the first folder is gone."""
    leader = await take_in(cluster)
    driver = cluster.nodes[leader].driver
    assert driver is not None
    for peer in range(3):
        if peer != leader:
            cluster.nodes[peer].hub.freeze()
    driver.replica.core.propose_configuration(driver.replica.core.configuration)  # another change is under way
    await introduce(cluster, hello(cluster, leader, "first"))
    await introduce(cluster, hello(cluster, leader, "second"))
    for peer in range(3):
        if peer != leader:
            cluster.nodes[peer].hub.thaw()
    configuration = await configuration_with(cluster, leader)
    assert configuration.member(NEW) == Member(NEW, ADDRESS, "learner", "second")


async def test_a_folder_once_bound_stays(cluster: Cluster) -> None:
    leader = await take_in(cluster)
    await introduce(cluster, hello(cluster, leader, "first"))
    configuration = await configuration_with(cluster, leader)
    _, answer = await introduce(cluster, hello(cluster, leader, "second"))
    assert isinstance(answer, PeerRefused)
    assert "belongs to the cluster with folder first" in answer.message
    await trio.sleep(1)
    driver = cluster.nodes[leader].driver
    assert driver is not None
    assert driver.replica.core.configuration == configuration


async def test_a_peer_is_told_of_the_members_that_are_committed_alone(cluster: Cluster) -> None:
    leader = await cluster.leader()
    driver = cluster.nodes[leader].driver
    assert driver is not None
    with trio.fail_after(5):
        while not driver.replica.core.may_change:
            await trio.sleep(0.01)
    for peer in range(3):
        if peer != leader:
            cluster.nodes[peer].hub.freeze()
    driver.replica.core.propose_configuration(with_learner(driver.replica.core.configuration, ADDRESS, promote=True))
    assert driver.replica.core.configuration.member(NEW) is not None
    said = driver.replica.introductions.introduction((leader + 1) % 3)
    assert said.formation is not None
    assert said.formation.configuration.member(NEW) is None, "it may yet be undone"


async def test_who_lacks_the_newest_member_alone_gets_to_know_it(cluster: Cluster) -> None:
    """The newest member may lead, so this node's answers must reach it: this node learns of it from its log."""
    index = (await cluster.leader() + 1) % 3
    driver = cluster.nodes[index].driver
    assert driver is not None
    grown = with_folder(with_learner(driver.replica.core.configuration, ADDRESS, promote=False), NEW, "f-new")
    _, answer = await introduce(cluster, hello(cluster, index, "f-new", grown))
    assert isinstance(answer, PeerHello), "it is not known here, and not removed either"
    await trio.sleep(0.1)
    assert driver.replica.introductions.addresses[NEW] == ADDRESS


@pytest.mark.parametrize(("folder", "is_member"), [("", False), ("other", False), ("mine", True)])
def test_a_newcomer_is_a_member_when_its_own_folder_is_bound(folder: str, is_member: bool) -> None:
    servers = [*(str(address) for address in ADDRESSES), ADDRESS]
    members = tuple(Member(node, servers[node], "voter", f"f{node}") for node in range(3))
    configuration = with_learner(Configuration(members, 3), ADDRESS, promote=True)
    if folder:
        configuration = with_folder(configuration, NEW, folder)
    assembly = Assembly(NEW, "mine", servers, 2)
    assembly.heard(0, View("f0", servers, Formation("cluster", configuration), 2))
    assert (assembly.formed() is not None) == is_member
