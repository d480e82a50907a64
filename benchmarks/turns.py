"""The comparison of two versions, measured in turns on one machine: no other comparison holds."""

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
"""Code that lets this checkout's benchmark measure the program of the other tree."""
_GIVE = "from benchmarks.__main__ import give; give(sys.argv[3], float(sys.argv[4]), pathlib.Path(sys.argv[5]))"

say = Console(stderr=True, highlight=False, soft_wrap=True).print


@contextmanager
def unpacked(commit: str, repository: Path) -> Iterator[Path]:
    """Unpack the files of a commit into a folder for the context. Raises LookupError where git knows no such commit."""
    archive = subprocess.run(["git", "-C", repository, "archive", commit], capture_output=True, check=False)
    if archive.returncode:
        raise LookupError(f"git knows no {commit}: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / commit.replace("/", "-")
        tree.mkdir()
        subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
        yield tree


def in_turns(parts: Sequence[str], tree: Path, *, rounds: int, seconds: float, folder: Path) -> tuple[Figures, Figures]:
    """Measure the parts of this checkout and of the other tree, in turns. Return our figures, then theirs.

    The order changes from round to round, because the disk may still be busy with the writes of the one before.
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
    """Measure a part in a process of its own, with the program of that tree. Return nothing where that is impossible.

    This checkout's benchmark measures both versions. If its calls do not fit the other program, the other tree's own
    benchmark is used.
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
