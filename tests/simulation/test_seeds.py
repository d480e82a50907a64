"""The fast simulation: seeds that are always run, and new ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from trioraft.kv.commands import Command, Put
from trioraft.kv.results import Result
from trioraft.kv.store import Store
from trioraft.raft import runs
from trioraft.raft.core import Core
from trioraft.raft.log import Log
from trioraft.raft.progress import Progress
from trioraft.testing.faults import KINDS
from trioraft.testing.outcome import SimulationFailed
from trioraft.testing.simulation import Report, simulate
from trioraft.wire.operations import OPERATIONS

ALWAYS = range(20)
MORE = range(20, 600)
SLOW = pytest.mark.slow


def check(reports: list[Report]) -> None:
    """Check that enough happened in these runs, which did not fail: an uneventful run proves nothing."""
    assert sum(report.counts for report in reports) >= 0.95 * len(reports)
    faults: Counter[str] = Counter()
    for report in reports:
        faults.update(report.faults)
    assert set(faults) >= set(KINDS)
    assert {report.nodes for report in reports} == {3, 5, 7}
    assert sum(report.truncations for report in reports) > len(reports) // 5
    for outcome in ("done", "conflict", "refused", "unknown"):
        assert sum(report.operations[outcome] for report in reports) > 3 * len(reports)
    assert sum(report.stale_reads for report in reports) > 5 * len(reports)
    for op in OPERATIONS:
        assert sum(report.asked[op] for report in reports) > 2 * len(reports)


@pytest.mark.parametrize("seeds", [ALWAYS, pytest.param(MORE, marks=SLOW)], ids=str)
def test_no_seed_breaks_a_property(seeds: range, on_all_cores: Callable[..., list[Report]]) -> None:
    check(on_all_cores(simulate, seeds))


@pytest.mark.parametrize("count", [8, pytest.param(100, marks=SLOW)])
def test_nor_do_some_new_ones(count: int, on_all_cores: Callable[..., list[Report]]) -> None:
    first = random.SystemRandom().randrange(10**6, 10**9)
    print(f"seeds {first}..{first + count - 1}")  # a failure names its seed
    on_all_cores(simulate, range(first, first + count))


@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 20), marks=SLOW)], ids=str)
def test_nor_does_one_where_runs_end_anywhere(seeds: range, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUN_BYTES", 200)
    for seed in seeds:
        simulate(seed)


@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 8), marks=SLOW)], ids=str)
@pytest.mark.parametrize("nodes", [1, 2, 4, 6])
def test_nor_clusters_of_other_sizes(nodes: int, seeds: range) -> None:
    for seed in seeds:
        assert simulate(seed, nodes=nodes).nodes == nodes


@pytest.mark.parametrize("seeds", [[2], pytest.param([0, 1, 3, 4], marks=SLOW)], ids=str)
def test_without_faults_there_is_one_election(seeds: list[int]) -> None:
    for seed in seeds:
        report = simulate(seed, faults=())
        assert report.faults == {}
        assert report.elections == 1


@pytest.mark.parametrize("count", [3, pytest.param(10, marks=SLOW)])
def test_the_same_seed_gives_the_same_run_in_every_process(count: int, traces_of: Callable[..., list[str]]) -> None:
    program = f"from trioraft.testing.simulation import simulate; print(*(simulate(s).trace for s in range({count})))"
    traces = traces_of(program, ("1", "2", "random"))
    assert traces[0] == traces[1] == traces[2]
    assert len(set(traces[0].split())) == count


# The simulation can fail: each of these breaks the program in one place.


def promise_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(core: Core, receiver: int, message: object) -> None:
        core._outbox.send(receiver, message)  # type: ignore[arg-type]

    monkeypatch.setattr(Core, "_answer", answer)


def believe_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Progress.accepted
    monkeypatch.setattr(Progress, "accepted", lambda progress, index: honest(progress, index + 1))


def vote_for_any_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "is_up_to_date", lambda *_: True)


def forget_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Store.apply_all

    def apply_all(store: Store, first: int, commands: Sequence[Command]) -> dict[int, Result]:
        others: dict[int, Result] = {}
        for index, command in enumerate(commands, first):
            if index % 40 or type(command) is not Put:
                others |= honest(store, index, [command])
        return others

    monkeypatch.setattr(Store, "apply_all", apply_all)


@pytest.mark.parametrize(
    ("breakage", "found"),
    [
        (promise_too_early, "Sync before answer"),
        (believe_anything, r"match_index|entry \d+ is not held"),
        (vote_for_any_log, "Leader Completeness|Log Matching|State Machine Safety"),
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
    assert not failure.value.reason.startswith("Violation"), "it begins with the property that broke"
    assert "node 0" in failure.value.timeline
