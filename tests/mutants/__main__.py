"""Apply each mutant to a scratch copy, and show what catches it: `python -m tests.mutants [WORD ...]`.

The words choose mutants by their names. Each mutant meets the simulation, seed after seed, and the test that fits it.
The seed that docs/testing.md knows to catch it is tried first. If a mutant survives, a test is missing, and the exit
code is 1.

`--table` writes the results into docs/testing.md. It tries both simulations on every mutant that they can run, even on
those that they need not catch, and from the first seed on.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutants import table
from tests.mutants.catalogue import MUTANTS
from tests.mutants.checkout import Checkout
from tests.mutants.mutant import Mutant

FAILS = re.compile(r"^seed (\d+) fails: (.*)$", re.MULTILINE)
TEST_SECONDS = 300
OK, FAILED, NONE_CHOSEN = 0, 1, 5
"""Exit codes of pytest."""
WHOLE_SEEDS = 150
"""How many seeds of whole nodes are tried: as many as in the slow part (`tests/simulation/test_whole_nodes.py`)."""
UNEXPECTED_SEEDS = 600
"""How many seeds of the fast simulation are tried for a mutant that it need not catch."""
WHOLE_COSTS = 4
"""How many seeds of the fast simulation cost as much as one of whole nodes."""


@dataclass(frozen=True)
class Death:
    """The fate of a mutant."""

    mutant: Mutant
    seed: str
    """The first seed of a simulation that caught it, and how; or the reason why there is none."""
    test: table.Test
    """When the fitting test runs that caught it."""
    seconds: float

    @property
    def simulated(self) -> bool:
        """Whether a simulation caught it."""
        return table.SEED.search(self.seed) is not None

    @property
    def survived(self) -> bool:
        expected = self.mutant.simulated or self.mutant.whole_nodes
        must_be_simulated = expected and self.seed != table.NOT_TRIED
        return self.test == "never" or ((must_be_simulated or self.test == "none") and not self.simulated)


def try_out(mutant: Mutant, checkout: Checkout, seeds: int, known: str, everything: bool) -> Death:
    """Try one mutant against what should catch it; with `everything`, against both simulations if they can run it.

    `known`: the cell of the table that says what caught it last.
    """
    began = time.monotonic()
    with checkout.holding(mutant):
        seed = _in_simulations(mutant, checkout, seeds, known, everything)
        test = _when_it_fails(checkout, mutant.kills) if mutant.kills else "none"
    return Death(mutant, seed, test, time.monotonic() - began)


def _in_simulations(mutant: Mutant, checkout: Checkout, seeds: int, known: str, everything: bool) -> str:
    if not mutant.can_be_simulated:
        return table.NOT_SIMULATED
    if not seeds:
        return table.seed_of(known)
    if not (mutant.simulated or mutant.whole_nodes or everything):
        return table.NOT_TRIED
    tried: list[str] = []
    first = int(match[1]) if not everything and (match := table.SEED.search(known)) else None
    if mutant.simulated or everything:
        count = seeds if mutant.simulated else min(seeds, UNEXPECTED_SEEDS)
        if found := _simulate(checkout, count, first):
            return found
        tried.append(f"{count} seeds")
    if mutant.whole_nodes or (everything and not mutant.simulated):
        count = max(1, min(seeds // WHOLE_COSTS, WHOLE_SEEDS))
        if found := _simulate(checkout, count, first, "--whole-nodes"):
            return f"whole nodes, {found}"
        tried.append(f"{count} of whole nodes")
    return f"lives {', '.join(tried)}"


def _simulate(checkout: Checkout, seeds: int, first: int | None, *options: str) -> str:
    """Find a seed that fails, and why; '' where none does. `first` is tried first, then all in order."""
    for tried in ([] if first is None else [f"{first}..{first}"]) + [f"0..{seeds - 1}"]:
        command = [sys.executable, "-m", "trioraft_cli", "sim", "--seeds", tried, "--jobs", "1", *options]
        run = subprocess.run(
            command, cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True, check=False
        )
        if found := FAILS.search(run.stdout):
            return f"seed {found[1]}: {found[2].partition(':')[0]}"
        if run.returncode:
            raise RuntimeError(f"the simulation ended with {run.returncode}: {run.stderr[-2000:]}")
    return ""


def _when_it_fails(checkout: Checkout, test: str) -> table.Test:
    if _fails(checkout, test):
        return "by default"
    return "slow" if _fails(checkout, test, "-m", "slow or hypothesis", "--hypothesis-profile=slow") else "never"


def _fails(checkout: Checkout, test: str, *options: str) -> bool:
    # What Hypothesis draws is the same each time, so that no mutant is caught by luck and survives the next day.
    drawn = "--hypothesis-seed=0"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", drawn, *options, test]
    try:
        run = subprocess.run(
            command,
            cwd=checkout.folder,
            env=checkout.environment,
            capture_output=True,
            timeout=TEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    if run.returncode not in (OK, FAILED, NONE_CHOSEN):
        raise RuntimeError(f"{test} could not be run: {run.stdout.decode()[-2000:]}")
    return run.returncode == FAILED


def main() -> int:
    """Try the chosen mutants. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument(
        "--seeds",
        type=int,
        default=2000,
        help="how many seeds at most; 0: the tests alone, and what is known of the seeds",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", action="store_true", help="write the rows of the table in docs/testing.md")
    arguments = parser.parse_args()
    chosen = [m for m in MUTANTS if not arguments.words or any(word in m.name for word in arguments.words)]
    known = table.rows(table.DOCUMENT.read_text())
    deaths: list[Death] = []
    free: queue.SimpleQueue[Checkout] = queue.SimpleQueue()

    def try_in_a_checkout(mutant: Mutant) -> Death:
        checkout = free.get()
        try:
            return try_out(mutant, checkout, arguments.seeds, known.get(mutant.name, ""), arguments.table)
        finally:
            free.put(checkout)

    with tempfile.TemporaryDirectory(prefix="trioraft-mutants-") as scratch, ThreadPoolExecutor(arguments.jobs) as pool:
        for number in range(arguments.jobs):
            free.put(Checkout(Path(scratch), number))
        for death in pool.map(try_in_a_checkout, chosen):
            deaths.append(death)
            state = "SURVIVES" if death.survived else "caught"
            print(
                f"{state:<9} {death.mutant.name}: {death.seed}; test: {death.test}; {death.seconds:.0f} s", flush=True
            )
    rows = {death.mutant.name: table.row(death.mutant, death.test, death.seed) for death in deaths}
    if arguments.table:
        table.DOCUMENT.write_text(table.updated(table.DOCUMENT.read_text(), rows))
    else:
        print(table.HEADER + "\n".join(rows.values()))
    return 1 if any(death.survived for death in deaths) else 0


if __name__ == "__main__":
    sys.exit(main())
