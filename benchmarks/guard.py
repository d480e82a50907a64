"""The guard: is this checkout slower than a commit? It runs on each change, in a minute, without false alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from benchmarks.results import Figures, slowdown

PARTS = ("core", "codec", "store", "log")
"""What is guarded: what one process does. Several that share two cores differ from themselves by a quarter.

They may do so for minutes: of two commits with the same program one has looked slower three times in a row.
"""
TENTH = 1.1
"""A figure that is more than this many times as slow is reported."""
NOISY = ("synced",)
"""Words in the names of noisy figures, which differ from themselves by more than a tenth: they wait for the disk."""

TIMES_AGAIN = 2
"""How often a figure that is slower is measured again before it is believed."""

Measure = Callable[[Sequence[str], int], tuple[Figures, Figures]]
"""Measures these parts of both versions in that many rounds. Returns our figures, then theirs."""


def slower(ours: Figures, theirs: Figures) -> dict[str, float]:
    """The figures of this checkout that are slower by more than a tenth, each with how many times as slow it is."""
    return {
        name: ratio
        for name, here in ours.items()
        if name in theirs
        and not any(noisy in name for noisy in NOISY)
        and (ratio := slowdown(here, theirs[name])) > TENTH
    }


def guard(measure: Measure, rounds: int, say: Callable[[str], None]) -> bool:
    """Report the figures that are slower by more than a tenth. Return whether one is so each time it is measured.

    Only the parts that looked slower are measured again, each time in twice as many rounds. A neighbour who comes and
    goes can spoil one version's rounds twice.
    """
    ours, theirs = measure(PARTS, rounds)
    if not theirs:
        say("nothing to compare with: the other commit has nothing that can be measured")
        return False
    suspects = slower(ours, theirs)
    if not suspects:
        say(f"as quick as before, at {len(ours)} figures")
        return False
    for _ in range(TIMES_AGAIN):
        for name, ratio in suspects.items():
            say(f"slower by more than a tenth: {name}, {ratio:.2f} times; measured again")
        rounds *= 2
        again = slower(*measure([part for part in PARTS if _is_of(part, suspects)], rounds))
        suspects = {name: ratio for name, ratio in again.items() if name in suspects}
        if not suspects:
            say("not so again: taken for noise")
            return False
    for name, ratio in suspects.items():
        say(f"slower by more than a tenth, each time: {name}, {ratio:.2f} times")
    return True


def _is_of(part: str, names: Iterable[str]) -> bool:
    return any(name.startswith(f"{part}:") for name in names)
