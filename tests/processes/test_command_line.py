"""The command line in scripts: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..helpers import prepared
from ..helpers.processes import Cluster, eventually, free_ports

SLOW = pytest.mark.slow
VALUES = ["two words", '{"a": [1, {"b": 2.50}]}', "😀", "1" * 40, "-5", "null", '"quoted"']


def trioraft(cluster: Cluster | None, *words: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIORAFT")}
    if cluster is not None:
        environment["TRIORAFT_SERVERS"] = str(cluster.servers)
    return prepared.run(words, environment, typed)


@pytest.mark.parametrize("value", [*VALUES[:2], *[pytest.param(value, marks=SLOW) for value in VALUES[2:]]])
def test_what_was_put_is_what_get_prints_and_can_be_put_again(steady: Cluster, value: str) -> None:
    assert trioraft(steady, "put", "key", value).returncode == 0
    printed = trioraft(steady, "get", "key").stdout.rstrip("\n")
    assert json.loads(printed) == (json.loads(value) if value != "two words" and value != "😀" else value)
    assert trioraft(steady, "put", "again", printed).returncode == 0
    assert trioraft(steady, "get", "again").stdout.rstrip("\n") == printed


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_value_with_line_ends_is_a_value_and_not_commands(steady: Cluster, end: str) -> None:
    batch = end.join(["[", '{"op":"delete","key":"victim"}', "]"])
    assert trioraft(steady, "put", "victim", "1").returncode == 0
    for words, typed in [(("put", "batch", batch), None), (("put", "batch", "-"), batch)]:
        assert trioraft(steady, *words, typed=typed).returncode == 0
        assert json.loads(trioraft(steady, "get", "batch").stdout) == [{"op": "delete", "key": "victim"}]
    assert trioraft(steady, "get", "victim").stdout == "1\n"


def test_a_missing_key_prints_nothing_and_is_said(steady: Cluster) -> None:
    for word in ("get", "delete"):
        result = trioraft(steady, word, "no such key")
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_conflicts_usage_and_unreachable_nodes_have_their_exit_codes(steady: Cluster, tmp_path: Path) -> None:
    assert trioraft(steady, "put", "c", "1", "--if-rev", "0").returncode == 0
    assert trioraft(steady, "put", "c", "2", "--if-rev", "0").returncode == 1
    assert trioraft(steady, "put", "c").returncode == 2
    assert trioraft(steady, "frobnicate").returncode == 2
    assert trioraft(None, "get", "c", "--servers", str(tmp_path / "none.txt")).returncode == 2
    assert trioraft(None, "get", "c", "--connect", f"127.0.0.1:{free_ports(1)[0]}").returncode == 3


def test_json_output_is_the_reply_as_it_was_sent(steady: Cluster) -> None:
    assert json.loads(trioraft(steady, "put", "j", "1", "-o", "json").stdout)["ok"] is True
    assert json.loads(trioraft(steady, "get", "j", "-o", "json").stdout)["value"] == 1
    refused = trioraft(steady, "put", "j", "1", "--if-rev", "0", "-o", "json")
    assert json.loads(refused.stdout)["error"]["code"] == "conflict"
    assert refused.returncode == 1


def test_counting_scanning_and_showing_the_log(steady: Cluster) -> None:
    assert trioraft(steady, "incr", "scan-n", "5").stdout == "5\n"
    assert trioraft(steady, "incr", "scan-n", "-2").stdout == "3\n"
    assert trioraft(steady, "scan", "scan-", "--keys-only").stdout == "scan-n\n"
    for word in ("show-log", "show_log"):
        assert '"op":"incr"' in trioraft(steady, word, "--limit", "1").stdout


def test_status_shows_every_node(cluster: Cluster) -> None:
    result = trioraft(cluster, "status")
    assert result.returncode == 0
    assert result.stdout.count("follower") == 2
    assert result.stdout.count("leader") == 1
    cluster.followers()[0].kill()
    result = trioraft(cluster, "status")
    assert result.returncode == 0
    assert "no answer" in result.stdout


@SLOW
def test_status_says_when_writes_are_not_taken(cluster: Cluster) -> None:
    for node in cluster.running[1:]:
        node.kill()
    [left] = cluster.running
    eventually(lambda: left.status()["leader"] is None, "the leader steps down, or is given up")
    assert trioraft(cluster, "status").returncode == 4
    result = trioraft(cluster, "put", "k", "1")
    assert result.returncode == 4
    assert "not applied" in result.stderr
    assert "Traceback" not in result.stderr


@SLOW
def test_a_first_node_that_is_stopped_costs_no_command_but_a_moment(cluster: Cluster) -> None:
    assert trioraft(cluster, "put", "k", "1").returncode == 0
    first = cluster.nodes[0]
    first.pause()
    try:
        eventually(lambda: cluster.leader(among=cluster.nodes[1:]), "the others have a leader")
        result = trioraft(cluster, "shell", typed="get k\nput k 2\nget k\nmembers\nincr k\n")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("1\n2\n")
        assert result.stdout.endswith("\n3\n")
        assert trioraft(cluster, "get", "k").stdout == "3\n"
        assert trioraft(cluster, "put", "k", "4").returncode == 0
        assert trioraft(cluster, "members").returncode == 0
        assert trioraft(cluster, "put", "k", "5", "--connect", f"127.0.0.1:{first.port}").returncode == 3
    finally:
        first.resume()
    assert trioraft(cluster, "get", "k").stdout == "4\n"


def test_the_prompt_without_a_terminal(steady: Cluster) -> None:
    result = trioraft(steady, "shell", typed='put p {"a": 1}\nget p\nscan p\nstatus\nhelp\nexit\nget never\n')
    assert result.returncode == 0
    assert '{"a": 1}\n' in result.stdout
    assert "leader" in result.stdout
    assert trioraft(steady, "shell", typed="get never was\n").returncode == 2


def test_bytes_that_are_no_text_in_a_pipe_are_said_and_the_lines_after_them_are_carried_out(steady: Cluster) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "trioraft_cli", "shell", f"127.0.0.1:{steady.nodes[0].port}"],
        input=b'put nt 1\nput nt "\xff"\nget \xc3\nget "\\ud800"\nget nt\n',
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == b"1\n"
    assert result.stderr.count(b"trioraft:") == result.stderr.count(b"\n") == 3


def test_what_the_output_cannot_show_is_escaped_and_the_lines_after_it_are_carried_out(steady: Cluster) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "trioraft_cli", "shell", f"127.0.0.1:{steady.nodes[0].port}"],
        input='put sun "\\u2600"\nput moon "☾"\nget moon\nget sun\n'.encode(),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict", "LC_ALL": "C.UTF-8"},
        timeout=30,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    shown = subprocess.run(
        [sys.executable, "-m", "trioraft_cli", "shell", f"127.0.0.1:{steady.nodes[0].port}"],
        input=b"get moon\nget sun\n",
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=30,
        check=False,
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, b'"\\u263e"\n"\\u2600"\n', b"")
