from __future__ import annotations

import pytest

from tests.docs import operations


def test_the_page_has_the_operations_as_the_source_has_them() -> None:
    page = operations.PAGE.read_text()
    assert operations.updated(page) == page, "write it with `python -m tests.docs`"


def test_a_page_without_the_table_is_told() -> None:
    with pytest.raises(ValueError, match="there is not one table"):
        operations.updated("# The protocol\n")
