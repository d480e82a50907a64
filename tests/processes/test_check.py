"""Clusters of processes, broken in many ways: `check` names the cause first, and what it advises heals them."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..helpers.doctor import NO_NODE, TO_DO, Doctor
from ..helpers.former import former_release
from ..helpers.processes import HOST, Cluster, Node, eventually, free_ports, running_cluster
from .test_full_disks import VALUE, leave_free
from .test_full_houses import PING, Besiegers


@pytest.fixture
def doctor(cluster: Cluster) -> Doctor:
    return Doctor(cluster)


@pytest.fixture
def beginner(unstarted: Cluster) -> Doctor:
    """Of a cluster that is not started."""
    return Doctor(unstarted)


def fill(cluster: Cluster, count: int = 20) -> None:
    """Write some keys, and wait until all nodes have them."""
    for number in range(count):
        cluster.write_until_done(f"key-{number}", number)
    cluster.caught_up()


# Nodes that are not there


def test_a_dead_follower_is_started_again(doctor: Doctor) -> None:
    dead = doctor.cluster.followers()[0]
    dead.kill()
    found = doctor.finds("not_running", f"node {dead.index} at {HOST}:{dead.port}", "No other voter may fail now")
    assert doctor.code == TO_DO
    assert found["nodes"] == [dead.index]
    (trouble,) = doctor.cluster.leader().status()["troubles"]
    assert (trouble["node"], trouble["way"], trouble["reason"]) == (dead.index, "to", "connect")
    doctor.follow(found)
    assert "can lose 1 of 3" in doctor.heals()[0]["message"]


@pytest.mark.slow
def test_a_dead_leader_is_started_again(doctor: Doctor) -> None:
    dead = doctor.cluster.leader()
    dead.kill()
    doctor.cluster.leader()
    doctor.follow(doctor.finds("not_running", f"node {dead.index} at"))
    doctor.heals()


@pytest.mark.slow
def test_two_dead_of_three_are_the_end_of_writes(doctor: Doctor) -> None:
    for dead in doctor.cluster.followers():
        dead.kill()
    found = doctor.finds("not_running", "1 of 3 voters is there", "nothing can be written", severity="down")
    doctor.follow(found)
    doctor.heals()


@pytest.mark.slow
def test_all_dead_are_started(doctor: Doctor) -> None:
    for node in doctor.cluster.nodes:
        node.kill()
    found = doctor.finds("not_running", severity="down")
    assert doctor.code == NO_NODE
    doctor.follow(found)
    doctor.heals()


@pytest.mark.slow
@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_stopped_process_goes_on(doctor: Doctor, which: str) -> None:
    paused = doctor.cluster.leader() if which == "leader" else doctor.cluster.followers()[0]
    paused.pause()
    found = doctor.finds("silent", f"node {paused.index} at", "stopped, or hangs")
    doctor.follow(found, most=1)
    doctor.heals()
    assert paused.running


@pytest.mark.slow
def test_two_stopped_of_three_go_on(doctor: Doctor) -> None:
    for paused in doctor.cluster.followers():
        paused.pause()
    found = doctor.finds("silent", "nothing can be written", severity="down")
    doctor.follow(found, most=2)
    doctor.heals()


class WebPage(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def web_server(port: int) -> Iterator[None]:
    with http.server.ThreadingHTTPServer((HOST, port), WebPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.mark.slow
def test_a_web_server_in_the_place_of_a_node(doctor: Doctor) -> None:
    gone = doctor.cluster.followers()[0]
    gone.kill()
    with web_server(gone.port):
        found = doctor.finds("not_a_node", f"node {gone.index} at", "HTTP")
        assert "stop what listens" in found["steps"][0]["do"]
    doctor.follow(found)
    doctor.heals()


@pytest.mark.slow
def test_a_node_with_a_damaged_folder_is_let_go_as_its_own_last_line_says(doctor: Doctor) -> None:
    damaged = doctor.cluster.followers()[0]
    damaged.kill()
    (damaged.data / "node.json").write_text("nonsense\n")
    found = doctor.finds("not_running", f"node {damaged.index} at")
    doctor.follow(found)
    assert damaged.wait() == 1
    assert "its last lines say why" in found["steps"][-1]["do"]
    told = " ".join(damaged.log.splitlines()[-2:])
    assert "'trioraft members remove'" in told
    assert "'trioraft members add ADDRESS'" in told
    doctor.type(f"trioraft members remove {damaged.index}")
    doctor.type(f"trioraft members add {HOST}:{damaged.port}")
    lines = doctor.lines
    doctor.write([*lines[: damaged.index], "-", *lines[damaged.index + 1 :], f"{HOST}:{damaged.port}"])
    doctor.follow(doctor.finds("never_started", "node 3 at"))
    doctor.heals()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is not installed (util-linux)")
def test_a_node_that_is_full_of_clients(beginner: Doctor) -> None:
    cluster = beginner.cluster
    crowded = cluster.nodes[1]
    crowded.wrapper = ["prlimit", "--nofile=100"]
    cluster.start()
    cluster.leader()
    with Besiegers(crowded, 200, PING):
        found = beginner.finds("overloaded", "node 1 at", severity="now")
        assert "fewer clients" in found["steps"][0]["do"]
    beginner.heals()


# Folders


def test_a_wiped_follower_leaves_and_comes_back_as_a_newcomer(doctor: Doctor) -> None:
    wiped = doctor.cluster.followers()[0]
    wiped.kill()
    shutil.rmtree(wiped.data)
    wiped.start()
    wiped.listens()
    found = doctor.finds("wiped", f"node {wiped.index} at", "another data folder than its own")
    assert "older copy" in found["steps"][0]["do"]
    troubles = doctor.cluster.leader().status()["troubles"]
    assert (wiped.index, "from", "other_folder") in {(t["node"], t["way"], t["reason"]) for t in troubles}
    doctor.follow(found)
    assert "3 nodes" in doctor.heals()[0]["message"]
    assert doctor.cluster.nodes[3].status()["node"] == 3


@pytest.mark.slow
def test_a_node_started_with_another_folder_gets_its_own_again(doctor: Doctor) -> None:
    wrong = doctor.cluster.followers()[0]
    wrong.kill()
    own, wrong.data = wrong.data, doctor.cluster.folder / "another"
    wrong.start()
    wrong.listens()
    found = doctor.finds("wiped", f"node {wrong.index} at")
    assert "start it with its own folder" in found["steps"][0]["do"]
    wrong.kill()
    wrong.data = own
    wrong.start()
    doctor.heals()


@pytest.mark.slow
def test_two_wiped_of_three_leave_one_to_begin_anew_from(doctor: Doctor) -> None:
    cluster = doctor.cluster
    fill(cluster)
    kept, *lost = cluster.nodes
    for node in lost:
        node.kill()
        shutil.rmtree(node.data)
    cluster.start(lost)
    found = doctor.finds("wiped", "1 of 3 voters is there", "nothing can be written", severity="down")
    assert any("acknowledged writes may be missing" in step["do"] for step in found["steps"])
    for node in cluster.nodes:  # "stop every node"
        node.kill()
    doctor.follow(found)
    doctor.heals()
    assert kept.get("key-19")["value"] == 19


@pytest.mark.slow
def test_an_older_copy_of_a_folder_is_given_up(doctor: Doctor) -> None:
    cluster = doctor.cluster
    old = cluster.followers()[0]
    copy = cluster.folder / "copy"
    assert old.stop() == 0
    shutil.copytree(old.data, copy)
    for _ in range(2):
        cluster.start([old])
        fill(cluster)
        assert old.stop() == 0
    cluster.start([old])
    fill(cluster)
    old.kill()
    shutil.rmtree(old.data)
    shutil.move(copy, old.data)
    cluster.start([old])
    doctor.follow(doctor.finds("older_copy", f"refuse node {old.index} at", "older copy"))
    doctor.heals()


@pytest.mark.slow
def test_a_second_process_on_a_copied_folder_is_stopped(doctor: Doctor) -> None:
    cluster = doctor.cluster
    original = cluster.followers()[0]
    assert original.stop() == 0
    twin = Node(original.index, free_ports(1)[0], cluster.servers, cluster.folder)
    twin.data, twin.log_file = cluster.folder / "twin", cluster.folder / "twin.log"
    twin.options = ["--listen", f"{HOST}:{twin.port}"]
    shutil.copytree(original.data, twin.data)
    cluster.start([original])
    cluster.caught_up()
    twin.start()
    try:
        twin.listens()
        found = doctor.finds("impostor", f"as node {original.index}")
        assert "stop it" in found["steps"][0]["do"]
    finally:
        twin.kill()
    doctor.heals()


# Beginnings


@pytest.mark.slow
def test_a_cluster_that_lacks_a_node_to_form(beginner: Doctor) -> None:
    beginner.cluster.start(beginner.cluster.nodes[:2])
    found = beginner.finds("not_running", "node 2 at", "forms once all 3 nodes are up", severity="down")
    beginner.follow(found)
    beginner.heals()


@pytest.mark.slow
@pytest.mark.parametrize("change", ["another line", "another order", "a line less"])
def test_lists_that_differ(beginner: Doctor, change: str) -> None:
    lines = beginner.lines
    odd = beginner.cluster.nodes[1]
    other = {
        "another line": [*lines[:2], f"{HOST}:{free_ports(1)[0]}"],
        "another order": [lines[2], lines[1], lines[0]],
        "a line less": lines[:2],
    }[change]
    odd.servers = beginner.cluster.folder / "other.txt"
    beginner.write(other, odd.servers)
    beginner.cluster.start()
    found = beginner.finds("lists_differ", f"servers.txt of node 1 at {lines[1]} differs", severity="down")
    odd.servers = beginner.cluster.servers  # "put the list of node 0 in its place"
    beginner.follow(found)
    beginner.heals()


@pytest.mark.slow
def test_a_node_started_with_the_index_of_another(beginner: Doctor) -> None:
    cluster = beginner.cluster
    wrong = Node(2, cluster.nodes[1].port, cluster.servers, cluster.folder)
    wrong.data = cluster.folder / "wrong"
    wrong.options = ["--listen", f"{HOST}:{wrong.port}"]
    cluster.nodes.append(wrong)
    cluster.start([cluster.nodes[0], wrong])
    found = beginner.finds("other_node", "node 2 answers in the place of node 1", severity="down")
    wrong.kill()
    cluster.nodes.remove(wrong)
    beginner.follow(found)
    beginner.follow(beginner.finds("not_running", "node 2 at", severity="down"))
    beginner.heals()


@pytest.mark.slow
def test_a_list_with_a_name_that_does_not_resolve(beginner: Doctor) -> None:
    right = beginner.lines
    beginner.write([*right[:2], "nowhere.invalid:8000"])
    beginner.cluster.start(beginner.cluster.nodes[:2])
    beginner.finds("unresolved", "node 2 at nowhere.invalid:8000", severity="down")
    for node in beginner.cluster.nodes[:2]:
        node.kill()
    beginner.write(right)
    beginner.cluster.start()
    beginner.heals()


@pytest.mark.slow
def test_lists_that_all_wait_for_a_cluster(beginner: Doctor) -> None:
    right = beginner.lines
    beginner.write(["-", *right[1:]])
    beginner.cluster.start(beginner.cluster.nodes[1:])
    found = beginner.finds("waits_for_cluster", "nodes 1, 2", severity="down")
    assert "without '-'" in found["steps"][1]["do"]
    for node in beginner.cluster.nodes[1:]:
        node.kill()
    beginner.write(right)
    beginner.cluster.start()
    beginner.heals()


@pytest.mark.slow
def test_a_cluster_of_one_has_no_node_to_spare(tmp_path: Path) -> None:
    with running_cluster(tmp_path, 1) as cluster:
        doctor = Doctor(cluster)
        doctor.remarks("none_to_spare", "one node votes")


# Newcomers, and those who leave


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--learner"]])
def test_a_newcomer_that_was_never_started(doctor: Doctor, options: list[str]) -> None:
    place = f"{HOST}:{free_ports(1)[0]}"
    assert doctor.trioraft("members", "add", place, *options).returncode == 0
    doctor.write([*doctor.lines, place])
    doctor.follow(doctor.finds("never_started", f"node 3 at {place} was taken in"))
    assert "4 nodes" in doctor.heals()[0]["message"]


@pytest.mark.slow
def test_a_newcomer_whose_own_list_has_it_elsewhere(doctor: Doctor) -> None:
    cluster = doctor.cluster
    place, elsewhere = (f"{HOST}:{port}" for port in free_ports(2))
    assert doctor.trioraft("members", "add", place).returncode == 0
    own = cluster.folder / "own.txt"
    doctor.write([*doctor.lines, elsewhere], own)
    doctor.write([*doctor.lines, place])
    newcomer = Node(3, int(place.rpartition(":")[2]), own, cluster.folder)
    newcomer.options = ["--listen", place]
    cluster.nodes.append(newcomer)
    cluster.start([newcomer])
    found = doctor.finds("newcomer_moved", f"refuse node 3 at {place}")
    newcomer.servers = cluster.servers
    doctor.follow(found)
    doctor.heals()


@pytest.mark.slow
def test_a_node_that_waits_and_was_never_taken_in(doctor: Doctor) -> None:
    place = f"{HOST}:{free_ports(1)[0]}"
    doctor.write(["-", "-", "-", place], waiting := doctor.cluster.folder / "waiting.txt")
    waits = Node(3, int(place.rpartition(":")[2]), waiting, doctor.cluster.folder)
    doctor.cluster.nodes.append(waits)
    doctor.cluster.start([waits])
    doctor.write([*doctor.lines, place])
    doctor.follow(doctor.finds("waits_outside", f"node 3 at {place}", "waits to be taken in"))
    assert "4 nodes" in doctor.heals()[0]["message"]


@pytest.mark.slow
def test_a_removed_node_that_still_runs(doctor: Doctor) -> None:
    gone = doctor.cluster.followers()[0]
    assert doctor.trioraft("members", "remove", str(gone.index)).returncode == 0
    found = doctor.remarks("removed_runs", f"node {gone.index} at {HOST}:{gone.port} was removed")
    assert "stop it" in found["steps"][0]["do"]
    gone.kill()
    lines = doctor.lines
    lines[gone.index] = "-"
    doctor.write(lines)
    assert {finding["code"] for finding in doctor.heals()} == {"healthy", "none_to_spare"}


@pytest.mark.slow
def test_a_list_that_differs_from_the_members(doctor: Doctor) -> None:
    lines = doctor.lines
    doctor.write([*lines, f"{HOST}:{free_ports(1)[0]}"])
    doctor.remarks("list_differs", "at position 3", "no member")
    doctor.write(lines[:2])
    found = doctor.remarks("list_differs", f"lacks node 2 at {lines[2]}")
    assert f"write {lines[2]} into it at position 2" in found["steps"][0]["do"]
    doctor.write(lines)
    assert [finding["code"] for finding in doctor.heals()] == ["healthy"]


@pytest.mark.slow
def test_a_node_of_another_cluster_in_the_place_of_a_member(doctor: Doctor) -> None:
    cluster = doctor.cluster
    gone = cluster.followers()[0]
    gone.kill()
    place = cluster.folder / "other"
    place.mkdir()
    alone = place / "servers.txt"
    alone.write_text(f"{HOST}:{gone.port}\n")
    stranger = Node(0, gone.port, alone, place)
    stranger.start()
    try:
        stranger.listens()
        eventually(lambda: stranger.status()["role"] == "leader", "it leads its own cluster")
        found = doctor.finds("other_cluster", f"node {gone.index} at", "another cluster")
    finally:
        stranger.kill()
    doctor.follow(found, most=1)
    doctor.heals()


@pytest.mark.slow
def test_nodes_of_the_cluster_that_another_was_made_from(doctor: Doctor) -> None:
    cluster = doctor.cluster
    fill(cluster)
    kept, *others = cluster.nodes
    for node in cluster.nodes:
        node.kill()
    made = doctor.trioraft("recover", "--data-dir", str(kept.data), "--force-members", doctor.address(0))
    assert made.returncode == 0
    cluster.start([kept, *others])
    eventually(lambda: kept.status()["role"] == "leader", "it leads the new cluster")
    eventually(lambda: any(node.status()["role"] == "leader" for node in others), "the old cluster has a leader too")
    found = doctor.finds("other_cluster", f"node 1 at {doctor.address(1)} runs in another cluster")
    for node in others:  # "stop it"
        node.kill()
    doctor.follow(found)
    doctor.heals()


# Programs, settings, disks


@pytest.mark.slow
def test_two_versions_and_then_one_that_is_too_old(beginner: Doctor) -> None:
    cluster = beginner.cluster
    with former_release() as former:
        old = cluster.nodes[2]
        for node in cluster.nodes:
            node.program = former
        cluster.start()
        cluster.leader()
        for node in cluster.nodes[:2]:
            assert node.stop() == 0
            node.program = None
            cluster.start([node])
            cluster.leader()
        cluster.caught_up()
        found = beginner.remarks("versions_differ", "node 2 runs 0.1.0")
        assert old.stop() == 0
        old.program = None
        beginner.follow(found)
        beginner.heals()
        eventually(lambda: all(node.status()["level"] == 2 for node in cluster.nodes), "the cluster is at level 2")
        assert old.stop() == 0
        old.program = former
        old.start()
        found = beginner.finds("needs_upgrade", "refuse node 2 at", "knows no level above 1")
        old.kill()
        old.program = None
        beginner.follow(found)
        beginner.heals()


@pytest.mark.slow
def test_limits_that_differ(beginner: Doctor) -> None:
    beginner.cluster.nodes[1].options = ["--max-request-bytes", "2000000"]
    beginner.cluster.start()
    beginner.cluster.leader()
    found = beginner.remarks("settings_differ", "node 1 takes requests of at most 2000000 bytes")
    assert found["steps"][1]["command"].endswith(f"node 1 {beginner.cluster.servers} --max-request-bytes 1048576")
    beginner.cluster.nodes[1].options = []
    beginner.cluster.nodes[1].restart()
    assert [finding["code"] for finding in beginner.heals()] == ["healthy"]


@pytest.mark.slow
def test_a_full_disk_before_and_after_it_ends_a_node(tmp_path: Path, disk_of: Callable[[int], Path]) -> None:
    disk = disk_of(24_000)
    with Cluster(tmp_path) as cluster:
        full = cluster.nodes[1]
        full.data = disk / "n1"
        cluster.start()
        cluster.leader()
        doctor = Doctor(cluster)
        filler = leave_free(disk, 0)
        found = doctor.finds("disk_full", f"the disk of node 1 at {HOST}:{full.port} has 0 MiB left of 23")
        assert found["steps"][0]["do"].startswith(f"make room on the disk of {disk}/n1")
        filler.unlink()
        doctor.heals()
        filler = leave_free(disk, 0)

        def has_ended() -> bool:
            cluster.write_until_done("big", VALUE, nodes=cluster.running)
            return not full.running

        eventually(has_ended, "the node cannot write its log")
        found = doctor.finds("not_running", "node 1 at")
        doctor.follow(found)
        assert full.wait() == 74
        assert "its last lines say why" in found["steps"][-1]["do"]
        assert "make room on that disk" in full.log.splitlines()[-1]
        filler.unlink()
        doctor.follow(found)
        doctor.heals()


# Faults that are switched on


@pytest.fixture
def faulty(beginner: Doctor) -> Doctor:
    """Of three nodes with a leader, whose links and disks can be broken."""
    for node in beginner.cluster.nodes:
        node.options = ["--allow-faults"]
    beginner.cluster.start()
    beginner.cluster.leader()
    return beginner


def set_fault(node: Node, **fields: object) -> None:
    reply = node.ask({"op": "fault", **fields})
    assert reply["ok"], reply


@pytest.mark.slow
def test_a_follower_that_is_cut_off(faulty: Doctor) -> None:
    cut = faulty.cluster.followers()[0]
    others = [node for node in faulty.cluster.nodes if node is not cut]
    set_fault(cut, kind="cut", nodes=[node.index for node in others])
    eventually(lambda: cut.status()["leader"] is None, "it hears no leader")
    found = faulty.finds(
        "faults_on",
        *(f"node {min(pair)} and node {max(pair)} are cut off" for pair in [(cut.index, o.index) for o in others]),
    )
    faulty.follow(found)
    faulty.heals()


@pytest.mark.slow
def test_links_cut_so_that_no_majority_is_left(faulty: Doctor) -> None:
    for node in faulty.cluster.nodes:
        set_fault(node, kind="cut", nodes=[other for other in range(3) if other != node.index])
    eventually(lambda: all(node.status()["leader"] is None for node in faulty.cluster.nodes), "none leads", 20)
    found = faulty.finds("faults_on", "No leader has a majority: nothing can be written", severity="down")
    faulty.follow(found)
    faulty.heals()


@pytest.mark.slow
def test_a_link_that_is_cut_one_way(faulty: Doctor) -> None:
    one, other = faulty.cluster.followers()
    set_fault(one, kind="cut", nodes=[other.index], way="to")
    found = faulty.finds("faults_on", f"node {other.index} hears nothing of node {one.index}")
    assert found["nodes"] == [one.index]
    faulty.follow(found)
    faulty.heals()


@pytest.mark.slow
def test_a_disk_that_takes_nothing(faulty: Doctor) -> None:
    slow = faulty.cluster.followers()[0]
    set_fault(slow, kind="disk")
    found = faulty.finds("faults_on", f"the disk of node {slow.index} hangs")
    faulty.follow(found)
    faulty.heals()
