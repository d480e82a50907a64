"""The floors of coverage without processes: `python -m tests.architecture.floors coverage.json` checks them.

Lines and branches count alike. The floors stand in pyproject.toml, by folder or file; the longest path that fits a file
counts. A floor is an alarm: it is raised when a room gets better, and it exposes code that came without a test.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]


def floors() -> dict[str, int]:
    """The floors in per cent, by folder or file."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: dict[str, int] = settings["tool"]["trioraft"]["coverage-floors"]
    return found


def reached(files: Mapping[str, Mapping[str, Any]], places: Mapping[str, int]) -> dict[str, float]:
    """The coverage in per cent, by folder or file of `places`. Raises LookupError where a file has no floor."""
    done: dict[str, int] = dict.fromkeys(places, 0)
    all_there_is: dict[str, int] = dict.fromkeys(places, 0)
    for file, found in files.items():
        fitting = [place for place in places if file == place or file.startswith(f"{place}/")]
        if not fitting:
            raise LookupError(f"{file} is in no folder with a floor")
        place = max(fitting, key=len)
        summary = found["summary"]
        done[place] += summary["covered_lines"] + summary["covered_branches"]
        all_there_is[place] += summary["num_statements"] + summary["num_branches"]
    return {place: 100 * done[place] / all_there_is[place] for place in places if all_there_is[place]}


def main() -> int:
    """Print the coverage and every place below its floor. Return the exit code."""
    files = json.loads(Path(sys.argv[1]).read_text())["files"]
    low = 0
    for place, floor in floors().items():
        percent = reached(files, floors()).get(place, 0.0)
        low += percent < floor
        print(f"{place:<45} {percent:5.1f} % of lines and branches, floor {floor} %{'  TOO LOW' * (percent < floor)}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
