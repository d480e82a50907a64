"""Is this checkout slower than a commit? Asked of each change, so it takes a minute and does without false alarms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.results import Figures, slowdown

PARTS = ("core", "codec", "store", "log", "cluster")
TENTH = 1.1
"""From so many times as slow on it is told."""
NOISY = ("ms", "1 connections x 1", "synced")
"""What waits for the disk or for wake-ups, or is the worst of many: it differs by more than that from itself."""

Measure = Callable[[Sequence[str], int], tuple[Figures, Figures]]
"""Measures these parts of both versions in so many turns: ours, theirs."""


def slower(ours: Figures, theirs: Figures) -> dict[str, float]:
    """The figures at which this checkout is slower by more than a tenth, and how many times as slow."""
    return {
        name: ratio
        for name, here in ours.items()
        if name in theirs
        and not any(noisy in f"{name} {here[0].unit}" for noisy in NOISY)
        and (ratio := slowdown(here, theirs[name])) > TENTH
    }


def guard(measure: Measure, rounds: int, say: Callable[[str], None]) -> bool:
    """Say what is slower by more than a tenth; whether it is so twice in a row.

    Only the parts that looked slower are measured again, in twice as many rounds.
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
