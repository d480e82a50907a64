"""Which peers are heard, which are not, and what these are told."""

from __future__ import annotations

import msgspec

from trioraft.cluster.formation import Assembly, View
from trioraft.cluster.handshake import PROTOCOL, Acknowledged, Evidence, refusal
from trioraft.raft.membership import Configuration, Formation, Member, with_folder, with_learner, without
from trioraft.wire.peers import PeerHello

SERVERS = ["a:1", "b:1", "c:1"]
FIRST = Configuration(tuple(Member(node, SERVERS[node], "voter", f"f{node}") for node in range(3)), 3)
NEW = with_learner(FIRST, "d:1", promote=True)


def hello(sender: int, receiver: int, configuration: Configuration | None, **changes: object) -> PeerHello:
    formation = None if configuration is None else Formation("cluster", configuration)
    cluster = None if configuration is None else "cluster"
    said = PeerHello(PROTOCOL, cluster, sender, receiver, f"f{sender}", 1, "i", 1, 0, SERVERS, formation)
    return msgspec.structs.replace(said, **changes)


def told(said: PeerHello, mine: PeerHello) -> str:
    """Why the peer is refused; empty where it is heard."""
    refused = refusal(said, mine, None)
    return "" if refused is None else f"{refused.message} ({refused.hint})"


def test_members_hear_each_other() -> None:
    assert told(hello(1, 0, FIRST), hello(0, 1, FIRST)) == ""


def test_a_member_with_another_folder_is_told_how_to_come_back() -> None:
    why = told(hello(1, 0, None, folder="new"), hello(0, 1, FIRST))
    assert "members remove 1" in why
    assert "members add" in why


def test_a_removed_node_is_told_that_it_was_removed() -> None:
    assert "has been removed" in told(hello(2, 0, FIRST), hello(0, 2, without(FIRST, 2)))


def test_who_is_not_known_yet_is_heard_if_its_cluster_is_the_same() -> None:
    bound = with_folder(NEW, 3, "f3")
    assert told(hello(3, 0, bound), hello(0, 3, FIRST)) == ""
    assert "belongs to cluster another" in told(hello(3, 0, bound, cluster="another"), hello(0, 3, FIRST))
    assert "no member" in told(hello(3, 0, None, servers=[*SERVERS, "d:1"]), hello(0, 3, FIRST))


def test_a_node_of_the_cluster_before_is_told_that_its_folder_is_anothers() -> None:
    """In a cluster made anew from one node, the others are no members, and their folders belong to the old cluster."""
    alone = Configuration((Member(0, "a:1", "voter", "f-new"),), 3)
    why = told(hello(2, 0, FIRST, cluster="old"), hello(0, 2, alone))
    assert "the data folder of node 2 belongs to cluster old" in why
    assert "trioraft recover" in why
    assert "with an empty folder" in why


def test_an_emptied_folder_is_told_as_that_by_who_remembers_more_of_the_one_before_too() -> None:
    emptied, mine = hello(1, 0, None, folder="new", last_index=0), hello(0, 1, FIRST, term=3)
    contradiction = Evidence().contradicts(emptied, Acknowledged(1, 2))
    assert contradiction is not None
    refused = refusal(emptied, mine, contradiction)
    assert refused == refusal(emptied, mine, None)
    assert refused is not None
    assert "its folder was emptied" in refused.message


def test_a_node_of_no_cluster_says_who_refuses_it() -> None:
    assembly = Assembly(2, "f", SERVERS, 2)
    assembly.refused(0, "its folder was emptied")
    assert assembly.waiting_for[0] == "node 0 at a:1, which refuses this node: its folder was emptied"
    assert assembly.waiting_for[1] == "node 1 at b:1"
    assembly.refused(0, None)
    assert assembly.waiting_for[0] == "node 0 at a:1"
    assembly.refused(0, "why")
    assembly.heard(0, View("f0", SERVERS, None, 2))
    assert 0 not in assembly.waiting_for


def test_a_newcomer_lacks_a_member_that_takes_it_in_and_founds_nothing() -> None:
    assert Assembly(3, "f", ["a:1", "b:1", "-", "d:1"], 2).lacking.startswith("a member to take this node in: ")
    assembly = Assembly(2, "f", SERVERS, 2)
    assert assembly.lacking == "2 of 3: node 0 at a:1, node 1 at b:1"
    assert assembly.is_its_own(Formation("c", FIRST))
    assert not assembly.is_its_own(Formation("c", NEW))
    assert not Assembly(3, "f", [*SERVERS, "d:1"], 2).is_its_own(Formation("c", NEW))
    assert not Assembly(3, "f", ["a:1", "-", "c:1"], 2).is_its_own(Formation("c", FIRST))


def test_a_newcomer_is_heard_before_its_folder_is_bound() -> None:
    assert told(hello(3, 0, None, servers=[*SERVERS, "d:1"]), hello(0, 3, NEW)) == ""


def test_a_newcomer_that_is_not_where_it_was_taken_in_is_refused() -> None:
    assert "was taken in at d:1" in told(hello(3, 0, None, servers=[*SERVERS, "e:1"]), hello(0, 3, NEW))
    assert "was taken in at d:1" in told(hello(3, 0, None), hello(0, 3, NEW))


def test_what_a_later_term_may_have_cut_off_is_no_evidence() -> None:
    evidence = Evidence()
    said = hello(1, 0, FIRST, term=3, last_index=7)
    assert evidence.contradicts(said, Acknowledged(3, 7)) is None
    contradiction = evidence.contradicts(said, Acknowledged(3, 8))
    assert contradiction is not None
    assert contradiction.reason == "older_copy"
    assert evidence.contradicts(said, Acknowledged(2, 8)) is None
