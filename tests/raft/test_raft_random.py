"""The core under every fault that a seed can think of."""

from __future__ import annotations

import pytest
from raft_simulator import Simulation

SEEDS = 120


def run(seed: int, steps: int = 800) -> Simulation:
    """One run; a failure is repeated by the same call."""
    simulation = Simulation(seed, nodes=(3, 5, 3, 4, 5, 3, 7, 1)[seed % 8])
    try:
        for _ in range(steps):
            simulation.step()
        simulation.settle()
    except Exception as error:
        raise AssertionError(f"run({seed}, {steps}), at tick {simulation.now}: {error!r}") from error
    return simulation


def test_no_seed_breaks_a_property_and_all_of_them_work() -> None:
    runs = [run(seed) for seed in range(SEEDS)]
    assert sum(len(one.leaders) for one in runs) > 2 * SEEDS
    assert sum(len(one.committed) for one in runs) > 50 * SEEDS
    assert sum(one.reads_served for one in runs) > 20 * SEEDS
    assert sum(one.crashed for one in runs) > 5 * SEEDS
    assert sum(one.lost for one in runs) > 50 * SEEDS
    assert sum(one.truncated for one in runs) > SEEDS // 4
    assert sum(one.overloaded for one in runs) > SEEDS


@pytest.mark.slow
def test_many_more_seeds() -> None:
    for seed in range(SEEDS, 500):
        run(seed)


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = run(9, 300), run(9, 300)
    assert first.sent == second.sent
    assert first.committed == second.committed
