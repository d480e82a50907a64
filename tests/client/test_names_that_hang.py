"""Names whose lookup hangs: other nodes are asked, each error tells the truth, and nobody waits for the resolver."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trioraft.addresses import Address
from trioraft.client import Client, NoNode, attempts

from ..helpers.fake_nodes import Make
from ..helpers.hanging_names import Names, hanging_names

DEAF = """
import socket, sys, time

def hang(host, *args, flags=0, **options):
    if flags & socket.AI_NUMERICHOST:
        raise socket.gaierror(socket.EAI_NONAME, "it is a name")
    news = "asked\\n"
    while True:
        try:
            sys.stdout.write(news)
            news = ""
            sys.stdout.flush()
            time.sleep(60)
        except KeyboardInterrupt:
            pass  # as C does, which does not return for it

socket.getaddrinfo = hang
from trioraft_cli.__main__ import main
sys.exit(main())
"""


@pytest.fixture
def names() -> Iterator[Names]:
    with hanging_names() as names:
        yield names


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(attempts, "SECOND_LOOK_SECONDS", 0.1)


def well(request: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "value": 1, "rev": 7} if request["op"] != "ping" else {}


def test_the_nodes_behind_names_that_hang_are_reached(fake: Make, names: Names) -> None:
    node = fake(well)
    dead = [Address(f"dead-{number}", 1) for number in range(3)]
    with Client([*dead, node.address]) as client:
        assert client.call("put", key="k", value=1).ok
        client.close()
        assert client.call("put", key="k", value=1).ok  # and this node is asked first from then on
    assert names.asked == [address.host for address in dead]


@pytest.mark.usefixtures("names")
def test_what_is_told_of_each_node_is_true(fake: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = fake(None).address
    dead = Address("dead-of-two", 1)
    with Client([dead, silent]) as client:
        with pytest.raises(NoNode, match=rf"\(dead-of-two:1: its name is not resolved yet; {silent}: timed out\)"):
            client.call("get", key="k")
        monkeypatch.setattr(attempts, "CONNECT_SECONDS", 0.0)
        with pytest.raises(NoNode, match=rf"\({dead}: not tried; {silent}: not tried\)"):
            client.call("get", key="k")


def test_a_name_takes_one_thread_however_often_and_by_whomever_it_is_asked_for(names: Names) -> None:
    for _ in range(5):
        with Client([Address("dead-and-asked-for-again", 1)]) as client, pytest.raises(NoNode):
            client.call("put", key="k", value=1)
    assert names.asked == ["dead-and-asked-for-again"]
    assert names.under_way == 1


def test_a_name_that_is_slow_to_be_resolved_is_reached_at_the_second_look(
    fake: Make, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "SECOND_LOOK_SECONDS", 5.0)

    def answer(_: dict[str, Any]) -> None:
        names.answer()  # the other node is dialled for the first time

    slow, silent = fake(well), fake(answer)
    by_name = Address("dead-for-a-moment", slow.address.port)
    with Client([by_name, silent.address]) as client:
        assert client.call("put", key="k", value=1).ok
        assert client.address == by_name
    assert names.asked == [by_name.host]


def test_where_no_thread_can_be_had_a_name_cannot_be_resolved(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with Client([Address("unlucky", 1)]) as client, pytest.raises(NoNode, match="cannot be resolved: can't start new"):
        client.call("get", key="k")
    assert names.asked == []


@pytest.mark.parametrize(
    ("command", "interrupted", "code"),
    [
        ("get k --connect dead.example.com:1", True, 130),
        ("node 0 servers.txt", True, 130),
        ("status --connect dead.example.com:1", False, 3),
    ],
)
def test_a_command_does_not_wait_for_the_resolver(command: str, interrupted: bool, code: int, tmp_path: Path) -> None:
    (tmp_path / "servers.txt").write_text("dead.example.com:1\n")
    argv = [sys.executable, "-c", DEAF, *command.split()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "asked\n"
            if interrupted:
                process.send_signal(signal.SIGINT)
            told, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == code
    assert interrupted or "no answer: its name is not resolved yet" in told
