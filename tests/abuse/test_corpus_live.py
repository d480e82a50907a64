"""Every hostile line, sent to real nodes: alone, as the first line, and between good requests."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest

from ..helpers.bystanders import nobody_is_harmed
from ..helpers.lines import REQUESTS, Request
from ..helpers.processes import HOST, Cluster, end_sending, vanish
from .test_corpus_in_process import check

HALVES = [REQUESTS[::2], REQUESTS[1::2]]


def exchange(port: int, data: bytes) -> bytes:
    """The node's replies to these bytes until it closes, which may be before it has taken them all."""
    received = b""
    with socket.create_connection((HOST, port), 20) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            end_sending(connection)
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                received += part
    return received


def test_who_has_hung_up_need_not_be_told_that_nothing_more_comes() -> None:
    with socket.create_server((HOST, 0)) as listener, socket.create_connection(listener.getsockname()) as connection:
        vanish(listener.accept()[0])
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(OSError, match="not connected") as told:
            connection.shutdown(socket.SHUT_WR)
        assert not isinstance(told.value, ConnectionError)
        end_sending(connection)


@pytest.mark.parametrize("requests", HALVES, ids=["even", "odd"])
def test_alone_a_hostile_line_gets_one_error_or_a_close(steady: Cluster, requests: list[Request]) -> None:
    with nobody_is_harmed(steady):
        for number, request in enumerate(requests):
            reply = exchange(steady.nodes[number % 3].port, request.line + b"\n")
            try:
                if request.first == "close":
                    assert reply == b""
                else:
                    check(reply, request)
            except (AssertionError, ValueError) as error:
                raise AssertionError(f"{request.name}: {error}") from error


@pytest.mark.parametrize("requests", HALVES, ids=["even", "odd"])
def test_between_good_requests_a_hostile_line_spoils_neither(steady: Cluster, requests: list[Request]) -> None:
    with nobody_is_harmed(steady):
        for number, request in enumerate(requests):
            node = steady.nodes[number % 3]
            put = b'{"id":"before","op":"put","key":"around","value":%d}\n' % number
            get = b'{"id":"after","op":"get","key":"around"}\n'
            replies = exchange(node.port, put + request.line + b"\n" + get)
            try:
                first, _, rest = replies.partition(b"\n")
                before = json.loads(first)
                assert (before["id"], before["ok"]) == ("before", True)
                if not request.closes:
                    rest, _, last = rest.removesuffix(b"\n").rpartition(b"\n")
                    after = json.loads(last)
                    assert (after["id"], after["value"], after["rev"]) == ("after", number, before["rev"])
                    rest += b"\n"
                check(rest, request)
            except (AssertionError, ValueError) as error:
                raise AssertionError(f"{request.name}: {error}") from error
