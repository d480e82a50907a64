"""Every floor of coverage names an existing place, and is computed as documented."""

from __future__ import annotations

from typing import Any

import pytest

from .floors import ROOT, floors, reached
from .imports import sources


def counts(lines: int, covered_lines: int, branches: int, covered_branches: int) -> dict[str, Any]:
    return {
        "summary": {
            "num_statements": lines,
            "covered_lines": covered_lines,
            "num_branches": branches,
            "covered_branches": covered_branches,
        }
    }


def test_every_room_has_a_floor_and_every_floor_a_place() -> None:
    files = {str(path.relative_to(ROOT)): counts(1, 1, 0, 0) for path in sources().values()}
    assert set(reached(files, floors())) == set(floors())


def test_lines_and_branches_count_alike_and_the_longest_place_that_fits() -> None:
    files = {"a/b.py": counts(80, 80, 20, 0), "a/c.py": counts(10, 5, 0, 0), "a/d/e.py": counts(1, 0, 0, 0)}
    assert reached(files, {"a": 1, "a/b.py": 1, "a/d": 1}) == {"a": 50, "a/b.py": 80, "a/d": 0}
    with pytest.raises(LookupError, match=r"a/b\.py is in no folder"):
        reached(files, {"ab": 1, "a/b": 1})
