"""Nodes in network namespaces on a switch whose ports can be unplugged: packets then vanish.

Nobody is told: no connection is closed or reset. Only root may make these; where that is impossible, tests are skipped.
Clients reach the nodes through the `doors` of this machine, which lead into the namespaces past the switch.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from ..helpers.processes import _die_with_us as die_with_us

Link = tuple[int, int]
"""The sending node, and the receiving one."""

PREFIX: Final = "trioraft-test-"


class CannotSwitch(Exception):
    """The reason why this process cannot make networks here."""


class Switch:
    """The switch and its namespaces. A context, which removes them whatever happens."""

    def __init__(self, ports: list[int]) -> None:
        """`ports`: the ports of the nodes; clients use the same ports on this machine."""
        self.ports = ports
        self._name = f"{PREFIX}{os.getpid()}"
        self._hub = f"{self._name}-hub"
        self._dropped: set[Link] = set()
        self._doors: subprocess.Popen[bytes] | None = None

    def address(self, node: int) -> str:
        """The address of that node for the others."""
        return f"10.77.0.{node + 1}"

    def namespace(self, node: int) -> str:
        return f"{self._name}-{node}"

    def wrapper(self, node: int) -> list[str]:
        """The command that runs another one in that node's namespace."""
        return ["ip", "netns", "exec", self.namespace(node)]

    def unplug(self, *nodes: int) -> None:
        """Let no packet reach or leave these nodes."""
        for node in nodes:
            _ip("-n", self._hub, "link", "set", f"port{node}", "nomaster")

    def plug_in(self, *nodes: int) -> None:
        for node in nodes:
            _ip("-n", self._hub, "link", "set", f"port{node}", "master", "switch")

    def drop(self, links: Iterable[Link]) -> None:
        """Let no packet go from the sender to the receiver of these links."""
        for sender, receiver in set(links) - self._dropped:
            self._filter("-A", sender, receiver)
            self._dropped.add((sender, receiver))

    def heal(self, links: Iterable[Link] | None = None) -> None:
        """Let packets go again, on these links or on all."""
        for sender, receiver in self._dropped & set(self._dropped if links is None else links):
            self._filter("-D", sender, receiver)
            self._dropped.discard((sender, receiver))

    # The same methods as those of the proxies

    def affect(self, links: Iterable[Link], mode: str, delay: float = 0.0, rate: float = 0.0) -> None:  # noqa: ARG002
        """Let packets vanish on these links, whatever the rule."""
        self.drop(links)

    def refuse(self, node: int) -> None:
        """Do nothing: the machine itself refuses dials to a dead process."""

    def listen(self, node: int) -> None:
        """Do nothing: the machine does so by itself."""

    def hang_up(self, node: int) -> None:
        """Do nothing: no process is between the nodes."""

    def _filter(self, act: str, sender: int, receiver: int) -> None:
        rule = ["iptables", "-w", act, "INPUT", "-s", self.address(sender), "-j", "DROP"]
        _run([*self.wrapper(receiver), *rule])

    def __enter__(self) -> Self:
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("iptables"):
            raise CannotSwitch("only root makes networks, with ip and iptables")
        _sweep()
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self) -> None:
        _ip("netns", "add", self._hub)
        _ip("-n", self._hub, "link", "add", "switch", "type", "bridge")
        _ip("-n", self._hub, "link", "set", "switch", "up")
        for node in range(len(self.ports)):
            namespace = self.namespace(node)
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
            other_end = ["peer", "name", f"port{node}", "netns", self._hub]
            _ip("-n", namespace, "link", "add", "eth0", "type", "veth", *other_end)
            _ip("-n", namespace, "address", "add", f"{self.address(node)}/24", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "eth0", "up")
            _ip("-n", self._hub, "link", "set", f"port{node}", "up")
            self.plug_in(node)
        doors = [[port, self.namespace(node), self.address(node)] for node, port in enumerate(self.ports)]
        script = Path(__file__).with_name("doors.py")
        self._doors = subprocess.Popen(
            [*die_with_us(), sys.executable, str(script), json.dumps(doors)], stdout=subprocess.PIPE
        )
        assert self._doors.stdout is not None
        assert self._doors.stdout.readline() == b"open\n"

    def close(self) -> None:
        if self._doors is not None:
            assert self._doors.stdout is not None
            self._doors.kill()
            self._doors.wait()
            self._doors.stdout.close()
        for name in [*map(self.namespace, range(len(self.ports))), self._hub]:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _sweep() -> None:
    """Remove the namespaces that killed processes left."""
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split()
    for name in names:
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and owner.isdigit() and not Path("/proc", owner).exists():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _ip(*words: str) -> None:
    _run(["ip", *words])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CannotSwitch(f"{' '.join(command)}: {done.stderr.strip()}")
