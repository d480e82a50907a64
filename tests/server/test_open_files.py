"""A node that may open few files does not start where clients could keep its peers out, and does not blame the disk."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

from trioraft.addresses import Address
from trioraft.replica import reports
from trioraft.server import node
from trioraft.server.config import DISK_FAILED, NodeOptions, StartError
from trioraft.storage.folder import DataFolder
from trioraft.wire.codec import decode

TOO_MANY = OSError(errno.EMFILE, "Too many open files", "data/log")


@pytest.mark.parametrize(("members", "least"), [(1, 64), (3, 64), (5, 68)])
def test_a_node_says_how_many_open_files_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, members: int, least: int
) -> None:
    options = NodeOptions(0, [Address("node", port) for port in range(1, members + 1)], tmp_path / "data")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (least - 1, resource.RLIM_INFINITY))
    with pytest.raises(StartError, match=rf"needs {least} open files .* may have {least - 1}") as refusal:
        node._run_in_folder(options)
    assert "ulimit -n" in refusal.value.hint
    assert not options.data_dir.exists(), "nothing was touched"


@pytest.mark.parametrize("limit", [64, resource.RLIM_INFINITY])
def test_a_node_starts_with_as_many_open_files_as_it_needs(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    node._check_open_files(3)


def test_where_no_more_files_can_be_opened_no_disk_is_said_to_have_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise TOO_MANY

    assert node._say_end(0, TOO_MANY) == DISK_FAILED
    monkeypatch.setattr(DataFolder, "open", fail)
    with pytest.raises(StartError) as refusal:
        node._run_in_folder(NodeOptions(0, [Address("node", 1)], tmp_path / "data"))
    reply = decode(reports.snapshot_reply(b"1", TOO_MANY))
    for said in (caplog.text, refusal.value.hint, reply["error"]["hint"]):
        assert "ulimit -n" in said
        assert "disk" not in said
