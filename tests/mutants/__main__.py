"""Apply each mutant to a scratch copy and show what catches it: `python -m tests.mutants [WORD ...]`.

Words choose the mutants whose names hold one of them. Each is put before the simulation, seed after seed, and
before the test that fits it. A survivor is a missing test: the exit code is 1.
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

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
FAILS = re.compile(r"^seed (\d+) fails: (.*)$", re.MULTILINE)
TEST_SECONDS = 300


@dataclass(frozen=True)
class Death:
    """What became of a mutant."""

    mutant: Mutant
    seed: int | None
    """The first seed that caught it; None where none did."""
    reason: str
    test: bool | None
    """Whether the fitting test caught it; None where there is none."""
    seconds: float

    @property
    def survived(self) -> bool:
        missed_by_simulation = self.mutant.simulated and self.seed is None
        return missed_by_simulation or self.test is False or (self.seed is None and self.test is None)


def apply(mutant: Mutant, folder: Path) -> None:
    """Change the source in that folder. Raises ValueError where the mutant does not fit it any more."""
    path = folder / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: its text stands {text.count(mutant.old)} times in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new))


def try_out(mutant: Mutant, seeds: int) -> Death:
    """Put one mutant before everything that should catch it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trioraft-mutant-") as scratch:
        folder = Path(scratch) / "checkout"
        ignore = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", ".*_cache")
        shutil.copytree(ROOT, folder, ignore=ignore)
        apply(mutant, folder)
        seed, reason = _simulate(folder, seeds) if seeds and mutant.simulated else (None, "")
        test = _fails(folder, mutant.kills) if mutant.kills else None
    return Death(mutant, seed, reason, test, time.monotonic() - began)


def _simulate(folder: Path, seeds: int) -> tuple[int | None, str]:
    command = [sys.executable, "-m", "trioraft_cli", "sim", "--seeds", f"0..{seeds - 1}", "--jobs", "1"]
    run = subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False)
    found = FAILS.search(run.stdout)
    if found is None:
        if run.returncode:
            raise RuntimeError(f"the simulation ended with {run.returncode}: {run.stderr[-2000:]}")
        return None, ""
    return int(found[1]), found[2]


def _fails(folder: Path, test: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test]
    try:
        run = subprocess.run(
            command, cwd=folder, env=_environment(folder), capture_output=True, timeout=TEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    if run.returncode not in (0, 1):
        raise RuntimeError(f"{test} could not be run: {run.stdout.decode()[-2000:]}")
    return run.returncode == 1


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'cli'}", "PYTHONDONTWRITEBYTECODE": "1"}


def table(deaths: list[Death]) -> str:
    """What caught which, as Markdown."""
    lines = ["| mutant | seeds until the simulation caught it, and how | test |", "|---|---|---|"]
    for death in deaths:
        property_name = death.reason.split(":")[0]
        simulated = f"{death.seed + 1}: {property_name}" if death.seed is not None else "-"
        if not death.mutant.simulated and death.seed is None:
            simulated = "not simulated"
        test = death.mutant.kills.rpartition("/")[2] if death.mutant.kills else ""
        lines.append(f"| {death.mutant.name} | {simulated} | {test}{' (SURVIVES)' if death.test is False else ''} |")
    return "\n".join(lines)


def main() -> int:
    """Try them all; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds at most; 0: the tests alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    chosen = [m for m in MUTANTS if not arguments.words or any(word in m.name for word in arguments.words)]
    deaths: list[Death] = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for death in pool.map(lambda mutant: try_out(mutant, arguments.seeds), chosen):
            deaths.append(death)
            state = "SURVIVES" if death.survived else "caught"
            how = f"seed {death.seed}: {death.reason[:90]}" if death.seed is not None else "no seed"
            print(f"{state:<9} {death.mutant.name}: {how}; test {death.test}; {death.seconds:.0f} s", flush=True)
    print(table(deaths))
    return 1 if any(death.survived for death in deaths) else 0


if __name__ == "__main__":
    sys.exit(main())
