"""The tour in docs/architecture.md leads to the lines that it shows."""

from __future__ import annotations

import pytest

from tests.docs import tour
from tests.docs.rooms import PAGE

FILE = "import os\n\ndef f():\n    return os.sep\n"
STEP = "First `return os.sep` ([f.py](../f.py#L4)) does it."


def read(path: str) -> str:
    assert path == "../f.py"
    return FILE


def test_every_link_to_a_line_shows_what_stands_there() -> None:
    page = PAGE.read_text()
    assert tour.mended(page) == page, "mend it with `python -m tests.docs`"
    assert len(tour.LINK.findall(page)) == len(tour.STEP.findall(page)) >= 15


def test_a_number_that_is_wrong_is_mended() -> None:
    assert tour.mended(STEP, read) == STEP
    assert tour.mended(STEP.replace("#L4", "#L17"), read) == STEP
    broken = STEP.replace("return os", "return\n  os")
    assert tour.mended(broken.replace("#L4", "#L1"), read) == broken


@pytest.mark.parametrize(("code", "count"), [("return os.altsep", 0), ("os", 2)])
def test_code_that_is_gone_or_could_be_several_lines_is_told(code: str, count: int) -> None:
    with pytest.raises(LookupError, match=rf"f\.py: `{code}` stands in {count} lines"):
        tour.mended(STEP.replace("return os.sep", code), read)
