"""The core under every fault that a seed can think of."""

from __future__ import annotations

import pytest
from raft_simulator import Simulation

SEEDS = 120


def run(seed: int) -> Simulation:
    simulation = Simulation(seed, nodes=(3, 5, 4, 1)[seed % 4])
    for _ in range(1200):
        simulation.step()
    simulation.settle()
    return simulation


def test_no_seed_breaks_a_property_and_all_of_them_work() -> None:
    elections = commits = reads = 0
    for seed in range(SEEDS):
        try:
            simulation = run(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        elections += simulation.elections
        commits += len(simulation.committed)
        reads += simulation.reads_served
    assert elections > 2 * SEEDS
    assert commits > 50 * SEEDS
    assert reads > 20 * SEEDS


@pytest.mark.slow
def test_many_more_seeds() -> None:
    for seed in range(SEEDS, 3000):
        try:
            run(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = run(7), run(7)
    assert first.sent == second.sent
    assert first.committed == second.committed
