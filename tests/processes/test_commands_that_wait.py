"""Writes of the command line that are applied once, with real nodes, which are killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from ..helpers.processes import Cluster, eventually

PATIENCE = 30.0


class Program:
    """A command of the command line that runs, with the lines that it has printed so far."""

    def __init__(self, cluster: Cluster, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trioraft_cli", *words],
            env={**os.environ, "TRIORAFT_SERVERS": str(cluster.servers)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.said: list[str] = []
        pipes = ((self.process.stdout, self.lines), (self.process.stderr, self.said))
        self._threads = [threading.Thread(target=_read, args=pipe, daemon=True) for pipe in pipes]
        for thread in self._threads:
            thread.start()

    def ends(self) -> int:
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code

    def prints(self, line: str) -> None:
        eventually(lambda: line in self.lines, f"it prints {line!r}", PATIENCE)


def _read(pipe: Any, lines: list[str]) -> None:
    with pipe:
        lines.extend(line.rstrip("\n") for line in iter(pipe.readline, ""))


@contextlib.contextmanager
def program(cluster: Cluster, *words: str) -> Iterator[Program]:
    started = Program(cluster, *words)
    try:
        yield started
    finally:
        started.process.kill()
        started.ends()


def done(cluster: Cluster, *words: str) -> tuple[int, str]:
    """Carry out a command; its exit code, and what it printed."""
    with program(cluster, *words) as started:
        code = started.ends()
        print("\n".join(started.said))  # for a test that fails
        return code, "\n".join(started.lines)


def test_increments_are_applied_once_though_nodes_die(cluster: Cluster) -> None:
    ended = threading.Event()
    failed: list[str] = []
    count = 0

    def increment() -> None:
        nonlocal count
        while not ended.is_set():
            with program(cluster, "incr", "n", "--once") as incr:
                if incr.ends() != 0:
                    failed.extend(incr.said)
            count += 1

    thread = threading.Thread(target=increment)
    thread.start()
    for node in cluster.nodes:  # by this thread: a node ends with the thread that has started it
        node.kill()
        node.start()
        node.listens()
        cluster.leader()
    ended.set()
    thread.join(PATIENCE)
    assert failed == []
    assert done(cluster, "get", "n") == (0, str(count))
