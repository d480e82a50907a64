"""What `check` takes for evidence: from nodes, and from all else that may stand at an address."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from trioraft_cli.checking import inquiry
from trioraft_cli.checking.evidence import Answer, Silence
from trioraft_cli.checking.inquiry import look_at

from trioraft.addresses import Address

from ..helpers.fake_nodes import Make

STATUS: dict[str, Any] = {
    "node": 1,
    "role": "follower",
    "term": 3,
    "leader": 0,
    "commit_index": 5,
    "last_applied": 5,
    "last_index": 6,
    "members": [],
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for silent addresses a moment only."""
    monkeypatch.setattr(inquiry, "REPLY_SECONDS", 0.2)
    monkeypatch.setattr(inquiry, "CONNECT_SECONDS", 0.2)


@contextlib.contextmanager
def listener(serve: Callable[[socket.socket], object]) -> Iterator[Address]:
    """Listen, and do that with the first connection; then close it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    serve(connection)

        taking = threading.Thread(target=take, daemon=True)
        taking.start()
        yield Address("127.0.0.1", server.getsockname()[1])
    taking.join(5)


def says(data: bytes) -> Callable[[socket.socket], object]:
    """Read what is asked, and send that."""

    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(data)

    return serve


def silence_at(address: Address) -> Silence:
    answers, silences = look_at([address])
    assert answers == {}
    return silences[address]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"<!DOCTYPE HTML>\n<html>\n", "HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"-ERR unknown command\r\n", "'-ERR unknown command"),
        (b"\xff\xfe\x00 bytes\n", "bytes"),
        (b"{}\n", "'{}'"),
        (b"[1]\n", "'[1]'"),
        (b'{"half":', "half"),
    ],
)
def test_what_is_no_node_is_told_by_its_first_bytes(data: bytes, words: str) -> None:
    with listener(says(data)) as address:
        silence = silence_at(address)
    assert silence.kind == "not_a_node"
    assert words in silence.words


def test_who_hangs_up_and_who_says_nothing() -> None:
    with listener(lambda connection: connection.recv(1 << 16)) as address:
        assert silence_at(address).kind == "hung_up"
    with listener(lambda connection: connection.close()) as address:
        assert silence_at(address).kind == "hung_up"
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert silence_at(Address("127.0.0.1", server.getsockname()[1])).kind == "silent"


def test_where_nobody_listens_and_where_no_connection_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as waiting:
        place = server.getsockname()
        for _ in range(4):  # what the kernel still takes, though nobody accepts
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect(place)
        assert silence_at(Address("127.0.0.1", place[1])).kind == "no_answer"
    assert silence_at(Address("127.0.0.1", place[1])).kind == "refused"


def test_a_name_that_does_not_resolve() -> None:
    silence = silence_at(Address("nowhere.invalid", 8000))
    assert silence.kind == "unresolved"


def test_a_node_without_a_place_or_with_an_error() -> None:
    full = b'{"ok":false,"error":{"code":"overloaded","message":"as many are connected"}}\n'
    with listener(says(full)) as address:
        assert silence_at(address) == Silence("overloaded", "as many are connected")
    error = b'{"ok":false,"error":{"code":"internal","message":"a bug"}}\n'
    with listener(says(2 * error)) as address:
        assert silence_at(address) == Silence("failing", "a bug")


def test_an_older_node_lacks_what_it_does_not_know(fake: Make) -> None:
    node = fake(lambda request: {"hello": {"version": "0.1.0"}, "status": STATUS}.get(request["op"], {}))
    answers, _ = look_at([node.address])
    answer = answers[node.address]
    assert (answer.version, answer.status.node, answer.status.supported_level) == ("0.1.0", 1, 1)
    assert (answer.clock, answer.faults, answer.last_term) == (None, [], 0)


def test_what_a_node_tells_is_all_taken(fake: Make) -> None:
    told: dict[str, dict[str, Any]] = {
        "hello": {"version": "1"},
        "status": STATUS,
        "metrics": {"time": 1e9, "disk_free_bytes": 1},
        "fault": {"faults": [{"kind": "cut", "node": 2, "way": "to"}]},
        "show_log": {"entries": [{"term": 2}, {"term": 3}]},
    }
    node = fake(lambda request: dict(told.get(request["op"], {})))
    answer = look_at([node.address], with_log=True)[0][node.address]
    assert answer.metrics.disk_free_bytes == 1
    assert answer.clock is not None
    assert [fault.node for fault in answer.faults] == [2]
    assert answer.last_term == 3


def test_the_members_that_a_node_names_are_asked_too(fake: Make) -> None:
    other = fake(lambda request: {"hello": {"version": "1"}, "status": {**STATUS, "node": 2}}.get(request["op"], {}))
    members = [{"id": 2, "address": str(other.address), "role": "voter", "folder": "f"}]
    one = fake(
        lambda request: {"hello": {"version": "1"}, "status": {**STATUS, "members": members}}.get(request["op"], {})
    )
    answers, silences = look_at([one.address])
    assert {answer.status.node for answer in answers.values()} == {1, 2}
    assert silences == {}
    assert isinstance(answers[other.address], Answer)
