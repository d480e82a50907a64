"""`trioraft bench` against a node: its figures, its end, and that no key and no process is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..helpers import prepared
from ..helpers.processes import Cluster, eventually, is_running, running_cluster
from ..helpers.terminals import OnTerminal

KEPT = {"bench": 1, "bench/": 2}
"""Keys that are not those of a load, but begin as these do."""


@pytest.fixture(scope="module", name="cluster")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("bench"), 1) as cluster:
        for key, value in KEPT.items():
            assert cluster.nodes[0].put(key, value)["ok"]
        yield cluster


@pytest.fixture(autouse=True)
def nothing_is_left(cluster: Cluster) -> Iterator[None]:
    yield
    assert cluster.nodes[0].everything() == KEPT


def environment(cluster: Cluster) -> dict[str, str]:
    return {**os.environ, "TRIORAFT_SERVERS": str(cluster.servers)}


def bench(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    return prepared.run(["bench", *words], environment(cluster))


def figures(cluster: Cluster, *words: str) -> dict[str, Any]:
    done = bench(cluster, *words, "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["errors"] == {}
    return found


def test_puts_from_two_processes(cluster: Cluster) -> None:
    words = ["put", "--requests", "200", "--connections", "4", "--pipeline", "8", "--processes", "2"]
    found = figures(cluster, *words)
    assert (found["answered"], found["latency"]["put"]["count"]) == (200, 200)
    assert len(found["busy"]["load"]) == 2
    assert found["busy"]["nodes"][0]["processor"] > 0
    assert found["busy"]["nodes"][0]["disk"] > 0


def test_a_mixed_load_as_text(cluster: Cluster) -> None:
    done = bench(cluster, "mixed", "--requests", "200", "--writes", "0.5", "--keys", "10", "--pipeline", "4")
    assert (done.returncode, done.stderr) == (0, "")
    assert "answered      200 requests" in done.stdout
    assert {"get", "put", "busy", "limit"} <= {line.split()[0] for line in done.stdout.splitlines() if line}


def test_gets_for_a_time_at_a_rate(cluster: Cluster) -> None:
    found = figures(cluster, "get", "--seconds", "0.3", "--warm-up", "0.1", "--rate", "100", "--through", "any")
    assert found["answered"] == found["latency"]["get"]["count"] > 0
    assert found["rate_asked"] == 100


def test_each_watcher_is_told_of_each_write(cluster: Cluster) -> None:
    found = figures(cluster, "watch", "--connections", "3", "--requests", "20")
    assert (found["answered"], found["events"], found["latency"]["event"]["count"]) == (20, 60, 60)


def test_errors_alone_are_a_failure(cluster: Cluster) -> None:
    done = bench(cluster, "--requests", "2", "--value-size", "1100000", "--keys", "1", "-o", "json")
    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert (found["answered"], found["errors"], found["limit"]) == (0, {"line_too_long": 2}, "outage")


def test_keys_are_kept_where_they_are_to_be(cluster: Cluster) -> None:
    done = bench(cluster, "--requests", "20", "--keys", "3", "--prefix", "it's ", "--keep")
    assert done.returncode == 0
    kept = sorted(set(cluster.nodes[0].everything()) - set(KEPT))
    assert [key[-10:] for key in kept] == ["/000000000", "/000000001", "/000000002"]
    command = done.stderr.partition("to remove them: ")[2]
    subprocess.run(
        command.replace("trioraft", f"{sys.executable} -m trioraft_cli"),
        shell=True,
        check=True,
        env=environment(cluster),
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--keys", "1000000", "--value-size", "10000"], "more than 1 GiB"),
        (["watch", "--value-size", "19"], "--value-size 20 at least"),
        (["--through", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused(cluster: Cluster, words: list[str], said: str) -> None:
    done = bench(cluster, *words)
    assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True), done.stderr


LONG = "--connections 2 --processes 2 --seconds 600 --warm-up 0"


def started(cluster: Cluster, words: str = LONG) -> tuple[subprocess.Popen[str], list[int]]:
    """A load for a long time, and its processes once they ask."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trioraft_cli", "bench", *words.split()],
        env=environment(cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def asking() -> list[int] | None:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(child) for child in found] if len(cluster.nodes[0].everything()) > len(KEPT) + 5 else None

    return process, eventually(asking, "it writes", 20)


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_a_bar_moves_on_a_terminal_that_can_move_its_cursor(cluster: Cluster, terminal: str) -> None:
    words = ["bench", "get", "--seconds", "0.2", "--warm-up", "0", "--connections", "4"]
    told = {**environment(cluster), "TERM": terminal}
    with OnTerminal([sys.executable, "-m", "trioraft_cli", *words], told) as bench:
        assert bench.ends() == 0
        assert ("a second" in bench.shown.partition("answered")[0]) == (terminal == "xterm")
        assert ("\x1b" in bench.terminal.sent.decode()) == (terminal == "xterm")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_ctrl_c_shows_what_was_seen(cluster: Cluster, number: signal.Signals) -> None:
    process, children = started(cluster)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err.strip()) == (128 + number, "")
    assert ("answered" in out) == (number == signal.SIGINT)
    assert not any(is_running(child) for child in children)


def test_ctrl_c_before_anything_was_counted_says_so(cluster: Cluster) -> None:
    process, children = started(cluster, "--connections 2 --warm-up 600")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "trioraft: ended before anything was counted\n")
    assert not any(is_running(child) for child in children)


def test_killed_it_leaves_no_process(cluster: Cluster) -> None:
    process, children = started(cluster)
    process.kill()
    process.communicate()
    eventually(lambda: not any(is_running(child) for child in children), "all have ended")
    reply = cluster.nodes[0].ask({"op": "delete", "prefix": "bench/", "limit": 10_000})
    assert reply["deleted"] > 1
    assert cluster.nodes[0].put("bench/", 2)["ok"]
