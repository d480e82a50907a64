"""Apply each mutant to a scratch copy and show what catches it: `python -m tests.mutants [WORD ...]`.

Words choose the mutants whose names hold one of them. Each is put before the simulation, seed after seed, and
before the test that fits it. A survivor is a missing test: the exit code is 1.

`--table` writes what was found into docs/testing.md; then both simulations are tried on all that they can run, also
where they are not expected to catch anything.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutants import table
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
FAILS = re.compile(r"^seed (\d+) fails: (.*)$", re.MULTILINE)
TEST_SECONDS = 300
OK, FAILED, NONE_CHOSEN = 0, 1, 5
"""What pytest ends with."""
WHOLE_SEEDS = 150
"""As many seeds of whole nodes as run in the slow part (`tests/simulation/test_whole_nodes.py`)."""
UNEXPECTED_SEEDS = 600
"""As many of the other simulation."""


@dataclass(frozen=True)
class Death:
    """What became of a mutant."""

    mutant: Mutant
    seed: str
    """The first seed of a simulation that caught it, and how, or why there is none."""
    test: table.Test
    """When the fitting test caught it."""
    seconds: float

    @property
    def simulated(self) -> bool:
        """Whether a simulation caught it."""
        return ": " in self.seed

    @property
    def survived(self) -> bool:
        must_be_simulated = self.mutant.simulated or self.mutant.whole_nodes
        return self.test == "never" or ((must_be_simulated or self.test == "none") and not self.simulated)


def apply(mutant: Mutant, folder: Path) -> None:
    """Change the source in that folder. Raises ValueError where the mutant does not fit it any more."""
    path = folder / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text stands {text.count(mutant.old)} times in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new))


def try_out(mutant: Mutant, seeds: int, everything: bool = False) -> Death:
    """Put one mutant before what should catch it; `everything`: before both simulations, if they can run it at all."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trioraft-mutant-") as scratch:
        folder = Path(scratch) / "checkout"
        ignore = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", ".*_cache")
        shutil.copytree(ROOT, folder, ignore=ignore)
        apply(mutant, folder)
        seed = _in_simulations(mutant, folder, seeds, everything) if seeds else "not tried"
        test = _when_it_fails(folder, mutant.kills) if mutant.kills else "none"
    return Death(mutant, seed, test, time.monotonic() - began)


def _in_simulations(mutant: Mutant, folder: Path, seeds: int, everything: bool) -> str:
    if not mutant.can_be_simulated:
        return "not simulated"
    found = ""
    if mutant.simulated or everything:
        found = _simulate(folder, seeds if mutant.simulated else UNEXPECTED_SEEDS)
    if not found and (mutant.whole_nodes or (everything and not mutant.simulated)):
        found = _simulate(folder, WHOLE_SEEDS, "--whole-nodes")
        return f"whole nodes, seed {found}" if found else "lives"
    return found or ("lives" if everything or mutant.simulated else "not tried")


def _simulate(folder: Path, seeds: int, *options: str) -> str:
    """The first seed that fails, and of what; '' where none does."""
    command = [sys.executable, "-m", "trioraft_cli", "sim", "--seeds", f"0..{seeds - 1}", "--jobs", "1", *options]
    run = subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False)
    found = FAILS.search(run.stdout)
    if found is None:
        if run.returncode:
            raise RuntimeError(f"the simulation ended with {run.returncode}: {run.stderr[-2000:]}")
        return ""
    return f"{found[1]}: {found[2].partition(':')[0]}"


def _when_it_fails(folder: Path, test: str) -> table.Test:
    if _fails(folder, test):
        return "by default"
    return "slow" if _fails(folder, test, "-m", "slow or hypothesis", "--hypothesis-profile=slow") else "never"


def _fails(folder: Path, test: str, *options: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *options, test]
    try:
        run = subprocess.run(
            command, cwd=folder, env=_environment(folder), capture_output=True, timeout=TEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if run.returncode not in (OK, FAILED, NONE_CHOSEN):
        raise RuntimeError(f"{test} could not be run: {run.stdout.decode()[-2000:]}")
    return run.returncode == FAILED


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'cli'}", "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> int:
    """Try them all; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds at most; 0: the tests alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", action="store_true", help="write the rows of the table in docs/testing.md")
    arguments = parser.parse_args()
    chosen = [m for m in MUTANTS if not arguments.words or any(word in m.name for word in arguments.words)]
    deaths: list[Death] = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for death in pool.map(lambda mutant: try_out(mutant, arguments.seeds, arguments.table), chosen):
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
