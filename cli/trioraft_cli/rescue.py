"""Backups, and new clusters from them or from a survivor: what reaches further than the client."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from trioraft.addresses import Address
from trioraft.client import Client, Refused
from trioraft.cluster.disaster import Reborn, recover_survivor, restore_backup
from trioraft.storage.backups import is_stream, save_backup
from trioraft.storage.errors import NO_ROOM, StorageError, describe
from trioraft.storage.snapshots import Snapshot
from trioraft_cli.counts import counted, snapshot_taken
from trioraft_cli.escapes import safe
from trioraft_cli.streams import BROKEN, NO_READER, say


def backup(client: Client, file: Path) -> int:
    """Save what the cluster holds now; the exit code. Raises ClientError."""
    streams = is_stream(file)
    try:
        with _cleaning_up():
            snapshot = _save(client, file)
    except (StorageError, OSError) as error:
        return _complain(error)
    said = snapshot_taken(snapshot.header.keys, snapshot.header.last_included_index, snapshot.size)
    print(said, file=sys.stderr if streams else sys.stdout)  # the backup itself may go to standard output
    return 0


def _save(client: Client, file: Path) -> Snapshot:
    while True:
        client.call("scan", limit=1, keys_only=True)  # the node has seen all that is committed now
        taken = client.call("snapshot")
        try:
            return save_backup(_pieces(client, taken["index"]), file)
        except Refused as refused:
            if refused.code != "compacted":
                raise  # else a newer one has taken its place meanwhile


def _pieces(client: Client, index: int) -> Iterator[bytes]:
    offset = 0
    while True:
        reply = client.call("read_snapshot", index=index, offset=offset)
        data: bytes = reply["data"].encode()
        yield data
        offset += len(data)
        if reply["done"]:
            return


def recover(path: Path, address: Address) -> int:
    """Make a survivor a cluster of its own; the exit code."""
    try:
        with _cleaning_up():
            reborn = recover_survivor(path, address)
        _tell(reborn, path)
        print("No node of the old cluster may run any more: its writes would be lost, and its clients misled.")
        print(
            f"Start this node, at {address}; empty the folders of the others, "
            "and take them in with 'trioraft members add'."
        )
    except (StorageError, OSError) as error:
        return _complain(error)
    return 0


def restore(file: Path, path: Path, node: int, address: Address) -> int:
    """Make a new cluster from a backup; the exit code."""
    try:
        with _cleaning_up():
            reborn = restore_backup(file, path, node, address)
        _tell(reborn, path)
        print("The cluster that the backup comes from may go on: neither hears of what the other writes from now on.")
        print(f"Start this node, at {address}; take in others, with empty folders, with 'trioraft members add'.")
    except (StorageError, OSError) as error:
        return _complain(error)
    return 0


def _tell(reborn: Reborn, path: Path) -> None:
    """Say what was made; what there is to do next depends on what it was made from."""
    cluster = f"a new cluster of one node now, {reborn.cluster}"
    print(f"{safe(str(path))} is {cluster}: {counted(reborn.keys, 'key')}, from entry {reborn.index} on")
    if reborn.kept is not None:
        print(f"the old files are kept in {safe(str(reborn.kept))}")


def _complain(error: StorageError | OSError) -> int:
    if isinstance(error, StorageError):
        say(f"{error.message} ({error.hint})")
        return 1
    if isinstance(error, BrokenPipeError):
        return NO_READER
    hint = "make room there, or name a file on another disk" if error.errno in NO_ROOM else "nothing was changed"
    say(f"{describe(error)} ({hint})")
    return BROKEN


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """Let a signal that ends the process end it as an exception does, so that nothing half done is left behind."""
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
