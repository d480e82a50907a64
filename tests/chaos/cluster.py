"""Real nodes behind proxies and on faulty disks, and the faults that can be done to them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from ..helpers import prepared
from ..helpers.processes import HOST, Line, Node, ask_port, eventually, free_ports
from ..helpers.processes import _die_with_us as die_with_us
from .disks import DiskControl
from .network import Network
from .switch import Switch

ROOT = Path(__file__).parents[2]
DISK_FAILED = 74
SECONDS_TO_DIE = 8.0
"""How long a node may take to end after its disk failed; it may have to wait for the processor."""
ALARMING = re.compile(r"Traceback|internal error|makes no sense|is damaged|is refused: |[Ee]xception|Warning:")
"""Log lines of a node that no fault of ours explains."""


class ChaosNode(Node):
    """A node whose address in servers.txt is a proxy's; `port` is the node's own."""

    def __init__(self, index: int, port: int, servers: Path, folder: Path) -> None:
        super().__init__(index, port, servers, folder)
        self.disk = DiskControl(folder / f"n{index}.disk")
        self.host = HOST
        """The address on which it listens."""
        self.paused = False
        self.killed = False
        """Whether the test has ended its process."""
        self.start_at: float | None = None
        """When to start it again after it died of its disk."""
        self.stop_by: float | None = None
        """Until when it has to end, after it was told to stop."""
        self._said_before = 0
        self._failed_since: float | None = None

    def start(self) -> None:
        assert not self.running
        self._said_before = self.log_file.stat().st_size if self.log_file.exists() else 0
        self.disk.forget()
        self.killed = self.paused = False
        self.start_at = self.stop_by = self._failed_since = None
        words = [f"{self.log_file.with_suffix('.disk')}"]
        words += ["node", str(self.index), str(self.servers), "--data-dir", str(self.data)]
        words += ["--listen", f"{self.host}:{self.port}"]
        path = os.pathsep.join([str(ROOT), str(ROOT / "cli"), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path}
        with self.log_file.open("ab") as log, open(os.devnull) as nothing:
            if not self.wrapper:
                streams = [nothing.fileno(), log.fileno(), log.fileno()]
                self.process = prepared.start("tests.chaos.faulty_node", words, streams, environment)
                return
            command = [*die_with_us(), *self.wrapper, sys.executable, "-m", "tests.chaos.faulty_node", *words]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def kill(self) -> None:
        self.killed = True
        self.paused = False
        super().kill()

    def pause(self) -> None:
        if self.running:
            self.paused = True
            super().pause()

    def resume(self) -> None:
        if self.paused and self.running:
            super().resume()
        self.paused = False

    def said(self) -> str:
        """The node's log since its last start."""
        with self.log_file.open("rb") as file:
            file.seek(self._said_before)
            return file.read().decode()

    def complaint(self, now: float) -> str | None:
        """What is wrong with how this node lives or died, by now; None if it is as it should be."""
        if self.process is None or self.killed or self.start_at is not None:
            return None
        code = self.process.poll()
        if code is None:
            return self._lives_too_long(now)
        said = self.said()
        if not self.disk.raised:
            early = code == -signal.SIGTERM and "listens on" not in said  # Python had not yet installed its handler
            if self.stop_by is not None and (code == 0 or early):
                return None
            return f"node {self.index} ended by itself, with code {code}: {said[-1000:]}"
        right = {DISK_FAILED} if self.stop_by is None else {DISK_FAILED, -signal.SIGTERM}  # as it ended already
        why = re.search(r"its disk has failed: |cannot be used: |could not be closed", said)
        if code not in right or why is None:
            return f"node {self.index}, whose disk failed, ended with code {code} and said {said[-1000:]!r}"
        return None

    def _lives_too_long(self, now: float) -> str | None:
        if self.paused:
            self._failed_since = None
            self.stop_by = None if self.stop_by is None else now + SECONDS_TO_DIE
        elif self.stop_by is not None and now > self.stop_by:
            return f"node {self.index} lives on, {SECONDS_TO_DIE:g} s after SIGTERM"
        elif self.disk.raised and self._failed_since is None:
            self._failed_since = now
        elif self._failed_since is not None and now - self._failed_since > SECONDS_TO_DIE:
            return f"node {self.index} lives on, {SECONDS_TO_DIE:g} s after its disk failed"
        return None

    @property
    def ended_as_it_should(self) -> bool:
        """Whether it was told to stop, or its disk failed, and nobody has dealt with it yet."""
        return self.process is not None and not self.killed and self.start_at is None and not self.running


class ChaosCluster:
    """The cluster of a run. A context, at whose end no process is left."""

    def __init__(self, folder: Path, size: int, random: Random, switched: bool = False) -> None:
        """`switched`: put the nodes on a switch, where packets vanish, and not behind proxies. Raises CannotSwitch."""
        self.folder = folder
        self.random = random
        self.switched = switched
        servers = folder / "servers.txt"
        ports = free_ports(2 * size)
        self.nodes = [ChaosNode(index, port, servers, folder) for index, port in enumerate(ports[size:])]
        self.network: Network | Switch
        if switched:
            self.network = Switch(ports[size:]).__enter__()
            for node in self.nodes:
                node.host = self.network.address(node.index)
                node.wrapper = self.network.wrapper(node.index)
            servers.write_text("".join(f"{node.host}:{node.port}\n" for node in self.nodes))
        else:
            self.network = Network(ports[:size], ports[size:])
            servers.write_text("".join(f"{HOST}:{port}\n" for port in ports[:size]))
        self.exits: Counter[str] = Counter()
        self.torn_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.network.close()
        for node in self.nodes:
            if node.running:
                node.signal(signal.SIGKILL)
        for node in self.nodes:
            if node.process is not None:
                node.wait()
            node.disk.close()

    def form(self) -> None:
        """Start all nodes, and wait for the first leader."""
        for node in self.nodes:
            node.start()
        eventually(lambda: self.agreed_leader() is not None, "the first leader", 30)

    # Faults; each is without effect on a node that is not in a state for it

    def kill(self, indexes: list[int], power: bool = False) -> int:
        """Kill all of them at once. With `power`, cut the power: unsynced data is lost; return how much."""
        nodes = [self.nodes[index] for index in indexes if self.nodes[index].running]
        for node in nodes:
            self.network.refuse(node.index)
            node.killed = True
            node.signal(signal.SIGKILL)
        torn = 0
        for node in nodes:
            node.kill()
            if power:
                torn += node.disk.cut_power(node.data, self.random)
        self.torn_bytes += torn
        return torn

    def terminate(self, index: int) -> None:
        """Send SIGTERM; a node that runs as it should must end well, and log nothing else."""
        node = self.nodes[index]
        if node.running and not node.paused and node.stop_by is None:
            node.stop_by = time.monotonic() + SECONDS_TO_DIE
            node.signal(signal.SIGTERM)

    def start(self, index: int) -> None:
        node = self.nodes[index]
        if not node.running:
            self.network.listen(index)
            node.start()

    def heal(self) -> None:
        """End all faults, and start all dead nodes."""
        self.network.heal()
        for node in self.nodes:
            node.disk.heal()
            node.resume()
            if not node.running and node.start_at is None and node.complaint(time.monotonic()) is None:
                self.start(node.index)
            elif node.running:
                self.network.listen(node.index)

    # Observations

    def watch(self, now: float) -> list[str]:
        """Check the nodes that ended, and restart those that died of their disks a while ago. Return what is wrong."""
        complaints = [complaint for node in self.nodes if (complaint := node.complaint(now)) is not None]
        for node in self.nodes:
            if complaints:
                break
            if node.ended_as_it_should:
                assert node.process is not None
                why = "a failed disk" if node.disk.raised else "SIGTERM"
                self.exits[f"code {node.process.returncode} for {why}"] += 1
                if self.random.random() < 0.8:  # or else it would start on the same bad disk, and fail
                    node.disk.heal()
                node.start_at = now + self.random.uniform(0.1, 2.0)
            elif node.start_at is not None and node.start_at <= now:
                self.start(node.index)
        return complaints

    def statuses(self, timeout: float = 0.3) -> list[dict[str, Any]]:
        """The statuses of the nodes that answer."""
        found = []
        for node in self.nodes:
            if node.running and not node.paused:
                try:
                    found.append(ask_port(node.port, {"op": "status"}, timeout))
                except (OSError, ValueError):
                    continue
        return found

    def takes_a_snapshot(self, index: int) -> bool:
        """Ask that node for a snapshot. Return whether it has written one."""
        try:
            return bool(ask_port(self.nodes[index].port, {"op": "snapshot"}, 3.0)["ok"])
        except (OSError, ValueError):
            return False

    def leader(self) -> int | None:
        """The node that says it leads, in the highest term."""
        leaders = [(status["term"], int(status["node"])) for status in self.statuses() if status["role"] == "leader"]
        return max(leaders)[1] if leaders else None

    def agreed_leader(self) -> int | None:
        """The leader that all nodes follow; None where there is none."""
        statuses = self.statuses(2.0)
        if len(statuses) < len(self.nodes):
            return None
        agreed = {(status["leader"], status["term"]) for status in statuses}
        return agreed.pop()[0] if len(agreed) == 1 else None

    def settled(self) -> int | None:
        """The index that all nodes have applied, if it is the end of every log."""
        statuses = self.statuses(2.0)
        if len(statuses) < len(self.nodes) or self.agreed_leader() is None:
            return None
        ends = {(status["last_applied"], status["commit_index"], status["last_index"]) for status in statuses}
        return int(statuses[0]["last_index"]) if len(ends) == 1 and len(set(*ends)) == 1 else None

    def alarms(self) -> list[str]:
        """The log lines that no node should have written."""
        found = []
        for node in self.nodes:
            found += [f"node {node.index}: {line}" for line in node.log.splitlines() if ALARMING.search(line)]
        return found

    def items(self, index: int) -> list[dict[str, Any]]:
        """All keys, with values and revisions, that the node itself holds."""
        found: list[dict[str, Any]] = []
        with Line(self.nodes[index].port) as line:
            while True:
                after = {"after": found[-1]["key"]} if found else {}
                reply = line.ask({"op": "scan", "read": "stale", "limit": 10_000, **after})
                assert reply["ok"], reply
                found += reply["items"]
                if not reply["more"]:
                    return found
