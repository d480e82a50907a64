"""The table of operations in docs/protocol.md, which `python -m tests.docs` writes from the one in the source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from trioraft.wire.operations import OPERATIONS

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
_HEADER: Final = "| op | fields | answer |\n|---|---|---|\n"
_ROWS: Final = re.compile(re.escape(_HEADER) + r"(?:\|.*\|\n)*")


def table() -> str:
    """The table as it is to be."""
    rows = [(f"`{row.name}`", row.fields, row.answer) for row in OPERATIONS.values()]
    lines = ["".join(f"| {cell} " if cell else "| " for cell in cells) + "|\n" for cells in rows]
    return _HEADER + "".join(lines)


def updated(page: str) -> str:
    """The page with that table. Raises ValueError where it has none."""
    page, count = _ROWS.subn(lambda _: table(), page)
    if count != 1:
        raise ValueError(f"there is not one table with the header {_HEADER!r}")
    return page
