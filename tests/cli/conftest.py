"""What several tests of the command line use."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from trioraft_cli.main import command_line
from trioraft_cli.outcomes import conclude

from ..helpers.fake_nodes import FakeNode

Call = Callable[..., tuple[int, str, str]]
"""Carries out a command with one node: its exit code, and what it printed on both streams."""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Give a function that carries out a command here."""

    def act(node: FakeNode, *words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("TRIORAFT_SERVERS", str(node.address))
        monkeypatch.setattr("sys.argv", ["trioraft", *words])
        return conclude(command_line), *capfd.readouterr()

    return act
