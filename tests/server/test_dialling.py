"""Names with several addresses, some of them silent: the one that answers is reached, and nothing else stays open."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import trio

from trioraft.addresses import Address
from trioraft.server.dialling import connect
from trioraft.server.sockets import SocketHub

PORT = 1
"""Nobody is asked at it: the resolver below gives other ones."""


class Resolver(trio.abc.HostnameResolver):
    """Knows one name, whose addresses are these; or raises what it is given."""

    def __init__(self, *found: tuple[str, int] | Exception) -> None:
        self.found = found

    async def getaddrinfo(self, *_: Any, **__: Any) -> list[Any]:
        await trio.lowlevel.checkpoint()
        rows = []
        for each in self.found:
            if isinstance(each, Exception):
                raise each
            rows.append((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", each))
        return rows

    async def getnameinfo(self, *_: Any) -> tuple[str, str]:
        raise NotImplementedError


@contextlib.contextmanager
def listening(backlog: int = 8, host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    with socket.socket() as listener:
        listener.bind((host, 0))
        listener.listen(backlog)
        yield listener.getsockname()


@contextlib.contextmanager
def silent() -> Iterator[tuple[str, int]]:
    """An address that answers nothing: whoever dials it hears neither yes nor no."""
    with listening(0, "127.0.0.9") as place, socket.create_connection(place):
        yield place


def refusing() -> tuple[str, int]:
    with listening() as place:
        return place


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def dial(found: Sequence[tuple[str, int] | Exception], turn: int = 0) -> Any:
    """Where the dialled socket has come out. All others are closed."""
    trio.socket.set_custom_hostname_resolver(Resolver(*found))
    before = open_descriptors()
    with trio.fail_after(5):
        sock = await connect(Address("name", PORT), turn)
    with sock:
        assert open_descriptors() == before + 1
        return sock.getpeername()


async def test_the_first_address_is_silent_and_the_second_is_reached() -> None:
    with silent() as first, listening() as second:
        assert await dial([first, second]) == second


async def test_of_many_addresses_each_is_dialled_within_the_time_of_one() -> None:
    with contextlib.ExitStack() as stack, listening() as last:
        many = [stack.enter_context(silent()) for _ in range(16)]
        assert await dial([*many, last]) == last


async def test_a_refusing_address_does_not_keep_the_others_waiting() -> None:
    with listening() as last:
        assert await dial([refusing(), refusing(), last]) == last


async def test_with_whom_to_begin_goes_round() -> None:
    with listening() as one, listening() as other:
        assert [await dial([one, other], turn) for turn in range(4)] == [one, other, one, other]


async def test_nobody_answers_and_the_error_names_each_address() -> None:
    before = open_descriptors()
    with silent() as place:
        with pytest.raises(TimeoutError, match=r"127\.0\.0\.1: Connection refused, 127\.0\.0\.9: no answer within"):
            await dial([place, refusing()])
        with pytest.raises(TimeoutError, match=r"\] no answer within"):
            await dial([place])
    assert open_descriptors() == before


async def test_a_process_is_dead_only_where_all_its_addresses_refuse() -> None:
    with pytest.raises(ConnectionRefusedError):
        await dial([refusing(), refusing()])
    nowhere = ("255.255.255.255", 9)  # there is no way to it
    with pytest.raises(ConnectionRefusedError):
        await dial([nowhere, refusing()])
    with silent() as place, pytest.raises(TimeoutError):
        await dial([refusing(), place])


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        UnicodeError("label too long"),
        ValueError("embedded null byte"),
        OverflowError("port"),
        OSError(errno.EMFILE, "too many"),
    ],
)
async def test_whatever_a_resolver_raises_is_an_address_that_cannot_be_reached(error: Exception) -> None:
    with pytest.raises(OSError, match=str(error.args[-1])):
        await dial([error])
    with pytest.raises(OSError, match="no address"):
        await dial([])


async def test_a_dial_that_is_given_up_leaves_nothing_open() -> None:
    before = open_descriptors()
    with silent() as one, silent() as other:
        trio.socket.set_custom_hostname_resolver(Resolver(one, other))
        with trio.move_on_after(0.4) as scope:
            await connect(Address("name", PORT))
        assert scope.cancelled_caught
    assert open_descriptors() == before


async def test_a_node_listens_at_the_address_of_its_name_that_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def both(_: str, port: int, **options: Any) -> list[Any]:
        """As a name would be that stands for another machine, too."""
        return [*resolve("192.0.2.1", port, **options), *resolve("127.0.0.1", port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    hub = SocketHub()
    listener = hub.listen(Address("name", 0))
    assert listener.address.port > 0
    listener.close()
    hub.close()


async def test_a_connection_is_broken_soon_when_nothing_gets_through_any_more() -> None:
    """Here because nobody reads, and all buffers are full; where packets vanish it is the same."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sock = await connect(Address("127.0.0.1", listener.getsockname()[1]))
        with sock:
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.send(bytes(1 << 16))
            with trio.fail_after(10):
                await trio.lowlevel.wait_readable(sock)
            with pytest.raises(TimeoutError):
                sock.recv(1)
