"""Write what the docs have from the source: `python -m tests.docs`, after a change of the table of operations."""

from __future__ import annotations

from tests.docs import operations

if __name__ == "__main__":
    operations.PAGE.write_text(operations.updated(operations.PAGE.read_text()))
