"""A node whose standard error nobody reads goes on, ends when it is told to, and says which lines were lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..helpers.processes import START_SECONDS, Cluster, eventually, running, talk

pytestmark = pytest.mark.slow

SHORT_OF_ROOM = """
import sys
from trioraft.server import logs
logs.MAX_WAITING_BYTES = 100
sys.argv = ["trioraft", *sys.argv[4:]]
from trioraft_cli.__main__ import main
sys.exit(main())
"""
"""The same command line, with room for only a few log lines."""
STOPPED_WITHIN = 6.0
"""How long a node may take to stop: two seconds for its work, one for the log, and the interpreter's own end."""


class Reader:
    """A pipe, and a process that may read it into a file."""

    def __init__(self, folder: Path) -> None:
        self.pipe = folder / "pipe"
        os.mkfifo(self.pipe)
        self.got = folder / "got"
        with self.got.open("wb") as got:
            self.process = subprocess.Popen(["cat", str(self.pipe)], stdout=got)
        self._open = os.open(self.pipe, os.O_WRONLY)

    def stop(self, fill: bool = True) -> None:
        """Stop reading, and fill the pipe."""
        self.process.send_signal(signal.SIGSTOP)
        if fill:
            os.set_blocking(self._open, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(self._open, b"." * 4095 + b"\n")
        os.set_blocking(self._open, True)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def leave(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._open)
        self._open = -1

    @property
    def read(self) -> str:
        return self.got.read_text()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    if reader.process.returncode is None:
        reader.leave()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Cluster]:
    """One node, not started yet."""
    with Cluster(tmp_path, 1) as cluster:
        yield cluster


def to(where: str) -> list[str]:
    """A command before a node's own that sends its standard error there."""
    return ["sh", "-c", f'exec "$@" 2>{where}', "sh"]


def serves(cluster: Cluster) -> None:
    [node] = cluster.nodes
    cluster.leader()
    assert node.put("a", 1)["ok"]
    for _ in range(400):
        talk(node.port, b"\x16\x03\x01")
    assert node.get("a")["value"] == 1


def test_a_reader_that_is_stopped_holds_up_neither_the_node_nor_its_end(alone: Cluster, reader: Reader) -> None:
    [node] = alone.nodes
    reader.stop()
    node.wrapper = to(str(reader.pipe))
    alone.start()
    serves(alone)
    node.signal(signal.SIGTERM)
    assert node.wait(STOPPED_WITHIN) == 0


def test_when_the_reader_goes_on_it_is_told_how_much_it_has_missed(alone: Cluster, reader: Reader) -> None:
    [node] = alone.nodes
    reader.stop()
    node.wrapper = [*to(str(reader.pipe)), sys.executable, "-c", SHORT_OF_ROOM]
    alone.start()
    serves(alone)
    reader.go_on()
    eventually(lambda: " dropped: nobody took " in reader.read, "the count is said")
    assert node.get("a")["value"] == 1
    assert node.stop() == 0
    eventually(lambda: "node 0 stops" in reader.read, "what follows is there")
    assert "399 more lines like this within the last minute" in reader.read


@pytest.mark.parametrize("where", ["&-", "/dev/full"], ids=["closed", "full"])
def test_a_closed_or_full_standard_error_changes_nothing(alone: Cluster, where: str) -> None:
    [node] = alone.nodes
    node.wrapper = to(where)
    alone.start()
    serves(alone)
    assert node.stop() == 0


def test_a_reader_that_leaves_changes_nothing(alone: Cluster, reader: Reader) -> None:
    [node] = alone.nodes
    node.wrapper = to(str(reader.pipe))
    alone.start()
    eventually(lambda: "listens" in reader.read, "the node has said something")
    reader.leave()
    serves(alone)
    assert node.stop() == 0


def test_a_node_that_cannot_start_ends_though_nobody_reads_why(alone: Cluster, reader: Reader) -> None:
    [node] = alone.nodes
    alone.start()
    reader.stop()
    command = [sys.executable, "-m", "trioraft_cli", "node", "0", str(alone.servers), "--data-dir"]
    with reader.pipe.open("wb", buffering=0) as pipe:
        code = subprocess.run([*command, str(alone.folder / "other")], stderr=pipe, timeout=START_SECONDS).returncode
    assert code == 1
    assert node.put("a", 1)["ok"]


def test_a_demo_ends_though_nobody_reads_its_complaints(tmp_path: Path, reader: Reader) -> None:
    reader.stop()
    with reader.pipe.open("wb", buffering=0) as pipe:
        command = [sys.executable, "-m", "trioraft_cli", "demo"]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        demo = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=pipe, env=environment, text=True
        )
    try:
        assert demo.stdin is not None
        assert demo.stdout is not None
        demo.stdin.write("put a 1\nget a\nthere is no such command\n" + "nonsense\n" * 1000)
        demo.stdin.flush()
        said = ""
        while "\n1\n" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(STOPPED_WITHIN + 4) == 128 + signal.SIGTERM
    finally:
        demo.kill()
        demo.wait()
        for stream in (demo.stdin, demo.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
    eventually(lambda: not running(str(tmp_path / "trioraft-demo-")), "its nodes are gone too")
