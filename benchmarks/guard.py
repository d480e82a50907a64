"""The guard: is this checkout slower than a commit? It runs on each change, in a minute, without false alarms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.results import Figures, slowdown

PARTS = ("core", "codec", "store", "log", "cluster")
TENTH = 1.1
"""A figure that is more than this many times as slow is reported."""
NOISY = ("ms", "1 connections x 1", "synced")
"""Words in the names or units of noisy figures, which differ from themselves by more than a tenth.

They wait for the disk or for wake-ups, or are the worst of many.
"""

Measure = Callable[[Sequence[str], int], tuple[Figures, Figures]]
"""Measures these parts of both versions in that many rounds. Returns our figures, then theirs."""


def slower(ours: Figures, theirs: Figures) -> dict[str, float]:
    """The figures of this checkout that are slower by more than a tenth, each with how many times as slow it is."""
    return {
        name: ratio
        for name, here in ours.items()
        if name in theirs
        and not any(noisy in f"{name} {here[0].unit}" for noisy in NOISY)
        and (ratio := slowdown(here, theirs[name])) > TENTH
    }


def guard(measure: Measure, rounds: int, say: Callable[[str], None]) -> bool:
    """Report the figures that are slower by more than a tenth. Return whether one is so twice in a row.

    The second time only the parts that looked slower are measured, in twice as many rounds.
    """
    ours, theirs = measure(PARTS, rounds)
    if not theirs:
        say("nothing to compare with: the other commit has nothing that can be measured")
        return False
    first = slower(ours, theirs)
    if not first:
        say(f"as quick as before, at {len(ours)} figures")
        return False
    for name, ratio in first.items():
        say(f"slower by more than a tenth: {name}, {ratio:.2f} times; measured again")
    suspects = [part for part in PARTS if any(name.startswith(f"{part}:") for name in first)]
    twice = {name: ratio for name, ratio in slower(*measure(suspects, 2 * rounds)).items() if name in first}
    for name, ratio in twice.items():
        say(f"slower by more than a tenth, twice in a row: {name}, {ratio:.2f} times")
    if not twice:
        say("not so the second time: taken for noise")
    return bool(twice)
