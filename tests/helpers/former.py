"""The last release, as a source tree that nodes can run: taken from this repository's history."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import turns

COMMIT = "430910412ecffdae00759b9c67930b53d08f7663"
"""The commit of version 0.1.0, the last that knows level 1 alone."""
REPOSITORY = "TRIORAFT_REPOSITORY"
"""The variable that says where git knows that commit, for a copy without history."""


@contextlib.contextmanager
def former_release() -> Iterator[Path]:
    """Unpack version 0.1.0 for the context. Skips the test where git does not know it, as in a source archive."""
    repository = Path(os.environ.get(REPOSITORY, turns.ROOT))
    with contextlib.ExitStack() as stack:
        try:
            tree = stack.enter_context(turns.unpacked(COMMIT, repository))
        except (LookupError, FileNotFoundError) as error:
            pytest.skip(f"version 0.1.0 is not here ({error}): {REPOSITORY} may name a repository that has it")
        yield tree
