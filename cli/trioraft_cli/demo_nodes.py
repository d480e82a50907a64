"""The nodes of a demo: real processes, which end with this one, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal

from trioraft.addresses import Address
from trioraft_cli.escapes import safe

State = Literal["running", "paused", "killed"]

WAY_BACK: Final[dict[State, str]] = {"killed": "restart", "paused": "resume"}
"""What makes a node run again."""
MOST_NODES: Final = 9
_PR_SET_PDEATHSIG: Final = 1
_prctl: Final = ctypes.CDLL(None).prctl
"""It is found before a fork: another thread may hold the loader's lock when a process forks."""


class DemoNode:
    """One node: its place, its folder, and its process, which may be paused or dead."""

    def __init__(self, number: int, folder: Path, held: socket.socket) -> None:
        """Nothing runs yet. `held` is bound to the node's port, and does not listen."""
        self.number = number
        self.address = Address(*held.getsockname())
        self.log = folder / f"node-{number}.log"
        self.data = folder / f"node-{number}"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_paused = False

    @property
    def state(self) -> State:
        """Whether its process runs; one that has ended by itself counts as killed."""
        if self._process is None or self._process.poll() is not None:
            return "killed"
        return "paused" if self._is_paused else "running"

    def log_lines(self, most: int) -> list[str]:
        """The newest lines of its log."""
        with self.log.open(encoding="utf-8", errors="replace") as file:
            return [safe(line.rstrip("\n")) for line in deque(file, most)]

    def start(self, servers: Path) -> None:
        """Start its process. Only the main thread may: the kernel ends the node with the thread that started it."""
        assert threading.current_thread() is threading.main_thread()
        command = [sys.executable, "-P", "-m", "trioraft_cli", "node", str(self.number), str(servers)]
        parent = os.getpid()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--data-dir", str(self.data), "--allow-faults"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the prompt is not for the nodes
                preexec_fn=lambda: _die_with(parent),
            )
        self._is_paused = False

    def kill(self) -> None:
        """End its process at once, as kill -9 does; a paused one too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Stop its process, which keeps its memory and its connections, and answers nothing."""
        self._tell(signal.SIGSTOP)
        self._is_paused = True

    def resume(self) -> None:
        """Let a paused process go on."""
        self._tell(signal.SIGCONT)
        self._is_paused = False

    def _tell(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


class DemoNodes:
    """All nodes of a demo, by number, and the folder that they share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers = folder / "servers.txt"
        self._nodes: dict[int, DemoNode] = {}
        self._ports = ExitStack()

    def close(self) -> None:
        """Kill all: their folders go with them, so there is nothing that they could put in order."""
        for node in self:
            node.kill()
        self._ports.close()

    def __iter__(self) -> Iterator[DemoNode]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, number: int) -> DemoNode:
        return self._nodes[number]

    def __contains__(self, number: int) -> bool:
        return number in self._nodes

    @property
    def addresses(self) -> list[Address]:
        """Where they are."""
        return [node.address for node in self]

    def numbers(self, *states: State) -> list[int]:
        """The nodes that are in one of these states."""
        return [node.number for node in self if node.state in states]

    def hold_port(self) -> socket.socket:
        """A port that nobody else is given while the demo runs, as long as its node is dead too.

        A socket that is bound and does not listen keeps the port, and lets a node listen there.
        """
        held = self._ports.enter_context(socket.socket())
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        return held

    def add(self, number: int, held: socket.socket) -> DemoNode:
        """Give a node a line in servers.txt. It is not started."""
        node = self._nodes[number] = DemoNode(number, self.folder, held)
        lines = [str(self._nodes[place].address) if place in self else "-" for place in range(max(self._nodes) + 1)]
        self.servers.write_text("".join(f"{line}\n" for line in lines))
        return node


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent is gone, however it went."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before
        os._exit(1)
