"""What a benchmark gives, and how it is shown."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Result(msgspec.Struct, frozen=True):
    """One figure. `name` is the same in every run, so that runs can be compared."""

    name: str
    value: float
    unit: str


def rate(work: Callable[[], int], seconds: float) -> float:
    """How much of it is done in a second, the best of five spans; each call of `work` says how much it has done."""
    best = 0.0
    for _ in range(5):
        done = 0
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds / 5:
            done += work()
        best = max(best, done / passed)
    return best


def machine() -> str:
    """What the figures were measured on."""
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


def show(results: Iterable[Result]) -> None:
    """Print a table."""
    table = Table("what", "figure", "unit", title=machine())
    table.columns[1].justify = "right"
    for one in results:
        table.add_row(one.name, _number(one.value), one.unit)
    Console().print(table)


def show_comparison(ours: dict[str, list[Result]], theirs: dict[str, list[Result]], commit: str) -> None:
    """Print the medians of two versions beside each other, and the ratio with its spread over the rounds."""
    table = Table("what", commit, "here", "unit", "here / there", "spread", title=machine())
    for column in (1, 2, 4):
        table.columns[column].justify = "right"
    for name, here in ours.items():
        there = theirs.get(name, [])
        if not there:
            table.add_row(name, "-", _number(_median(here)), here[0].unit, "-", "-")
            continue
        ratios = sorted(one.value / other.value for one, other in zip(here, there, strict=False))
        table.add_row(
            name,
            _number(_median(there)),
            _number(_median(here)),
            here[0].unit,
            f"{statistics.median(ratios):.2f}",
            f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        )
    Console().print(table)


def _median(results: Iterable[Result]) -> float:
    return statistics.median(one.value for one in results)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
