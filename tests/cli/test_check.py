"""What `check` says of clusters that are made of evidence: the first line names the cause, and the steps mend it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trioraft_cli.checking.evidence import Answer, Fault, Member, Metrics, Silence, Trouble
from trioraft_cli.checking.findings import CODES, Finding, worst_first
from trioraft_cli.checking.judge import judge, needs_second_look

from ..helpers.made_clusters import MIB, MadeCluster, at

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"

Break = Callable[[MadeCluster], object]


def first(break_it: Break, made: MadeCluster | None = None) -> Finding:
    """The first finding about a cluster that is broken so."""
    made = made or MadeCluster()
    break_it(made)
    return judge(made.evidence)[0]


def commands(found: Finding) -> list[str]:
    return [step.command for step in found.steps if step.command is not None]


def test_a_cluster_that_is_well_says_who_leads_and_how_many_may_fail() -> None:
    found = judge(MadeCluster().evidence)
    assert [(f.code, f.severity, f.message) for f in found] == [
        ("healthy", "ok", "3 nodes, node 0 leads in term 4, can lose 1 of 3")
    ]
    assert not needs_second_look(MadeCluster().evidence)
    found = judge(MadeCluster(5, 1).evidence)
    assert found[0].message == "6 nodes (1 without a vote), node 0 leads in term 4, can lose 2 of 5"


def _two_are_silent(made: MadeCluster) -> None:
    made.is_silent(1)
    made.is_silent(2)
    made.leader = None


def _partition(made: MadeCluster) -> None:
    made.leader = None
    for node in range(3):
        for other in range(3):
            if node != other:
                made.tells(node, other, "connect", message=f"node {other} cannot be reached")


def _one_way(made: MadeCluster) -> None:
    made.tells(1, 2, "connect", message="node 2 at host:8002 cannot be reached: no answer within 2 s")


def _wiped(made: MadeCluster, *nodes: int) -> None:
    for node in nodes:
        made.status.pop(node)
        made.live[node] = False
        made.more[at(node)] = made.unformed(node, folder="new")


def _wiped_majority(made: MadeCluster) -> None:
    _wiped(made, 1, 2)
    made.leader = None


def _faults(made: MadeCluster) -> None:
    made.answer[0]["faults"] = [Fault("cut", 2, "to"), Fault("cut", 2, "from")]
    made.live[2] = False


def _old(made: MadeCluster) -> None:
    made.answer[2]["version"] = "0.1.0"
    made.says(2, folder="", cluster=None, servers=[])
    made.live[2] = False
    made.tells(0, 2, "needs_upgrade", "from", "node 2 knows no level above 1")


def _stuck(made: MadeCluster) -> None:
    made.before = {at(node): made.status_of(node, last_applied=12 if node == 2 else 20) for node in range(3)}
    made.says(2, last_applied=12)


def _newcomer(made: MadeCluster, *, learner: bool = False) -> None:
    made.members.append(Member(3, str(at(3)), "learner", "", not learner))
    made.next_id = 4
    made.is_silent(3)


def _moved(made: MadeCluster) -> None:
    made.members.append(Member(3, str(at(3)), "learner", "", promote=True))
    made.next_id = 4
    made.more[at(3)] = made.unformed(3)
    made.tells(0, 3, "moved", "from", "its own servers.txt has it elsewhere")


def _leads_from_afar(made: MadeCluster) -> None:
    made.is_silent(0, "no_answer")
    made.leader = 0


def _stranger(made: MadeCluster, node: int) -> None:
    made.more[at(node)] = made.unformed(node, servers=["-", "-", "-", str(at(3))])
    made.listed.append(at(node))


def _of_old_cluster(made: MadeCluster) -> None:
    made.members = made.members[:1]
    made.status = {0: {}}
    made.more[at(2)] = Answer(at(2), "0.2.0", made.status_of(2, cluster="old", role="follower", leader=None))


def _older_copy(made: MadeCluster) -> None:
    made.tells(2, 0, "older_copy", message="it is an older copy")
    made.live[2] = False


def _copied(made: MadeCluster) -> None:
    made.tells(2, 0, "two_processes", message="another process")
    made.live[2] = False


def _two_limits(made: MadeCluster) -> None:
    for node in range(3):
        made.measures(node, max_request_bytes=1024 if node else 4096)


def _out_of_reach(made: MadeCluster) -> None:
    made.is_silent(1, "no_answer", "no answer")
    made.live.clear()


def _listed_stranger(made: MadeCluster) -> None:
    made.listed.append(at(7))
    made.silences[at(7)] = Silence("refused", "")


def _on_its_way(made: MadeCluster) -> None:
    for node in range(3):
        then, now = (1000, 5000) if node == 2 else (9000, 9000)
        made.says(node, last_applied=now, commit_index=9000)
        made.before[at(node)] = made.status_of(node, last_applied=then, commit_index=9000)


def _joins(made: MadeCluster) -> None:
    made.members.append(Member(3, str(at(3)), "learner", "", promote=True))
    made.more[at(3)] = made.unformed(3)
    made.listed.append(at(3))


CASES: dict[str, tuple[Break, str, str, list[str], list[str]]] = {
    # name: what is done, then of the first finding: its code, its severity, words of it, all commands that it advises
    "dead": (
        lambda made: made.is_silent(2),
        "not_running",
        "now",
        ["node 2", "No other"],
        ["trioraft node 2 servers.txt"],
    ),
    "paused": (
        lambda made: made.is_silent(2, "silent", "nothing within 2 s"),
        "silent",
        "now",
        ["node 2 at host:8002", "stopped, or hangs"],
        ["pkill -CONT -f 'trioraft.* node 2 '", "trioraft node 2 servers.txt"],
    ),
    "no quorum": (
        _two_are_silent,
        "not_running",
        "down",
        ["node 1", "node 2", "1 of 3 voters is there", "nothing can be written"],
        ["trioraft node 1 servers.txt", "trioraft node 2 servers.txt"],
    ),
    "the machine is off": (
        lambda made: made.is_silent(1, "no_answer", "no answer to the connection within 1 s"),
        "no_answer",
        "now",
        ["machine of node 1", "no answer"],
        ["nc -vz -w 2 host 8001", "trioraft node 1 servers.txt"],
    ),
    "no way": (
        lambda made: made.is_silent(1, "no_way", "No route to host"),
        "no_way",
        "now",
        ["no way to node 1", "No route to host"],
        ["nc -vz -w 2 host 8001", "trioraft node 1 servers.txt"],
    ),
    "no such name": (
        lambda made: made.is_silent(1, "unresolved", "its name does not resolve: unknown"),
        "unresolved",
        "now",
        ["node 1", "does not resolve"],
        ["nc -vz -w 2 host 8001", "trioraft node 1 servers.txt"],
    ),
    "a web server": (
        lambda made: made.is_silent(1, "not_a_node", "it speaks HTTP"),
        "not_a_node",
        "now",
        ["something else answers in the place of node 1", "HTTP"],
        ["trioraft node 1 servers.txt"],
    ),
    "hangs up": (
        lambda made: made.is_silent(1, "hung_up", "closes it"),
        "hung_up",
        "now",
        ["node 1", "without a word"],
        ["trioraft node 1 servers.txt"],
    ),
    "a full house": (
        lambda made: made.is_silent(1, "overloaded", "as many are connected"),
        "overloaded",
        "now",
        ["node 1", "no place"],
        ["trioraft node 1 servers.txt"],
    ),
    "an error": (
        lambda made: made.is_silent(1, "failing", "the request could not be handled"),
        "failing",
        "now",
        ["node 1", "could not be handled"],
        ["trioraft node 1 servers.txt"],
    ),
    "wiped": (
        lambda made: _wiped(made, 2),
        "wiped",
        "now",
        ["node 2 at host:8002", "another data folder"],
        ["trioraft members remove 2", "trioraft members add host:8002", "trioraft node 3 servers.txt"],
    ),
    "two of three wiped": (
        _wiped_majority,
        "wiped",
        "down",
        ["node 1", "1 of 3 voters is there"],
        [
            "trioraft recover --data-dir trioraft-data/node-0 --force-members host:8000",
            "trioraft node 0 servers.txt",
            "trioraft members add host:8001",
            "trioraft node 3 servers.txt",
            "trioraft members add host:8002",
            "trioraft node 4 servers.txt",
        ],
    ),
    "an older copy": (
        _older_copy,
        "older_copy",
        "now",
        ["refuse node 2", "older copy"],
        ["trioraft members remove 2", "trioraft members add host:8002", "trioraft node 3 servers.txt"],
    ),
    "a copied folder": (
        _copied,
        "two_processes",
        "now",
        ["refuse node 2", "another process"],
        ["trioraft members remove 2", "trioraft members add host:8002", "trioraft node 3 servers.txt"],
    ),
    "an impostor": (
        lambda made: made.tells(0, 2, "two_processes", "from", "another process runs on a copy"),
        "impostor",
        "now",
        ["another process introduces itself as node 2"],
        [],
    ),
    "a wrong index": (
        lambda made: (made.status.pop(1), made.more.update({at(1): Answer(at(1), "0.2.0", made.status_of(2))})),
        "other_node",
        "now",
        ["node 2 answers in the place of node 1"],
        ["trioraft node 1 servers.txt"],
    ),
    "another cluster": (
        lambda made: (
            made.status.pop(1),
            made.more.update({at(1): Answer(at(1), "0.2.0", made.status_of(1, cluster="theirs", folder="x"))}),
        ),
        "other_cluster",
        "now",
        ["node 1", "another cluster, theirs"],
        [
            "trioraft node 1 servers.txt",
            "trioraft members remove 1",
            "trioraft members add host:8001",
            "trioraft node 3 servers.txt",
        ],
    ),
    "left of the cluster before": (
        _of_old_cluster,
        "other_cluster",
        "now",
        ["node 2 at host:8002 runs in another cluster, old"],
        [
            "mv trioraft-data/node-2 trioraft-data/node-2.old",
            "trioraft members add host:8002",
            "trioraft node 3 servers.txt",
        ],
    ),
    "too old": (_old, "needs_upgrade", "now", ["refuse node 2", "level above 1"], ["trioraft node 2 servers.txt"]),
    "a partition": (
        _partition,
        "cut_between",
        "down",
        ["cannot reach each other", "nothing can be written"],
        ["nc -vz -w 2 host 8001"],
    ),
    "one way": (
        _one_way,
        "cut_between",
        "now",
        ["node 1 cannot reach node 2, which reaches it"],
        ["nc -vz -w 2 host 8002"],
    ),
    "unheard": (
        lambda made: made.live.update({2: False}),
        "cut_from_leader",
        "now",
        ["node 2 at host:8002 runs", "node 0, which leads, does not hear it"],
        ["trioraft check"],
    ),
    "faults": (
        _faults,
        "faults_on",
        "now",
        ["node 0 and node 2 are cut off from each other"],
        ["trioraft fault heal"],
    ),
    "no leader": (
        lambda made: setattr(made, "leader", None),
        "no_leader",
        "down",
        ["3 of 3 voters run", "nothing can be written"],
        ["trioraft check"],
    ),
    "behind": (
        _stuck,
        "lagging",
        "now",
        ["node 2 at host:8002 is 8 entries behind"],
        ["trioraft check", "trioraft node 2 servers.txt"],
    ),
    "a full disk": (
        lambda made: made.measures(1, disk_free_bytes=3 * MIB, disk_bytes=1000 * MIB, data_dir="/data/n1"),
        "disk_full",
        "now",
        ["disk of node 1", "3 MiB left of 1000"],
        [],
    ),
    "never started": (
        _newcomer,
        "never_started",
        "now",
        ["node 3 at host:8003 was taken in"],
        ["trioraft node 3 servers.txt"],
    ),
    "a learner that never started": (
        lambda made: _newcomer(made, learner=True),
        "never_started",
        "now",
        ["node 3 at host:8003 was taken in"],
        ["trioraft node 3 servers.txt"],
    ),
    "a newcomer elsewhere": (_moved, "newcomer_moved", "now", ["refuse node 3"], ["trioraft node 3 servers.txt"]),
    "waits outside": (
        lambda made: _stranger(made, 3),
        "waits_outside",
        "now",
        ["node 3 at host:8003", "waits to be taken in"],
        ["trioraft members add host:8003"],
    ),
    "waits outside with a wrong id": (
        lambda made: _stranger(made, 5),
        "waits_outside",
        "now",
        ["node 5 at host:8005"],
        ["trioraft members add host:8005", "trioraft node 3 servers.txt"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_finding_names_the_cause_and_what_mends_it(name: str) -> None:
    break_it, code, severity, words, advised = CASES[name]
    found = first(break_it)
    assert (found.code, found.severity) == (code, severity), found
    assert all(part in found.message for part in words), found.message
    assert commands(found) == advised
    assert found.steps
    assert found.message == found.message.strip(". \n")


@pytest.mark.parametrize("name", CASES)
def test_a_cluster_that_is_not_well_is_looked_at_twice(name: str) -> None:
    made = MadeCluster()
    CASES[name][0](made)
    assert needs_second_look(made.evidence)
    assert "healthy" not in {found.code for found in judge(made.evidence)}


REMARKS: dict[str, tuple[Break, str, list[str]]] = {
    "two versions": (
        lambda made: made.answer[2].update(version="0.1.9"),
        "versions_differ",
        ["node 2 runs 0.1.9", "0.2.0"],
    ),
    "two limits": (
        _two_limits,
        "settings_differ",
        ["node 0", "4096", "1024"],
    ),
    "a clock": (
        lambda made: [made.answer[node].update(clock=75.0 if node == 1 else 0.1) for node in range(3)],
        "clocks_differ",
        ["the clock of node 1 is 75 s ahead"],
    ),
    "little room": (
        lambda made: made.measures(2, disk_free_bytes=200 * MIB, disk_bytes=9000 * MIB),
        "disk_low",
        ["node 2", "200 MiB left"],
    ),
    "out of reach from here": (
        _out_of_reach,
        "unreachable_from_here",
        ["node 1", "the others hear it"],
    ),
    "the leader is out of reach from here": (
        _leads_from_afar,
        "unreachable_from_here",
        ["node 0", "the others hear it"],
    ),
    "a removed node runs": (
        lambda made: made.more.update({at(5): Answer(at(5), "0.2.0", made.status_of(5, role="removed"))}),
        "removed_runs",
        ["node 5", "was removed"],
    ),
    "a list with a stranger": (
        _listed_stranger,
        "list_differs",
        ["host:8007", "no member"],
    ),
    "a list that lacks one": (
        lambda made: made.listed.pop(),
        "list_differs",
        ["servers.txt lacks node 2 at host:8002"],
    ),
    "a node's list": (
        lambda made: made.says(1, servers=["host:8000", "host:8001", "elsewhere:1"]),
        "list_differs",
        ["the servers.txt of node 1 has elsewhere:1 for node 2"],
    ),
    "on its way": (
        _on_its_way,
        "catching_up",
        ["node 2", "4000 entries behind"],
    ),
    "a newcomer joins": (
        _joins,
        "joining",
        ["node 3"],
    ),
}


@pytest.mark.parametrize("name", REMARKS)
def test_what_needs_no_haste_is_a_remark_behind_the_good_news(name: str) -> None:
    break_it, code, words = REMARKS[name]
    made = MadeCluster()
    break_it(made)
    well, *rest = judge(made.evidence)
    assert well.code == "healthy"
    (found,) = [finding for finding in rest if finding.code == code]
    assert found.severity == "remark"
    assert all(part in found.message for part in words), found.message


def test_who_is_silent_and_was_heard_a_moment_ago_is_looked_at_twice() -> None:
    made = MadeCluster()
    _out_of_reach(made)
    assert needs_second_look(made.evidence)


def test_what_lacks_something_is_looked_at_twice() -> None:
    made = MadeCluster()
    made.says(2, last_applied=19)
    assert needs_second_look(made.evidence)
    assert [found.code for found in judge(made.evidence)] == ["healthy"]
    made.before = {at(node): made.status_of(node) for node in range(2)}
    assert [found.code for found in judge(made.evidence)] == ["healthy"]


def test_a_small_cluster_has_no_node_to_spare() -> None:
    for size in (1, 2):
        well, remark = judge(MadeCluster(size).evidence)
        assert "can lose 0" in well.message
        assert (remark.code, remark.severity) == ("none_to_spare", "remark")


def test_where_no_node_answers_each_is_to_be_started() -> None:
    made = MadeCluster()
    for node in range(3):
        made.is_silent(node)
    found = judge(made.evidence)[0]
    assert (found.code, found.severity, found.nodes) == ("not_running", "down", [0, 1, 2])
    assert commands(found) == [f"trioraft node {node} servers.txt" for node in range(3)]
    made.file, made.listed = None, [at(0)]
    made.silences = {at(0): Silence("refused", "")}
    found = judge(made.evidence)[0]
    assert "the node at host:8000 does not run" in found.message
    assert "--connect" in found.steps[0].do


def unformed(lists: dict[int, list[str]]) -> MadeCluster:
    """Nodes that belong to no cluster, with these lists."""
    made = MadeCluster()
    made.status, made.members = {}, []
    made.more = {at(node): made.unformed(node, servers=servers) for node, servers in lists.items()}
    made.silences = {at(node): Silence("refused", "") for node in range(3) if node not in lists}
    return made


RIGHT = [str(at(node)) for node in range(3)]


def test_a_cluster_waits_for_the_nodes_that_do_not_run() -> None:
    found = judge(unformed({0: RIGHT, 1: RIGHT}).evidence)[0]
    assert (found.code, found.severity, found.nodes) == ("not_running", "down", [2])
    assert "forms once all 3 nodes are up" in found.message
    assert commands(found) == ["trioraft node 2 servers.txt"]


def test_lists_that_differ_are_told_with_the_place_and_the_odd_one() -> None:
    found = judge(unformed({0: RIGHT, 1: [*RIGHT[:2], "other:1"], 2: RIGHT}).evidence)[0]
    assert (found.code, found.severity, found.nodes) == ("lists_differ", "down", [1])
    assert "at position 2 it has other:1, and that one host:8002" in found.message
    assert commands(found) == ["trioraft node 1 servers.txt"]
    found = judge(unformed({0: RIGHT, 1: RIGHT, 2: RIGHT[:2]}).evidence)[0]
    assert "at position 2 it has nothing" in found.message


def test_a_node_in_the_place_of_another_is_told() -> None:
    made = unformed({0: RIGHT, 1: RIGHT, 2: RIGHT})
    made.more[at(1)] = msgspec.structs.replace(made.more[at(1)], status=made.more[at(2)].status)
    found = judge(made.evidence)[0]
    assert (found.code, found.nodes) == ("other_node", [1])


def test_nodes_that_all_wait_for_a_cluster_are_told_of_the_dash() -> None:
    waiting = ["-", *RIGHT[1:]]
    made = unformed({1: waiting, 2: waiting})
    made.silences = {}
    found = judge(made.evidence)[0]
    assert (found.code, found.nodes) == ("waits_for_cluster", [1, 2])


def test_nodes_that_do_not_reach_each_other_form_no_cluster() -> None:
    made = unformed({0: RIGHT, 1: RIGHT, 2: RIGHT})
    made.more[at(0)] = made.unformed(
        0,
        servers=RIGHT,
        troubles=[Trouble(2, "to", "connect", "node 2 cannot be reached")],
    )
    found = judge(made.evidence)[0]
    assert (found.code, found.nodes) == ("cut_between", [0, 2])
    assert judge(unformed({0: RIGHT, 1: RIGHT, 2: RIGHT}).evidence)[0].code == "forming"


def test_a_leader_of_too_few_is_none() -> None:
    made = MadeCluster()
    made.is_silent(1)
    made.is_silent(2)
    assert judge(made.evidence)[0].severity == "down"


def test_a_disk_that_is_full_comes_before_the_node_that_it_ended() -> None:
    made = MadeCluster()
    made.is_silent(2)
    made.measures(0, disk_free_bytes=0, disk_bytes=24 * MIB)
    assert [found.code for found in judge(made.evidence)][:2] == ["disk_full", "not_running"]


def test_commands_lead_to_the_same_cluster() -> None:
    made = MadeCluster()
    made.file, made.options = "my list.txt", " --servers 'my list.txt'"
    _wiped(made, 2)
    assert commands(judge(made.evidence)[0]) == [
        "trioraft members remove 2 --servers 'my list.txt'",
        "trioraft members add host:8002 --servers 'my list.txt'",
        "trioraft node 3 'my list.txt'",
    ]


def test_at_a_prompt_what_is_for_the_cluster_is_typed_there() -> None:
    made = MadeCluster()
    _wiped(made, 2)
    made.typed_at, made.file = "prompt", None
    steps = [step for step in judge(made.evidence)[0].steps if step.command]
    assert [(step.command, step.at_prompt) for step in steps] == [
        ("members remove 2", True),
        ("members add host:8002", True),
        ("trioraft node 3 servers.txt", False),
    ]


def test_in_a_demo_its_own_commands_mend_it() -> None:
    made = MadeCluster()
    made.typed_at, made.file = "demo", None
    made.is_silent(2)
    assert commands(judge(made.evidence)[0]) == [r"\restart 2"]
    made.is_silent(2, "silent")
    assert commands(judge(made.evidence)[0]) == [r"\resume 2", r"\restart 2"]
    made = MadeCluster()
    made.typed_at = "demo"
    _faults(made)
    assert commands(judge(made.evidence)[0]) == [r"\heal"]
    made = MadeCluster()
    made.typed_at = "demo"
    _wiped(made, 2)
    assert commands(judge(made.evidence)[0]) == ["members remove 2", r"\add"]


def test_a_node_whose_folder_was_copied_is_let_go_in_any_case() -> None:
    stop, remove, *_ = first(_copied).steps
    assert stop.do.startswith(
        "stop all that runs as node 2: its folder was copied, or an older copy of it was put back"
    )
    assert remove.do == "then let the node go"


def test_a_member_reached_by_another_name_is_no_stranger() -> None:
    made = MadeCluster()
    alias = Answer(at(9), "0.2.0", made.status_of(1))
    made.more[at(9)] = alias
    assert [found.code for found in judge(made.evidence)] == ["healthy"]


def test_the_worst_comes_first() -> None:
    found = [
        Finding(code, severity, [], "m") for code in reversed(CODES) for severity in ("remark", "now", "ok", "down")
    ]
    order = [(f.severity, f.code) for f in worst_first(found)]
    assert [code for severity, code in order if severity == "now"] == list(CODES)
    assert [severity for severity, _ in order[:: len(CODES)]] == ["down", "now", "ok", "remark"]


def test_every_finding_stands_in_the_docs_and_no_other() -> None:
    table = PAGE.read_text().partition("## What is wrong, and what to do")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(CODES)
    assert [line for line in table.splitlines() if line.startswith("| `")] == [
        f"| `{code}` | {meaning} |" for code, meaning in CODES.items()
    ]


def test_metrics_that_an_older_node_lacks_are_no_finding() -> None:
    made = MadeCluster()
    made.answer[0]["metrics"] = Metrics()
    assert [found.code for found in judge(made.evidence)] == ["healthy"]


def test_faults_are_told_by_link_and_then_the_others() -> None:
    made = MadeCluster()
    faults = [Fault("cut", 0, "from"), Fault("slow", 2, "to"), Fault("drop", 2, "from"), Fault("new", 2, "to")]
    made.answer[1]["faults"] = [*faults, Fault("disk")]
    assert judge(made.evidence)[0].message.startswith(
        "faults are switched on: node 1 hears nothing of node 0, what node 1 says to node 2 arrives late, what node 2 "
        "says to node 1 is lost in part, what node 1 says to node 2 suffers 'new' and the disk of node 1 hangs"
    )


def test_disks_that_hang_are_not_called_a_cut() -> None:
    made = MadeCluster()
    made.leader = None
    for node in (0, 1):
        made.answer[node]["faults"] = [Fault("disk")]
    found = judge(made.evidence)[0]
    assert (found.code, found.severity) == ("faults_on", "down")
    assert found.message.endswith("hangs. No leader has a majority: nothing can be written")


KINDS = ("refused", "silent", "no_answer", "not_a_node", "overloaded", "unresolved")
REASONS = ("connect", "silent", "older_copy", "other_folder", "needs_upgrade", "removed", "", "unheard of")


@st.composite
def clusters(draw: st.DrawFn) -> MadeCluster:
    """Clusters with anything wrong, much of which cannot be at once."""
    made = MadeCluster(draw(st.integers(1, 5)), draw(st.integers(0, 1)))
    ids = [member.id for member in made.members]
    made.leader = draw(st.sampled_from([None, *ids]))
    made.typed_at = draw(st.sampled_from(["shell", "prompt", "demo"]))
    made.file = draw(st.sampled_from([None, "servers.txt"]))
    for node in ids:
        made.live[node] = draw(st.booleans())
        match draw(st.integers(0, 6)):
            case 0:
                made.is_silent(node, draw(st.sampled_from(KINDS)), "words")
            case 1:
                made.status.pop(node)
                made.more[at(node)] = made.unformed(node, folder=draw(st.sampled_from(["", "new", f"folder-{node}"])))
            case 2:
                cluster, role = draw(st.sampled_from(["ours", "theirs", None])), draw(st.sampled_from(ROLES))
                made.says(node, cluster=cluster, role=role, term=draw(st.integers(0, 5)))
            case 3:
                way, reason = draw(st.sampled_from(["to", "at", "from"])), draw(st.sampled_from(REASONS))
                made.tells(node, draw(st.integers(0, 6)), reason, way)
            case 4:
                made.answer[node]["faults"] = [Fault(draw(st.sampled_from(["cut", "disk", "new"])), None, None)]
            case 5:
                made.says(node, node=draw(st.integers(0, 6)), last_applied=draw(st.integers(0, 30)))
    if draw(st.booleans()):
        made.before = {address: answer.status for address, answer in made.evidence.answers.items()}
    if draw(st.booleans()):
        made.silences |= {address: Silence("refused", "") for address in [at(node) for node in ids] if not made.status}
    return made


ROLES = ("leader", "follower", "candidate", "removed", "unformed")


@given(clusters())
def test_whatever_is_wrong_something_is_said(made: MadeCluster) -> None:
    found = judge(made.evidence)
    assert found
    assert found == worst_first(found)
    for finding in found:
        assert finding.message
        assert finding.code in CODES
        assert finding.steps or not finding.needs_doing
    assert any(finding.needs_doing for finding in found) != any(finding.code == "healthy" for finding in found)
    needs_second_look(made.evidence)
