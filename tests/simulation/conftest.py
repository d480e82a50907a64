"""What the simulations share: many seeds take minutes, and each is a run of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest


@pytest.fixture
def on_all_cores() -> Iterator[Callable[[Callable[[int], Any], Iterable[int]], list[Any]]]:
    """Runs seeds in processes, as many at a time as there are cores; what fails is raised here."""
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("forkserver")) as pool:
        yield lambda run, seeds: list(pool.map(run, seeds, chunksize=5))
