"""The simulation of whole nodes: hostile networks and disks, deaths of every kind, and the clients' view."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import pytest
import trio

from trioraft.raft import runs
from trioraft.raft.core import Core
from trioraft.server import gathering
from trioraft.server.gathering import Merged
from trioraft.testing import machines
from trioraft.testing.disk_threads import SimulatedThread
from trioraft.testing.network import MemoryHub
from trioraft.testing.node_faults import Faults
from trioraft.testing.nodes import Report, simulate_nodes
from trioraft.testing.outcome import SimulationFailed
from trioraft.testing.virtual_time import Agenda, repeatable_scheduling, run_in_virtual_time
from trioraft.wire.operations import OPERATIONS

ALWAYS = range(10, 20)
"""Few seeds among which every fault happens, and all of `check` holds: to be chosen anew when runs draw otherwise."""
MORE = (*range(10), *range(20, 160))
SLOW = pytest.mark.slow


def check(reports: Sequence[Report]) -> None:
    assert {report.verdict for report in reports} == {"linearizable"}
    assert sum(report.counts for report in reports) >= 2 / 3 * len(reports)  # these runs are short
    assert all(report.elections for report in reports)
    faults: Counter[str] = Counter()
    for report in reports:
        faults.update(report.faults)
    assert set(faults) == {*Faults.KINDS, "stopped by the disk"}
    for op in OPERATIONS:
        assert sum(report.asked.get(op, 0) for report in reports) > 2 * len(reports)
    changes: Counter[str] = Counter()
    for report in reports:
        changes.update(report.changes)
    for op in ("add_member", "remove_member", "transfer_leadership"):
        assert changes[op] > len(reports) / 3
    for outcome in ("done", "conflict", "refused", "unknown"):
        assert sum(report.operations[outcome] for report in reports) > 10 * len(reports)


@pytest.mark.parametrize("seeds", [ALWAYS, pytest.param(MORE, marks=SLOW)], ids=["a few", "many"])
def test_no_seed_breaks_a_promise(seeds: Sequence[int], on_all_cores: Callable[..., list[Report]]) -> None:
    check(on_all_cores(partial(simulate_nodes, seconds=5.0), seeds))


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 12), marks=SLOW)], ids=str)
def test_nor_does_one_where_runs_end_anywhere(seeds: range, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUN_BYTES", 200)
    for seed in seeds:
        simulate_nodes(seed)


@pytest.mark.parametrize("seeds", [[2], pytest.param([*range(3, 14)], marks=SLOW)], ids=["one", "some"])
def test_nor_does_one_where_clients_are_served_together(seeds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: Counter[int] = Counter()

    class Counted(Merged):
        def __init__(self, host: Any, some: Sequence[Any], *rest: Any) -> None:
            sizes[len(some)] += 1
            super().__init__(host, some, *rest)

    class SlowHub(MemoryHub):
        async def wait(self, eager: bool = False, seconds: float | None = None) -> None:
            await super().wait(eager, seconds)
            await trio.sleep(0.03)

    monkeypatch.setattr(gathering, "FEW", 1)  # merged requests are as rare here as they are frequent under load
    monkeypatch.setattr(gathering, "Merged", Counted)
    monkeypatch.setattr(machines, "MemoryHub", SlowHub)
    for seed in seeds:
        simulate_nodes(seed, clients=12)
    assert sizes.total() > 100
    assert max(sizes) > 1


@pytest.mark.parametrize("seed", [0, *[pytest.param(seed, marks=SLOW) for seed in range(1, 12)]])
def test_writes_that_take_200_milliseconds_cause_no_election(seed: int) -> None:
    report = simulate_nodes(seed, faults=["slow disk"])
    assert report.faults["slow disk"] >= 5
    assert report.elections == 1


@pytest.mark.parametrize("seed", [2, pytest.param(4, marks=SLOW)])
def test_requests_keep_their_order_while_the_lead_goes_away_and_comes_back(seed: int) -> None:
    report = simulate_nodes(seed, faults=["round trip"])
    assert report.elections > 10


@pytest.mark.parametrize("seconds", [4.0, pytest.param(20.0, marks=SLOW)])
def test_the_same_seed_gives_the_same_run_in_every_process(seconds: float, traces_of: Callable[..., list[str]]) -> None:
    of_seeds = f"simulate_nodes(s, seconds={seconds}).trace for s in (2, 7)"
    traces = traces_of(f"from trioraft.testing.nodes import simulate_nodes; print(*({of_seeds}))", ("1", "2"))
    assert traces[0] == traces[1]
    first, second = traces[0].split()
    assert first != second
    assert [first, second] == [simulate_nodes(seed, seconds=seconds).trace for seed in (2, 7)]


def test_a_failure_names_its_seed_and_shows_the_last_events(monkeypatch: pytest.MonkeyPatch) -> None:
    def elect_at_once(core: Core) -> None:
        core._stand()
        assert core._campaign is not None
        core._become_leader(core._campaign)

    monkeypatch.setattr(Core, "_pre_campaign", elect_at_once)
    with pytest.raises(SimulationFailed) as failure:
        for seed in range(20):
            simulate_nodes(seed, nodes=3)
    assert str(failure.value).startswith(f"seed {failure.value.seed}: ")
    assert "node0 starts" in failure.value.timeline or "says" in failure.value.timeline


# The virtual time itself


def scheduled(seed: int) -> list[int]:
    """The order in which tasks run that are all ready."""
    order: list[int] = []

    async def task(number: int) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(task, number)

    run_in_virtual_time(seed, main)
    return order


def test_ready_tasks_run_in_an_order_that_follows_from_the_seed() -> None:
    orders = [scheduled(seed) for seed in range(10)]
    assert orders == [scheduled(seed) for seed in range(10)]
    assert any(order != orders[0] for order in orders)


def test_the_scheduler_is_left_as_it_was() -> None:
    scheduler = importlib.import_module("trio._core._run")
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    with pytest.raises(ZeroDivisionError), repeatable_scheduling(1):
        assert scheduler._ALLOW_DETERMINISTIC_SCHEDULING
        raise ZeroDivisionError
    assert (scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()) == before


@pytest.mark.parametrize("name", ["_ALLOW_DETERMINISTIC_SCHEDULING", "_r"])
def test_a_trio_without_the_private_names_is_told_clearly(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(f"trio._core._run.{name}")
    with pytest.raises(RuntimeError, match=f"no trio._core._run.{name} any more"), repeatable_scheduling(1):
        pass


def test_a_write_takes_its_time_and_a_closed_writer_does_none() -> None:
    written: list[float] = []
    woken: list[float] = []

    async def main() -> None:
        agenda = Agenda()
        random = Random(1)
        writer = SimulatedThread(
            agenda, lambda: woken.append(trio.current_time()), lambda: random.choice((0.5,)), lambda _: None
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agenda.run)
            for _ in range(2):
                writer.start(lambda: written.append(trio.current_time()))
                assert not writer.finished()
                await trio.sleep(0.6)
                assert writer.finished()
            writer.start(lambda: written.append(trio.current_time()))
            writer.close()
            await trio.sleep(1)
            nursery.cancel_scope.cancel()

    run_in_virtual_time(1, main)
    assert written == woken == [pytest.approx(0.5), pytest.approx(1.1)]
