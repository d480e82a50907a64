"""The limits of abuse: it must not end a node, fill its memory, or disturb clients that behave."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from .processes import Cluster, Line, Node, eventually

MEBIBYTE = 1 << 20
MEMORY_MEBIBYTES = 64
"""How much more memory a node may take at any time while it is abused, in MiB."""
STATUS_SECONDS = 5.0
"""How long a node may take to answer `status`; on an idle machine it takes milliseconds."""


def memory(node: Node, field: str) -> int:
    """The memory of a node's process in bytes: `VmRSS` is held now, `VmHWM` is the most since `forget_peak`."""
    assert node.process is not None
    for line in Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field}")


def forget_peak(node: Node) -> None:
    """Reset VmHWM."""
    assert node.process is not None
    Path(f"/proc/{node.process.pid}/clear_refs").write_text("5")


class Bystander:
    """A client that behaves: it writes and reads a key of its own, in turn, and checks every reply."""

    def __init__(self, node: Node, key: str) -> None:
        self.rounds = 0
        self.slowest = 0.0
        """How many seconds the slowest round took."""
        self._node = node
        self._key = key
        self._trouble: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with Line(self._node.port) as line:
                while not self._ended.is_set():
                    began = time.monotonic()
                    self._round(line)
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.rounds += 1
                    time.sleep(0.01)  # leave the machine to others
        except (OSError, ValueError, AssertionError) as error:
            self._trouble.append(f"{type(error).__name__}: {error}")

    def _round(self, line: Line) -> None:
        value = [self.rounds, "a value"]
        put = line.ask({"op": "put", "key": self._key, "value": value})
        assert put["ok"], put
        got = line.ask({"op": "get", "key": self._key, "id": self.rounds})
        assert got["ok"], got
        assert (got["value"], got["rev"], got["id"]) == (value, put["rev"], self.rounds)

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self.rounds or self._trouble, "it has been served once, before anybody is in its way")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(20.0)
        if kind is None:
            assert not self._trouble, f"at node {self._node.index}, after {self.rounds} rounds: {self._trouble}"
            assert not self._thread.is_alive(), f"node {self._node.index} left a good client without an answer"
            assert self.rounds


@contextlib.contextmanager
def nobody_is_harmed(cluster: Cluster, mebibytes: int = MEMORY_MEBIBYTES) -> Iterator[list[Bystander]]:
    """Check that nothing done within harms the nodes: they answer, serve clients, and bound their memory and log."""
    nodes = cluster.running
    processes = [node.process for node in nodes]
    before = [memory(node, "VmRSS") for node in nodes]
    said = [len(node.log) for node in nodes]
    for node in nodes:
        forget_peak(node)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Bystander(node, f"bystander-{node.index}")) for node in nodes]
        for node in nodes:
            began = time.monotonic()
            assert node.status()["ok"]
            assert time.monotonic() - began < STATUS_SECONDS
    for node, process, held, length in zip(nodes, processes, before, said, strict=True):
        assert node.process is process, "the same process"
        assert node.running
        lines = node.log[length:].splitlines()
        assert not [line for line in lines if line.strip().startswith("Traceback")], node.log[length:]
        assert not [line for line in lines if "which is a bug" in line], node.log[length:]
        assert len(node.log) - length < 200_000, "the log says what happens, not all that comes"
        peak = memory(node, "VmHWM") - held
        assert peak < mebibytes * MEBIBYTE, f"node {node.index} took {peak // MEBIBYTE} MiB more"
