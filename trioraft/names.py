"""Names are resolved in threads: a resolver may hang for minutes, and nobody has to wait for it."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from trioraft.addresses import Address
from trioraft.background import in_background

KEPT_SECONDS: Final = 10.0
"""How long an answer is kept that came when nobody waited any more: longer than the longest pause between dials."""

Place = tuple[Any, Any, int, str, Any]
"""A row of getaddrinfo's answer."""


class Unresolved(TimeoutError):
    """The resolver has not answered yet; it goes on, for whoever asks next."""

    def __init__(self) -> None:
        super().__init__("its name is not resolved yet")


class Lookup:
    """One question to the resolver, in a thread of its own: the thread lasts as long as the resolver takes."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._answered = math.inf
        self._answer = in_background(self._ask)

    @property
    def stale(self) -> bool:
        """Whether the answer has become too old to be used."""
        return time.monotonic() > self._answered + KEPT_SECONDS

    def when_done(self, tell: Callable[[], object]) -> None:
        """Call `tell` once, from any thread, as soon as there is an answer."""
        self._answer.add_done_callback(lambda _: tell())

    def wait(self, seconds: float | None = 0.0) -> list[Place]:
        """Return the answer, once: whoever looks this address up next has the resolver asked anew.

        Raises Unresolved after `seconds`, where they are given, and whatever the resolver raises.
        """
        from concurrent.futures import wait

        wait((self._answer,), seconds)
        if not self._answer.done():
            raise Unresolved
        with _lock:
            if _lookups.get(self._address) is self:
                del _lookups[self._address]
        return self._answer.result()

    def _ask(self) -> list[Place]:
        try:
            return list(socket.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM))
        finally:
            self._answered = time.monotonic()


_lock: Final = threading.Lock()
_lookups: Final[dict[Address, Lookup]] = {}
"""The lookups that are under way, and those whose answer nobody has taken."""


def numeric(address: Address) -> list[Place]:
    """Resolve a numeric address, which takes no resolver; an empty list for a name. Raises OSError, ValueError."""
    with contextlib.suppress(socket.gaierror):
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return list(found)
    return []


def look_up(address: Address) -> Lookup:
    """Ask the resolver, or join the lookup that is under way: an address takes one thread, however often it is asked.

    Raises OSError where no thread can be had.
    """
    with _lock:
        for other in [other for other, lookup in _lookups.items() if lookup.stale]:
            del _lookups[other]
        if address not in _lookups:
            try:
                _lookups[address] = Lookup(address)
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, f"its name cannot be resolved: {error}") from error
        return _lookups[address]
