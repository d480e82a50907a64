"""The figures of each measured commit: docs/performance/history.jsonl, a line a commit.

The lines come from different hours, and often from different machines: they show a trend, and no more.
"""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import msgspec

from benchmarks.results import Figures, machine, median

PLACE = Path("docs", "performance", "history.jsonl")
"""The path of the history in the repository."""


class Line(msgspec.Struct):
    """The medians of one commit, each with its unit, by the names of the figures."""

    commit: str
    date: str
    machine: str
    figures: dict[str, tuple[float, str]]


def line_of(commit: str, figures: Figures) -> Line:
    """Make the line of a commit that was measured now on this machine."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    rounded = {name: (float(f"{median(each):.4g}"), each[0].unit) for name, each in figures.items()}
    return Line(commit, today, machine(), rounded)


def record(path: Path, lines: list[Line]) -> None:
    """Write the lines into the history: each replaces its commit's earlier line, or is added at the end."""
    kept: dict[str, Line] = {}
    if path.exists():
        for text in path.read_bytes().splitlines():
            line = msgspec.json.decode(text, type=Line)
            kept[line.commit] = line
    kept.update({line.commit: line for line in lines})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in kept.values()))


def commit_of(repository: Path, name: str = "HEAD") -> str:
    """Look up the commit of that name, in twelve digits. Raises LookupError where git knows none."""
    found = _git(repository, "rev-parse", "--verify", "--quiet", "--short=12", f"{name}^{{commit}}")
    if not found:
        raise LookupError(f"git knows no {name} in {repository}")
    return found


def is_changed(repository: Path) -> bool:
    """Whether the program differs from the commit, so that its figures belong to no commit."""
    return bool(_git(repository, "status", "--porcelain", "--", "trioraft", "cli", "benchmarks"))


def _git(repository: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True, check=False)
    return run.stdout.strip()
