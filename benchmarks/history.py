"""What each commit came to: docs/performance/history.jsonl, a line a commit.

Figures of different lines are of different hours, and often of different machines: they show a trend, and no more.
"""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import msgspec

from benchmarks.results import Figures, machine, median

PLACE = Path("docs", "performance", "history.jsonl")
"""Where it is kept, in the repository."""


class Line(msgspec.Struct):
    """The medians that one commit came to, by the names of the figures, each with its unit."""

    commit: str
    date: str
    machine: str
    figures: dict[str, tuple[float, str]]


def line_of(commit: str, figures: Figures) -> Line:
    """The line to keep for that commit, measured now on this machine."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    rounded = {name: (float(f"{median(each):.4g}"), each[0].unit) for name, each in figures.items()}
    return Line(commit, today, machine(), rounded)


def record(path: Path, lines: list[Line]) -> None:
    """Keep the lines, each in the place of that commit's line of before, or at the end."""
    kept: dict[str, Line] = {}
    if path.exists():
        for text in path.read_bytes().splitlines():
            line = msgspec.json.decode(text, type=Line)
            kept[line.commit] = line
    kept.update({line.commit: line for line in lines})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in kept.values()))


def commit_of(repository: Path, name: str = "HEAD") -> str:
    """The commit of that name, in twelve digits. Raises LookupError where git knows none."""
    found = _git(repository, "rev-parse", "--verify", "--quiet", "--short=12", f"{name}^{{commit}}")
    if not found:
        raise LookupError(f"git knows no {name} in {repository}")
    return found


def is_changed(repository: Path) -> bool:
    """Whether the program differs from what was committed, so that its figures are of no commit."""
    return bool(_git(repository, "status", "--porcelain", "--", "trioraft", "cli", "benchmarks"))


def _git(repository: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True, check=False)
    return run.stdout.strip()
