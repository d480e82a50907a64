"""Fixtures of the simulations: many seeds take minutes, and each is a separate run."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest


@pytest.fixture
def on_all_cores() -> Iterator[Callable[[Callable[[int], Any], Iterable[int]], list[Any]]]:
    """Give a function that runs seeds in processes, one on each core, and raises their failures here."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["trioraft.testing.nodes", "trioraft.testing.simulation"])
    with ProcessPoolExecutor(mp_context=context) as pool:
        yield lambda run, seeds: list(pool.map(run, seeds, chunksize=2))


@pytest.fixture
def traces_of() -> Callable[[str, Iterable[str]], list[str]]:
    """Give a function that runs a program in several processes with different hash seeds, and returns their outputs."""

    def run(program: str, hash_seeds: Iterable[str]) -> list[str]:
        path = os.pathsep.join(sys.path)
        processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", program],
                env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                text=True,
            )
            for hash_seed in hash_seeds
        ]
        try:
            printed = [process.communicate(timeout=120)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
        assert [process.returncode for process in processes] == [0] * len(processes)
        return printed

    return run
