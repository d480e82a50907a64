"""Asks `trioraft check` about a cluster of processes, and carries out what it advises, as an operator would."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import prepared
from .processes import HOST, Cluster, Node, eventually

Finding = dict[str, Any]

WELL = 0
NO_NODE = 3
TO_DO = 4
HEALED_SECONDS = 30.0


class Doctor:
    """Checks one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.code = WELL
        """The exit code of the last check."""

    def trioraft(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line, which finds the cluster by its servers.txt."""
        return prepared.run(words, {**os.environ, "TRIORAFT_SERVERS": str(self.cluster.servers)})

    def look(self, *options: str) -> list[Finding]:
        """Check, and return the findings."""
        done = self.trioraft("check", "-o", "json", *options)
        assert done.stderr == ""
        self.code = done.returncode
        return [json.loads(line) for line in done.stdout.splitlines()]

    def finds(self, code: str, *words: str, severity: str = "now") -> Finding:
        """Check; the first finding must have that code and severity, and these words in its message."""
        first = self.look()[0]
        assert (first["code"], first["severity"]) == (code, severity), first
        for word in words:
            assert word in first["message"], first
        return first

    def remarks(self, code: str, *words: str) -> Finding:
        """Check; all is well, and a remark has that code, and these words in its message."""
        well, *rest = self.look()
        assert (self.code, well["code"]) == (WELL, "healthy"), well
        (found,) = [finding for finding in rest if finding["code"] == code]
        assert found["severity"] == "remark"
        for word in words:
            assert word in found["message"], found
        return found

    def follow(self, finding: Finding, *, most: int = 100) -> None:
        """Take the steps of a finding, up to that many commands."""
        taken = 0
        for step in finding["steps"]:
            if taken == most:
                return
            self._write_list(step["do"])
            if "command" in step:
                self.type(step["command"])
                taken += 1

    def type(self, command: str) -> None:
        """Carry out a command as it stands."""
        words = shlex.split(command)
        if words[:2] == ["trioraft", "node"]:
            assert words[3:] == [str(self.cluster.servers)]
            self.start(int(words[2]))
        elif words[0] == "trioraft":
            if words[1:3] == ["members", "remove"]:
                self.stop(int(words[3]))
            done = self.trioraft(*words[1:])
            assert done.returncode == 0, (command, done)
        elif words[0] == "pkill":
            assert words[1] == "-CONT"
            (node,) = re.findall(r" node (\d+) $", words[3])
            self.cluster.nodes[int(node)].resume()
        else:
            assert words[0] == "mv"
            subprocess.run(words, check=True)

    def stop(self, index: int) -> None:
        """Stop that node, if it runs."""
        for node in self.cluster.nodes:
            if node.index == index and node.running:
                node.kill()

    def start(self, index: int) -> None:
        """Start that node, a newcomer at the place that the list has for it, in place of what runs there."""
        port = int(self.lines[index].rpartition(":")[2])
        node = next((node for node in self.cluster.nodes if node.index == index), None)
        if node is None:
            node = Node(index, port, self.cluster.servers, self.cluster.folder)
            self.cluster.nodes.append(node)
        for other in self.cluster.nodes:
            if other.port == node.port and other.running:
                other.kill()
        node.start()
        eventually(lambda: not node.running or node.try_status(), f"node {index} answers, or has ended")

    @property
    def lines(self) -> list[str]:
        """The lines of servers.txt."""
        return self.cluster.servers.read_text().split()

    def write(self, lines: Sequence[str], file: Path | None = None) -> None:
        """Write servers.txt, or another list."""
        (file or self.cluster.servers).write_text("".join(f"{line}\n" for line in lines))

    def _write_list(self, step: str) -> None:
        """Write into servers.txt what a step says of its positions."""
        if not step.startswith(f"write into {self.cluster.servers}"):
            return
        lines = self.lines
        for entry, position in re.findall(r"('-'|\S+:\d+) at position (\d+)", step):
            lines += ["-"] * (int(position) + 1 - len(lines))
            lines[int(position)] = entry.strip("'")
        self.write(lines)

    def heals(self) -> list[Finding]:
        """Wait until the cluster is well; the findings, the good news first."""
        found: list[Finding] = []

        def look() -> bool:
            found[:] = self.look()
            return self.code == WELL

        try:
            eventually(look, "the cluster is well", HEALED_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {found}") from None
        return found

    def address(self, index: int) -> str:
        """Where that node is."""
        return f"{HOST}:{self.cluster.nodes[index].port}"
