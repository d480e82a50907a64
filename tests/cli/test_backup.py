"""The words of `restore` and `recover` for the person who has to continue from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from trioraft_cli import saving
from trioraft_cli.backup import recover, restore

from ..cluster.test_disaster import ADDRESS, write_backup


def test_restore_asks_nobody_to_stop_and_empty_the_cluster_that_the_backup_is_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = write_backup(tmp_path / "backup.jsonl", 3)
    assert restore(backup, tmp_path / "n0", 0, ADDRESS) == 0
    made, before, following = capsys.readouterr().out.splitlines()
    assert made.startswith(f"{tmp_path / 'n0'} is a new cluster of one node now")
    assert "3 keys" in made
    assert "may go on" in before
    assert str(ADDRESS) in following
    assert "members add" in following
    assert "empty the folders" not in following


def test_recover_says_that_the_old_cluster_must_stay_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restore(write_backup(tmp_path / "backup.jsonl", 3), tmp_path / "n0", 0, ADDRESS)
    capsys.readouterr()
    assert recover(tmp_path / "n0", ADDRESS) == 0
    made, kept, before, following = capsys.readouterr().out.splitlines()
    assert "3 keys" in made
    assert "before-" in kept
    assert "No node of the old cluster may run" in before
    assert "empty the folders of the others" in following
    assert str(ADDRESS) in following


def test_a_dash_is_a_stream_and_no_file() -> None:
    options = ["--data-dir", "n0", "--address", str(ADDRESS)]
    assert saving.backup.make_context("backup", ["-"]).params["file"] == Path("/dev/stdout")
    assert saving.restore.make_context("restore", ["-", *options]).params["file"] == Path("/dev/stdin")
    assert saving.backup.make_context("backup", ["./-x"]).params["file"] == Path("-x")
