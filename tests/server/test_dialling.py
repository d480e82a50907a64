"""Names with several addresses, some of them silent: the one that answers is used, and no other socket stays open."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import trio

from trioraft import names as resolving
from trioraft.addresses import Address
from trioraft.server import dialling
from trioraft.server.dialling import connect
from trioraft.server.sockets import SocketHub

from ..helpers.hanging_names import Names, hanging_names

PORT = 1
"""An address that is never dialled: the resolver below gives others."""


@contextlib.contextmanager
def known(*found: tuple[str, int] | Exception) -> Iterator[None]:
    """Let every name have these addresses, or let the resolver raise that error."""

    def getaddrinfo(*_: Any, flags: int = 0, **__: Any) -> list[Any]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "it is a name")
        rows = []
        for each in found:
            if isinstance(each, Exception):
                raise each
            rows.append((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", each))
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


@contextlib.contextmanager
def listening(backlog: int = 8, host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    with socket.socket() as listener:
        listener.bind((host, 0))
        listener.listen(backlog)
        yield listener.getsockname()


@contextlib.contextmanager
def silent() -> Iterator[tuple[str, int]]:
    """An address that answers nothing: a dial gets neither yes nor no."""
    with listening(0, "127.0.0.9") as place, socket.create_connection(place):
        yield place


def refusing() -> tuple[str, int]:
    with listening() as place:
        return place


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def dial(found: Sequence[tuple[str, int] | Exception], turn: int = 0) -> Any:
    """The address that the dialled socket reached. All other sockets are closed."""
    before = open_descriptors()
    with known(*found), trio.fail_after(5):
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
    nowhere = ("255.255.255.255", 9)  # there is no route to it
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
    with silent() as one, silent() as other, known(one, other):
        with trio.move_on_after(0.4) as scope:
            await connect(Address("name", PORT))
        assert scope.cancelled_caught
    assert open_descriptors() == before


@pytest.fixture
def names() -> Iterator[Names]:
    with hanging_names() as names:
        yield names


async def test_names_that_hang_take_a_thread_each_and_keep_no_other_waiting(names: Names) -> None:
    dead = [Address(f"dead-{number}", PORT) for number in range(60)]
    with listening() as place:
        async with trio.open_nursery() as nursery:
            for address in dead * 2:
                nursery.start_soon(give_up, address)
        with trio.fail_after(5):
            sock = await connect(Address("live", place[1]))
        sock.close()
    assert sorted(names.asked) == sorted([address.host for address in dead] + ["live"])


async def test_an_answer_that_comes_too_late_for_a_dial_is_for_the_next_one_alone(names: Names) -> None:
    with listening() as place:
        late = Address("dead-for-now", place[1])
        await give_up(late)
        names.answer()
        for asked in (1, 2):
            with trio.fail_after(5):
                sock = await connect(late)
            sock.close()
            assert names.asked == [late.host] * asked


async def test_a_name_that_is_not_resolved_in_time_is_said_to_be(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "RESOLVE_SECONDS", 0.05)
    assert names.asked == []
    with trio.fail_after(5), pytest.raises(TimeoutError, match="its name is not resolved yet"):
        await connect(Address("dead-one", PORT))


async def test_an_answer_is_not_used_when_it_has_become_old(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "KEPT_SECONDS", -1.0)
    with listening() as place:
        late = Address("dead-for-long", place[1])
        await give_up(late)
        names.answer()
        with trio.fail_after(5):
            while names.under_way:
                await trio.sleep(0.01)
            (await connect(late)).close()
    assert names.asked == [late.host] * 2


def test_a_node_that_ends_does_not_wait_for_a_resolver(names: Names, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        await give_up(Address("dead-to-the-end", PORT))

    before = set(threading.enumerate())
    trio.run(run)
    assert names.under_way == 1
    names.answer()  # this is no news any more
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert names.under_way == 0
    assert caplog.records == []


async def give_up(address: Address) -> None:
    with trio.move_on_after(0.1) as scope:
        await connect(address)
    assert scope.cancelled_caught


async def test_a_node_listens_at_the_address_of_its_name_that_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def both(_: str, port: int, **options: Any) -> list[Any]:
        """A name may stand for another machine, too."""
        return [*resolve("192.0.2.1", port, **options), *resolve("127.0.0.1", port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    hub = SocketHub()
    listener = hub.listen(Address("name", 0))
    assert listener.address.port > 0
    listener.close()
    hub.close()


async def test_a_connection_is_broken_soon_when_nothing_gets_through_any_more() -> None:
    """Here all buffers are full because nobody reads; vanishing packets have the same effect."""
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
