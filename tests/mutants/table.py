"""The table of mutants in docs/testing.md, which only `python -m tests.mutants --table` writes.

A run may cover a few mutants: the rows of the others stay, in the order of the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "testing.md"
HEADER: Final = "| mutant | by default | by the slow part |\n|---|---|---|\n"
SEEDS_BY_DEFAULT: Final = 20
"""How many seeds of the simulation run by default (`tests/simulation/test_seeds.py`)."""
SURVIVES: Final = "SURVIVES"
Test = Literal["by default", "slow", "never", "none"]
"""When a mutant's test runs that catches it; none where it has no test."""
NOT_SIMULATED: Final = "not simulated"
NOT_TRIED: Final = "not tried"
_AND: Final = "; "
SEED: Final = re.compile(r"\bseed (\d+): ")
"""The seed that caught a mutant, in a line of the table."""
_ROWS: Final = re.compile(re.escape(HEADER) + r"((?:\|.*\|\n)*)")


def row(mutant: Mutant, test: Test, seed: str) -> str:
    """Make a mutant's line. `seed`: the cell about simulations, like 'seed 34: Sync before answer', or why none."""
    name = mutant.kills.rpartition("/")[2]
    by_default, slow = "-", seed
    if test == "by default":
        by_default = name
    elif test == "slow":
        slow = name if seed in (NOT_SIMULATED, NOT_TRIED) else f"{name}{_AND}{seed}"
    elif test == "never":
        by_default = f"{name} ({SURVIVES})"
    elif (first := SEED.match(seed)) and int(first[1]) < SEEDS_BY_DEFAULT:
        by_default = "the simulation"
    return f"| {mutant.name} | {by_default} | {slow} |"


def seed_of(line: str) -> str:
    """The cell of a row about the simulations; that they were not tried where there is no row."""
    cell = line.split("|")[3].strip().rpartition(_AND)[2] if line else NOT_TRIED
    return NOT_TRIED if "::" in cell else cell  # a test stands alone there, where no simulation was tried


def rows(document: str) -> dict[str, str]:
    """The lines of the table, by the names of the mutants. Raises ValueError where there is no table."""
    found = _ROWS.search(document)
    if found is None:
        raise ValueError(f"there is no table with the header {HEADER!r}")
    return {line.split("|")[1].strip(): line for line in found[1].splitlines()}


def updated(document: str, new: Mapping[str, str], mutants: Iterable[Mutant] = MUTANTS) -> str:
    """The document with these rows; rows of removed mutants are dropped."""
    known = {**rows(document), **new}
    lines = [known[mutant.name] + "\n" for mutant in mutants if mutant.name in known]
    return _ROWS.sub(lambda _: HEADER + "".join(lines), document)
