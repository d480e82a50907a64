"""Dialling: a name may have several addresses, and the first that answers is used (RFC 8305)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Final

import trio

from trioraft.addresses import Address
from trioraft.names import Place, look_up, numeric

CONNECT_SECONDS: Final = 0.75
"""How long one address may be silent: less than the second after which TCP itself retries."""
RESOLVE_SECONDS: Final = 1.0
"""How long a resolver may take; a later answer serves the next dial."""
STAGGER_SECONDS: Final = 0.25
"""After how long a silence the next address is dialled, beside the earlier ones."""
BEGUN_SECONDS: Final = 0.5
"""The time within which all addresses are dialled, however many there are."""
SILENT_SECONDS: Final = 1.0
"""How long a connected peer's machine may acknowledge nothing: as long as the longest election timeout."""
KEEPALIVE_SECONDS: Final = 10
"""After how long without traffic the peer's machine is asked whether it still knows the connection."""
_NO_WAY: Final = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Error numbers where this machine has no route to an address, which tells nothing about the peer."""


async def connect(address: Address, turn: int = 0) -> socket.socket:
    """Dial a name, and return a connected, non-blocking socket.

    `turn` says with which of the name's addresses to begin. Raises OSError; it is a ConnectionRefusedError only where
    nobody listens at any of the addresses.
    """
    with resolving():
        places = list(dict.fromkeys(numeric(address) or await _look_up(address)))
    if not places:
        raise OSError(errno.EHOSTUNREACH, "the name has no address")
    first = turn % len(places)
    race = _Race()
    await race.run(places[first:] + places[:first])
    if race.winner is None:
        raise _summary(race.failures)
    _notice_silence(race.winner)
    return race.winner


async def _look_up(address: Address) -> list[Place]:
    """Resolve a name. Raises Unresolved, and whatever the resolver raises.

    Trio's own threads would not do: an abandoned lookup would keep its thread, the next one would take another, and
    there are only 40. A few hanging names would then keep all others waiting.
    """
    lookup = look_up(address)
    done = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def tell() -> None:
        with contextlib.suppress(trio.RunFinishedError):  # the node has ended before the resolver answered
            token.run_sync_soon(done.set)

    lookup.when_done(tell)
    with trio.move_on_after(RESOLVE_SECONDS):
        await done.wait()
    return lookup.wait()


@contextlib.contextmanager
def resolving() -> Iterator[None]:
    """Turn whatever a resolver raises into an OSError: for impossible names, its codecs raise their own errors."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(errno.EHOSTUNREACH, f"the name cannot be resolved: {error}") from error


class _Race:
    """Several addresses that are dialled at once. Only the winner's socket stays open."""

    def __init__(self) -> None:
        self.winner: socket.socket | None = None
        self.failures: list[tuple[str, OSError]] = []
        """The addresses that failed, with their errors."""
        self._scope = trio.CancelScope()

    async def run(self, places: Sequence[Place]) -> None:
        """Dial until one answers or all have failed."""
        stagger = min(STAGGER_SECONDS, BEGUN_SECONDS / len(places))
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for place in places:
                        failed = trio.Event()
                        nursery.start_soon(self._try, place, failed)
                        with trio.move_on_after(stagger):
                            await failed.wait()
        except BaseException:
            if self.winner is not None:
                self.winner.close()
            raise

    async def _try(self, place: Place, failed: trio.Event) -> None:
        try:
            sock = await _connect(place)
        except OSError as error:
            self.failures.append((place[4][0], error))
            failed.set()
            return
        if self.winner is None:
            self.winner = sock
            self._scope.cancel()
        else:
            sock.close()


async def _connect(place: Place) -> socket.socket:
    family, kind, protocol, _, where = place
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(where)
        if code == errno.EINPROGRESS:
            code = errno.ETIMEDOUT
            with trio.move_on_after(CONNECT_SECONDS):
                await trio.lowlevel.wait_writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            silent = code == errno.ETIMEDOUT
            raise OSError(code, f"no answer within {CONNECT_SECONDS:g} s" if silent else os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _notice_silence(sock: socket.socket) -> None:
    """Let the system break the connection soon if packets vanish.

    TCP waits twice as long before each retry, so after a partition of a minute it is silent for up to another minute. A
    new connection works as soon as the network does.
    """
    with contextlib.suppress(OSError):  # the connection may be gone already; its first use will tell
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENT_SECONDS * 1000))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _summary(failures: Sequence[tuple[str, OSError]]) -> OSError:
    """Make one error for all addresses. A process is dead only if every reachable address refuses."""
    telling = [error for _, error in failures if error.errno not in _NO_WAY] or [error for _, error in failures]
    codes = [error.errno or errno.EHOSTUNREACH for error in telling]
    code = next((code for code in codes if code != errno.ECONNREFUSED), codes[0])
    if len(failures) == 1:
        return OSError(code, telling[0].strerror)
    return OSError(code, ", ".join(f"{place}: {error.strerror}" for place, error in failures))
