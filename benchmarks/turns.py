"""Two versions measured in turns on one machine: the only comparison that holds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks.results import Figures, Result

ROOT = Path(__file__).resolve().parent.parent

_OURS = "import benchmarks; benchmarks.__path__ = [sys.argv[2]]; "
"""Has this checkout's benchmark measure the program of the other tree."""
_GIVE = "from benchmarks.__main__ import give; give(sys.argv[3], float(sys.argv[4]), pathlib.Path(sys.argv[5]))"

say = Console(stderr=True, highlight=False, soft_wrap=True).print


@contextmanager
def unpacked(commit: str, repository: Path) -> Iterator[Path]:
    """A folder with the files of that commit, which is removed afterwards. Raises LookupError where git has none."""
    archive = subprocess.run(["git", "-C", repository, "archive", commit], capture_output=True, check=False)
    if archive.returncode:
        raise LookupError(f"git knows no {commit}: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / commit.replace("/", "-")
        tree.mkdir()
        subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
        yield tree


def in_turns(parts: Sequence[str], tree: Path, *, rounds: int, seconds: float, folder: Path) -> tuple[Figures, Figures]:
    """Measure the parts of this checkout and of the other tree, one after the other: ours, theirs.

    Who comes first changes from round to round: what one has written the disk may still be at when the other begins.
    """
    ours: Figures = {}
    theirs: Figures = {}
    both = [(tree, theirs), (ROOT, ours)]
    for _ in range(rounds):
        for part in parts:
            for place, found in both:
                for one in run_in(place, part, seconds, folder):
                    found.setdefault(one.name, []).append(one)
        both.reverse()
    return ours, theirs


def run_in(tree: Path, part: str, seconds: float, folder: Path) -> list[Result]:
    """Measure a part in a process of its own, with the program of that tree; nothing where it does not have it.

    This checkout's benchmark measures both versions. Where its calls do not fit the other's program, that one's own
    benchmark takes its place.
    """
    path = os.pathsep.join(map(str, (tree, tree / "cli", ROOT)))
    arguments = [str(tree), str(ROOT / "benchmarks"), part, str(seconds), str(folder)]
    complaints = []
    for whose in (_OURS,) if tree == ROOT else (_OURS, ""):
        code = f"import sys, pathlib; sys.path.insert(0, sys.argv[1]); {whose}{_GIVE}"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            check=False,
        )
        if not done.returncode:
            return msgspec.json.decode(done.stdout, type=list[Result])
        complaints.append(done.stderr.decode().strip().rpartition("\n")[2])
    say(f"{part} cannot be measured in {tree.name}: {complaints[0]}")
    return []
