"""Real nodes with real files under every fault, and clients that record what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from .faults import LYING_DISKS
from .run import Plan, Report, run
from .switch import CannotSwitch

ONE_OF_EACH = [
    ["kill the leader"],
    ["power cut of all"],
    ["pause the leader", "slow links"],
    ["isolate the leader", "slow disk"],
    ["failing sync of the leader"],
    ["full disk", "kill one"],
    ["one way at the leader"],
    ["refuse", "terminate one"],
]
A_FEW = [
    ["kill the leader"],
    ["power cut of all"],
    ["isolate the leader", "terminate one"],
    ["failing sync of the leader", "slow disk"],  # each of these two rounds ends a node
]

VANISHING = [
    ["isolate the leader"],
    ["one way at the leader"],
    ["isolate one", "kill the leader"],
    ["split", "slow disk"],
    ["bridge"],
    ["flapping links"],
    ["one way", "pause the leader"],
    ["random links"],
]


def went_well(report: Report, folder: Path) -> None:
    """Check that there are no findings, and that there could have been some."""
    print(report)
    assert not report.failures, f"seed {report.plan.seed}; what the nodes said and did is in {folder}\n{report}"
    assert report.operations["done"] > 50 * report.seconds, "the clients got too little done"


@pytest.mark.parametrize("rounds", [A_FEW, pytest.param(ONE_OF_EACH, marks=pytest.mark.slow)], ids=["few", "each"])
def test_three_nodes_bear_a_few_faults_of_each_kind(tmp_path: Path, rounds: list[list[str]]) -> None:
    plan = Plan(seed=11, nodes=3, clients=6, keys=20, rounds=rounds, round_seconds=(0.4, 1.2))
    report = run(plan, tmp_path)
    went_well(report, tmp_path)
    assert report.term > 3
    assert report.torn_bytes > 0, "the cut of power took nothing that was not synced"
    assert sum(report.exits.values()) > 1


@pytest.mark.slow
def test_five_nodes_bear_what_a_seed_brings(tmp_path: Path) -> None:
    report = run(Plan(seed=12, nodes=5, seconds=80), tmp_path)
    went_well(report, tmp_path)
    assert sum(report.faults.values()) > 15


@pytest.mark.slow
def test_three_nodes_bear_packets_that_vanish(tmp_path: Path) -> None:
    """No connection is closed or reset by the cut, as proxies would do."""
    plan = Plan(seed=14, nodes=3, clients=6, keys=20, rounds=VANISHING, round_seconds=(3.0, 9.0), switched=True)
    try:
        report = run(plan, tmp_path)
    except CannotSwitch as reason:
        pytest.skip(f"no switch can be had here: {reason}")
    went_well(report, tmp_path)
    assert report.slowest_recovery < 10.0


@pytest.mark.slow
def test_what_is_counted_and_watched_is_exact_through_ten_failovers_and_a_snapshot(tmp_path: Path) -> None:
    """One node restarts so far behind that it gets the leader's snapshot, and watches go on there too."""
    rounds = [["kill the leader"], ["terminate the leader"]] * 5 + [["leave one behind"]]
    plan = Plan(seed=15, nodes=3, clients=1, keys=10, rate=50.0, rounds=rounds, round_seconds=(0.5, 1.5))
    plan.counters, plan.window, plan.watchers, plan.lockers, plan.last_seconds = 6, 16, 4, 0, 8.0
    report = run(plan, tmp_path)
    print(report)
    assert not report.failures, report.failures
    assert report.term > 10
    for log in tmp_path.glob("n*.log"):
        life = log.read_text().rpartition("listens on")[2]
        assert "snapshot of" in life, "it was not left so far behind that it needed a snapshot"


@pytest.mark.slow
def test_fifty_take_one_lock_in_turn_while_leaders_die(tmp_path: Path) -> None:
    plan = Plan(seed=16, nodes=3, clients=1, keys=10, rate=50.0, rounds=[["kill the leader"], ["pause the leader"]] * 4)
    plan.counters, plan.bankers, plan.watchers, plan.lockers = 0, 0, 1, 50
    report = run(plan, tmp_path)
    print(report)
    assert not report.failures, report.failures
    assert report.users.count("held the lock 0 times") <= 25, "one that keeps its lease alive never got it"


@pytest.mark.slow
def test_disks_that_sync_nothing_are_found_out(tmp_path: Path) -> None:
    """The harness itself notices data that was acknowledged and then lost."""
    plan = Plan(seed=13, nodes=3, clients=6, keys=10, round_seconds=(1.5, 2.0))
    plan.rounds = [[LYING_DISKS], ["power cut of all"], ["power cut of all"]]
    report = run(plan, tmp_path)
    print(report)
    assert report.torn_bytes > 1000
    assert report.verdict == "violation", "acknowledged writes were lost, and nobody noticed"
    assert not any("ended" in failure for failure in report.failures), "it was a node that noticed"
