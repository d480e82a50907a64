"""Watches, locks, leases and transactions of the command line with real nodes, which are killed meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..helpers import prepared
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
    result = prepared.run(words, {**os.environ, "TRIORAFT_SERVERS": str(cluster.servers)})
    print(result.stderr)  # for a test that fails
    return result.returncode, result.stdout.removesuffix("\n")


def events(watch: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in watch.lines if '"synced"' not in line]


def test_a_watch_shows_each_change_once_though_its_nodes_die(cluster: Cluster) -> None:
    leader = cluster.leader()
    assert leader.put("w/0", 0)["ok"]
    with program(cluster, "watch", "w/", "--initial", "-o", "json") as watch:
        eventually(lambda: any('"synced"' in line for line in watch.lines), "it shows what is there", PATIENCE)
        for round_ in range(1, 4):
            node = cluster.nodes[round_ % 3]
            node.kill()
            cluster.write_until_done(f"w/{round_}", round_)
            node.start()
            node.listens()
        cluster.write_until_done("w/last", 0)
        eventually(lambda: any(event["key"] == "w/last" for event in events(watch)), "it shows the last", PATIENCE)
        shown = [(event["key"], event["rev"]) for event in events(watch)]
        watch.process.send_signal(signal.SIGINT)
        assert watch.ends() == 130
    stored = cluster.leader().ask({"op": "scan", "prefix": "w/"})["items"]
    assert len(shown) == len(set(shown))
    assert [rev for _, rev in shown] == sorted(rev for _, rev in shown)
    assert dict(shown) == {item["key"]: item["rev"] for item in stored}


def test_a_watch_runs_its_command_at_each_change(steady: Cluster, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    script = f'printf "%s %s\\n" "$TRIORAFT_EVENT" "$TRIORAFT_VALUE" >> {seen}; echo run'
    key = 'it\'s "quoted"\nhere'
    with program(steady, "watch", key, "--key", "--initial", "--", "sh", "-c", script) as watch:
        for words in (("put", key, '{"a": 1.50}'), ("put", key, "text"), ("delete", key)):
            runs = len(watch.lines)
            assert done(steady, *words)[0] == 0
            eventually(lambda runs=runs: len(watch.lines) > runs, "it runs", PATIENCE)  # type: ignore[misc]
    assert seen.read_text() == 'put {"a": 1.50}\nput "text"\ndelete \n'


def test_a_wait_ends_when_the_key_is_as_it_is_to_be(steady: Cluster) -> None:
    with program(steady, "wait", "job", "--timeout", "20") as wait:
        assert done(steady, "put", "job", '{"done": true}')[0] == 0
        assert (wait.ends(), wait.lines) == (0, ['{"done": true}'])
    assert done(steady, "wait", "job", "--missing", "--timeout", "0.2") == (4, "")


def test_a_lock_is_kept_though_its_nodes_die(cluster: Cluster) -> None:
    with program(cluster, "lock", "kept", "--ttl", "2") as holder:
        eventually(lambda: holder.lines, "it holds it", PATIENCE)
        fence = holder.lines[0].partition(",")[0].removeprefix("fence ")
        for node in cluster.nodes:
            node.kill()
            assert done(cluster, "put", "k", "1", "--lock", "kept", "--fence", fence, "--once")[0] == 0
            node.start()
            node.listens()
        holder.process.send_signal(signal.SIGTERM)
        assert holder.ends() == 143
    assert json.loads(done(cluster, "locks", "-o", "json")[1])["locks"] == []


def test_a_holder_that_stands_still_past_its_lease_can_write_no_more(steady: Cluster) -> None:
    with program(steady, "lock", "stood", "--ttl", "1") as first:
        eventually(lambda: first.lines, "it holds it", PATIENCE)
        fence = first.lines[0].partition(",")[0].removeprefix("fence ")
        fenced = ("--lock", "stood", "--fence", fence)
        with program(steady, "lock", "stood", "--", "sh", "-c", "echo $TRIORAFT_FENCE; sleep 60") as second:
            first.process.send_signal(signal.SIGSTOP)
            eventually(lambda: second.lines, "the lock passes on", PATIENCE)
            assert int(second.lines[0]) > int(fence)
            for late in (
                ["put", "stood/key", "1"],
                ["put", "stood/key", "1", "--once"],
                ["delete", "stood/key"],
                ["delete", "--prefix", "stood/"],
                ["incr", "stood/key"],
            ):
                assert done(steady, *late, *fenced)[0] == 1
            first.process.send_signal(signal.SIGCONT)
            assert first.ends() == 1
            assert "lost" in "\n".join(first.said)
            assert done(steady, "locks", "-o", "json")[1].count('"stood"') == 1, "the second holds it still"
            second.process.send_signal(signal.SIGTERM)
            assert second.ends() == 143
    assert done(steady, "get", "stood/key")[0] == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [(["unlock", "taken"], "it was unlocked by somebody else"), (["lease", "revoke"], "its lease was revoked")],
)
def test_a_command_ends_when_its_lock_is_taken(steady: Cluster, words: list[str], why: str) -> None:
    script = "echo $TRIORAFT_LEASE; sleep 60; echo it had it"
    with program(steady, "lock", "taken", "--ttl", "3", "--", "sh", "-c", script) as holder:
        eventually(lambda: holder.lines, "it holds it", PATIENCE)
        lease = holder.lines[0]
        assert done(steady, *words, lease)[0] == 0
        assert (holder.ends(), holder.lines) == (1, [lease])
        assert f"trioraft: the lock taken is lost: {why}" in holder.said


def test_a_key_goes_with_its_lease(steady: Cluster) -> None:
    lease = done(steady, "lease", "grant", "--ttl", "30")[1]
    assert done(steady, "put", "leased", "up", "--lease", lease)[0] == 0
    assert done(steady, "lease", "keepalive", lease)[0] == 0
    with program(steady, "watch", "leased", "--key", "--initial") as watch:
        eventually(lambda: watch.lines, "it is there", PATIENCE)
        assert done(steady, "lease", "revoke", lease)[0] == 0
        eventually(lambda: "(with its lease)" in watch.lines[-1], "it goes", PATIENCE)
    assert done(steady, "lease", "keepalive", lease)[0] == 1
    assert done(steady, "put", "leased", "up", "--lease", lease)[0] == 1


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
