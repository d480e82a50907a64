"""The results of a benchmark, and the tables that show them."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Result(msgspec.Struct, frozen=True):
    """One figure. `name` is the same in every run, so that runs can be compared."""

    name: str
    value: float
    unit: str

    @property
    def is_rate(self) -> bool:
        """Whether more is better; for times and sizes, less is better."""
        return self.unit.endswith("/s")


Figures = dict[str, list[Result]]
"""The figures of a version by their names: one result a round for each."""


def rate(work: Callable[[], int], seconds: float, clock: Callable[[], float] = time.process_time) -> float:
    """Measure how much work is done in a second, in the best of five spans of time. `work` returns how much it did.

    The default clock is processor time, which other processes hardly change. Work that waits for a disk needs another
    clock.
    """
    best = 0.0
    for _ in range(5):
        done = 0
        began = clock()
        while (passed := clock() - began) < seconds / 5:
            done += work()
        best = max(best, done / passed)
    return best


def machine() -> str:
    """Describe this machine: processor, cores, system, Python."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or "unknown processor",
    )
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores; Linux {platform.release()}; Python {platform.python_version()}"


def median(results: Iterable[Result]) -> float:
    """The median of one figure over the rounds."""
    return statistics.median(one.value for one in results)


def slowdown(ours: Sequence[Result], theirs: Sequence[Result]) -> float:
    """How many times as slow we are at one figure: by the best rounds or by the medians, whichever is less.

    A neighbour on the machine only makes rounds slower. It spoils medians, and the best round of a version that had
    no quiet round.
    """
    best = max if ours[0].is_rate else min
    ratios = [best(one.value for one in theirs) / best(one.value for one in ours), median(theirs) / median(ours)]
    return min(ratios) if ours[0].is_rate else min(1 / ratio for ratio in ratios)


def _console() -> Console:
    """Make a console on standard output, wide enough for a table where that is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def show(results: Iterable[Result]) -> None:
    """Print a table of results."""
    table = Table("what", "figure", "unit", title=machine())
    table.columns[1].justify = "right"
    for one in results:
        table.add_row(one.name, _number(one.value), one.unit)
    _console().print(table)


def show_comparison(ours: Figures, theirs: Figures, commit: str) -> None:
    """Print the medians of two versions side by side, and their ratio with its spread over the rounds."""
    table = Table("what", commit, "here", "unit", "here / there", "spread", title=machine())
    for column in (1, 2, 4):
        table.columns[column].justify = "right"
    for name, here in ours.items():
        there = theirs.get(name, [])
        if not there:
            table.add_row(name, "-", _number(median(here)), here[0].unit, "-", "-")
            continue
        ratios = sorted(one.value / other.value for one, other in zip(here, there, strict=False))
        table.add_row(
            name,
            _number(median(there)),
            _number(median(here)),
            here[0].unit,
            f"{statistics.median(ratios):.2f}",
            f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        )
    _console().print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
