"""The simulation of the core, its storage and its requests: seeds that are always run, and some that never were."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from trioraft.kv.commands import Command
from trioraft.kv.store import Store
from trioraft.raft import runs
from trioraft.raft.core import Core
from trioraft.raft.progress import Progress
from trioraft.testing.faults import KINDS
from trioraft.testing.outcome import SimulationFailed
from trioraft.testing.simulation import Report, simulate

ALWAYS = range(100)
MORE = range(100, 600)


def check(reports: list[Report]) -> None:
    """Nothing failed, or these would not be here; but a run in which nothing happens proves nothing."""
    assert sum(report.counts for report in reports) >= 0.95 * len(reports)
    faults: Counter[str] = Counter()
    for report in reports:
        faults.update(report.faults)
    assert set(faults) >= set(KINDS)
    assert {report.nodes for report in reports} == {3, 5, 7}
    assert sum(report.truncations for report in reports) > len(reports) // 5
    for outcome in ("done", "conflict", "refused", "unknown"):
        assert sum(report.operations[outcome] for report in reports) > 5 * len(reports)
    assert sum(report.stale_reads for report in reports) > 5 * len(reports)


def test_no_seed_breaks_a_property() -> None:
    check([simulate(seed) for seed in ALWAYS])


def test_nor_do_some_new_ones() -> None:
    first = random.SystemRandom().randrange(10**6, 10**9)
    print(f"seeds {first}..{first + 29}")  # a failure names its own
    for seed in range(first, first + 30):
        simulate(seed)


@pytest.mark.slow
def test_nor_do_many(on_all_cores: Callable[..., list[Report]]) -> None:
    check(on_all_cores(simulate, MORE))


def test_nor_does_one_where_runs_end_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUN_BYTES", 200)
    for seed in range(20):
        simulate(seed)


@pytest.mark.parametrize("nodes", [1, 2, 4, 6])
def test_nor_clusters_of_other_sizes(nodes: int) -> None:
    for seed in range(8):
        assert simulate(seed, nodes=nodes).nodes == nodes


def test_without_faults_there_is_one_election() -> None:
    for seed in range(5):
        report = simulate(seed, faults=())
        assert report.faults == {}
        assert report.elections == 1


def test_the_same_seed_gives_the_same_run_in_every_process() -> None:
    program = "from trioraft.testing.simulation import simulate; print(*(simulate(seed).trace for seed in range(10)))"
    traces = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for hash_seed in ("1", "2", "random")
    ]
    assert traces[0] == traces[1] == traces[2]
    assert len(set(traces[0])) == 10


# It can fail: each of these breaks the program in one place.


def promise_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(core: Core, receiver: int, message: object) -> None:
        core._outbox.send(receiver, message)  # type: ignore[arg-type]

    monkeypatch.setattr(Core, "_answer", answer)


def believe_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Progress.accepted
    monkeypatch.setattr(Progress, "accepted", lambda progress, index: honest(progress, index + 1))


def forget_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Store.apply_all

    def apply_all(store: Store, first: int, commands: Sequence[Command]) -> None:
        for index, command in enumerate(commands, first):
            if index % 40:
                honest(store, index, [command])

    monkeypatch.setattr(Store, "apply_all", apply_all)


@pytest.mark.parametrize(
    ("breakage", "found"),
    [
        (promise_too_early, "Sync before answer"),
        (believe_anything, r"match_index|entry \d+ is not held"),
        (forget_a_key, "violation"),
    ],
)
def test_what_is_broken_is_found_named_and_shown(
    monkeypatch: pytest.MonkeyPatch,
    breakage: object,
    found: str,
) -> None:
    breakage(monkeypatch)  # type: ignore[operator]
    with pytest.raises(SimulationFailed, match=found) as failure:
        for seed in range(400):
            simulate(seed)
    assert f"seed {failure.value.seed}: " in str(failure.value)
    assert "node 0" in failure.value.timeline
