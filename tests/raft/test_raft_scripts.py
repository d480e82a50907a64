"""The textbook: each script of tests/raft/scripts does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..helpers.raft_scripts import rewrite

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, request: pytest.FixtureRequest) -> None:
    """If a trace has changed and is right, run `pytest tests/raft --rewrite-scripts`, and read the difference."""
    script = path.read_text()
    assert script.startswith("# "), "a script opens with its moral"
    if request.config.getoption("--rewrite-scripts", default=False):
        path.write_text(rewrite(script))
    else:
        assert script == rewrite(script)
