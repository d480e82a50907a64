"""Nodes' data folders, opened as a node does that starts."""

from __future__ import annotations

from pathlib import Path

from trioraft.cluster.startup import Recovered, recover
from trioraft.key_values import key_value_machine
from trioraft.storage.folder import DataFolder


def started(path: Path) -> Recovered:
    """The state that node 0 finds when it is started there."""
    folder = DataFolder.open(path, 0)
    try:
        assert folder.formation is not None
        found = recover(folder, folder.formation, key_value_machine())
        found.log.close()
        return found
    finally:
        folder.close()
