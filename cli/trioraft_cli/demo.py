"""A whole cluster on this machine, as real processes, with a prompt on it."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from trioraft.addresses import Address
from trioraft_cli import signals
from trioraft_cli.counts import counted
from trioraft_cli.outcomes import NO
from trioraft_cli.shell import run_shell
from trioraft_cli.status import ClusterStatus
from trioraft_cli.streams import say, wait_for_nobody
from trioraft_cli.words import shell_word

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0
_PR_SET_PDEATHSIG: Final = 1


def run_demo(nodes: int) -> int:
    """Start the nodes, wait for a leader, open the prompt, and end them all; the exit code."""
    with (
        signals.Leaving(),
        tempfile.TemporaryDirectory(prefix="trioraft-demo-", ignore_cleanup_errors=True) as folder,
    ):
        addresses = [Address("127.0.0.1", port) for port in _free_ports(nodes)]
        servers = Path(folder, "servers.txt")
        servers.write_text("".join(f"{address}\n" for address in addresses))
        processes: list[subprocess.Popen[bytes]] = []
        try:
            processes.extend(_start(index, servers, Path(folder)) for index in range(nodes))
            if not _wait_for_leader(addresses, processes):
                log = Path(folder, "node-0.log").read_text()
                say(f"the nodes did not elect a leader in {START_SECONDS:.0f} s:")
                print(log, file=sys.stderr)
                return NO
            _welcome(addresses, processes, Path(folder))
            return run_shell(addresses, f"start a node again, in another terminal: {_start_again(Path(folder))}")
        finally:
            wait_for_nobody()
            with signals.undisturbed():
                _end(processes)


def _start(index: int, servers: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "trioraft_cli", "node", str(index), str(servers)]
    with open(folder / f"node-{index}.log", "wb") as log:
        return subprocess.Popen(
            [*command, "--data-dir", str(folder / f"node-{index}")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C at the prompt is not for the nodes
            preexec_fn=_die_with_parent,
        )


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent is gone, however it went."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for_leader(addresses: list[Address], processes: list[subprocess.Popen[bytes]]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if ClusterStatus(addresses).has_leader:
            return True
        time.sleep(0.05)
    return False


def _welcome(addresses: list[Address], processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    names = ",".join(str(address) for address in addresses)
    first = addresses[0]
    print(f"A cluster of {counted(len(addresses), 'node')} runs until you leave; data and logs are in {folder}")
    print("In a second terminal:")
    print(f"  export TRIORAFT_SERVERS={names}")
    print(f'  echo \'{{"op":"get","key":"name"}}\' | nc -N {first.host} {first.port}')
    print(f"  kill -9 {processes[0].pid}    # node 0; the others go on")
    print(f"  {_start_again(folder)}    # until Ctrl-C\n")


def _start_again(folder: Path) -> str:
    """The line for a shell that starts node 0 of the demo."""
    servers, data = shell_word(str(folder / "servers.txt")), shell_word(str(folder / "node-0"))
    return f"trioraft node 0 {servers} --data-dir {data}"


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports
