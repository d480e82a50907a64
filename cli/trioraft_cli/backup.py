"""Backups, and new clusters made from them or from a survivor: what needs more of the program than the client."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from trioraft.addresses import Address
from trioraft.client import Client, Refused, Reply
from trioraft.cluster.disaster import Reborn, recover_survivor, restore_backup
from trioraft.key_values import key_value_machine
from trioraft.kv.sections import KEYS
from trioraft.machine import contents
from trioraft.storage.backups import is_stream, save_backup
from trioraft.storage.errors import NO_ROOM, StorageError, describe
from trioraft.storage.snapshots import Snapshot
from trioraft_cli.counts import snapshot_taken
from trioraft_cli.escapes import safe
from trioraft_cli.outcomes import BROKEN, NO, NO_READER, by_signal, fail


def save(client: Client, file: Path, show: Callable[[Reply], object] | None) -> int:
    """Save what the cluster holds now; the exit code. Raises ClientError.

    `show` is called with what a node says of the snapshot; without it a line is printed.
    """
    to_stream = is_stream(file)
    try:
        with _cleaning_up():
            taken, snapshot = _saved(client, file)
    except (StorageError, OSError) as error:
        return _complain(error)
    said = snapshot_taken(snapshot.header.sections[KEYS], snapshot.header.last_included_index, snapshot.size)
    if to_stream:  # the backup itself may go to standard output
        print(said, file=sys.stderr)
    elif show is not None:
        show(taken)
    else:
        print(said)
    return 0


def _saved(client: Client, file: Path) -> tuple[Reply, Snapshot]:
    """Save a snapshot; what the node says of it, and what was saved. Raises ClientError, StorageError, OSError."""
    while True:
        client.call("scan", limit=1, keys_only=True)  # after it, the node has applied all that was committed before
        taken = client.call("snapshot")
        try:
            return taken, save_backup(_chunks(client, taken["index"]), file)
        except Refused as refused:
            if refused.code != "compacted":  # which means that a newer snapshot has taken its place
                raise


def _chunks(client: Client, index: int) -> Iterator[bytes]:
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
            reborn = recover_survivor(path, address, key_value_machine())
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
            reborn = restore_backup(file, path, node, address, key_value_machine())
        _tell(reborn, path)
        print("The cluster that the backup comes from may go on: neither hears of what the other writes from now on.")
        print(f"Start this node, at {address}; take in others, with empty folders, with 'trioraft members add'.")
    except (StorageError, OSError) as error:
        return _complain(error)
    return 0


def _tell(reborn: Reborn, path: Path) -> None:
    """Say what was made. What to do next depends on its origin, and is for the caller to say."""
    cluster = f"a new cluster of one node now, {reborn.cluster}"
    print(f"{safe(str(path))} is {cluster}: {contents(reborn.sections)}, from entry {reborn.index} on")
    if reborn.kept is not None:
        print(f"the old files are kept in {safe(str(reborn.kept))}")


def _complain(error: StorageError | OSError) -> int:
    if isinstance(error, StorageError):
        return fail(NO, error.message, error.hint)
    if isinstance(error, BrokenPipeError):
        return NO_READER
    hint = "make room there, or name a file on another disk" if error.errno in NO_ROOM else "nothing was changed"
    return fail(BROKEN, describe(error), hint)


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
    raise SystemExit(by_signal(number))
