"""Every example in the help of every command is called, in a shell, on a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from trioraft_cli.main import cli

from ..helpers.examples import commands, examples
from ..helpers.processes import Cluster, free_ports

pytestmark = pytest.mark.slow

GOES_ON: Final = ("trioraft watch", "trioraft node", "trioraft top")
"""How examples begin that go on until Ctrl-C."""
FAILS: Final = {
    "trioraft lead scheduler --show": 1,  # it has ended
    "trioraft lease keepalive 41": 1,  # there is no such lease; in a loop it ends that
    "trioraft txn 'rev a = 7' -- put a 1 -- get a": 1,  # it has another revision
    "trioraft txn 'missing b' 'exists a' -- put b 1 , incr n 5 -- get b , get a": 1,  # it is there
}
"""The examples that fail here, with their exit codes."""
FIRST: Final = ("trioraft check", "trioraft fault", "trioraft members apply", "trioraft members add")
LAST: Final = ("trioraft members remove", "trioraft restore", "trioraft recover")
SECONDS: Final = 60.0


def in_order() -> list[str]:
    """All examples; those that need the whole cluster come before those that take a part of it."""
    found = [example for _, command in commands(cli) for example in examples(command)]
    return sorted(found, key=rank)


def rank(example: str) -> int:
    """Where it comes: those of FIRST in their order, the others, and then those of LAST."""
    starts = [*FIRST, "", *LAST]
    return next((place for place, start in enumerate(starts) if start and example.startswith(start)), len(FIRST))


def goes_on(example: str) -> bool:
    return example.startswith(GOES_ON)


class Place:
    """A folder in which the examples are called, with the files that they name, and a cluster."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self.cluster = cluster
        self._write("trioraft", f'#!/bin/sh\nexec {sys.executable} -m trioraft_cli "$@"\n')
        for script in ("deploy.sh", "scheduler.sh"):
            self._write(script, "#!/bin/sh\nexit 0\n")
        (folder / "requests.jsonl").write_text('{"op":"get","key":"a"}\n' * 3)
        (folder / "transfer.json").write_text('{"then":[{"op":"incr","key":"b","by":-1},{"op":"incr","key":"a"}]}')
        (folder / "people.json").write_text('{"name":"people/ann","age":41}')
        (folder / "alone").mkdir()
        (folder / "alone" / "servers.txt").write_text(f"127.0.0.1:{free_ports(1)[0]}\n")
        shutil.copy(cluster.servers, folder / "servers.txt")

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def call(self, example: str) -> subprocess.CompletedProcess[str]:
        """Call an example; one that goes on for some seconds. The addresses in it are made those of the cluster."""
        if example.startswith("trioraft recover"):
            self.cluster.end()
            shutil.copytree(self.cluster.nodes[1].data, self.folder / "trioraft-data" / "node-1")
        line = f"timeout --preserve-status --signal INT 4 {example}" if goes_on(example) else example
        line = line.replace(" 127.0.0.1:8001", f" 127.0.0.1:{self.cluster.nodes[0].port}").replace(" 10.0", " 127.0")
        return subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder / ("alone" if example.startswith("trioraft node") else ""),
            env={**os.environ, "TRIORAFT_SERVERS": str(self.cluster.servers), "PATH": self.path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @property
    def path(self) -> str:
        """Where commands are looked for."""
        return f"{self.folder}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A cluster that may be broken, and keys that the examples name."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        for node in cluster.nodes:
            node.options = ["--allow-faults"]
        cluster.start()
        leader = cluster.leader()
        values = {"name": "Ann", "jobs/7/result": 1, "leader": "node-2", "a": 1, "b": 1, "sessions/x": 1, "users/x": 1}
        for key, value in values.items():
            assert leader.put(key, value)["ok"]
        yield Place(tmp_path_factory.mktemp("examples"), cluster)


def test_every_example_can_be_called(place: Place) -> None:
    """One test, as many an example needs what another has done before it."""
    failures = []
    for example in in_order():
        if example.startswith("jq") and shutil.which("jq") is None:
            continue
        result = place.call(example)
        expected = (0, 130) if goes_on(example) else (FAILS.get(example, 0),)
        is_wrong = "Usage:" in result.stderr or "internal" in result.stderr
        if is_wrong or result.returncode not in expected:
            failures.append(f"{example}: {result.returncode}, {result.stderr}")
    assert not failures, "\n".join(failures)
