"""A resolver that hangs at some names, as if its server were silent: it hangs in a thread, deaf to signals."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from trioraft import names as resolving

HANG_SECONDS = 20.0
"""How many seconds it hangs at most, so that a test which waits for it fails instead of hanging."""


class Names:
    """A resolver. Names that begin with `dead` hang until `answer`; all others are this machine's, at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The names looked up so far, in order."""
        self.under_way = 0
        self._resolve = socket.getaddrinfo
        self._may_answer = threading.Event()

    def getaddrinfo(self, host: str | bytes, port: Any, *args: Any, **options: Any) -> list[Any]:
        options |= zip(("family", "type", "proto", "flags"), args, strict=False)
        flags = options.pop("flags", 0)
        try:
            return self._resolve(host, port, **options, flags=flags | socket.AI_NUMERICHOST)
        except socket.gaierror:
            if flags & socket.AI_NUMERICHOST:
                raise
        name = os.fsdecode(host)
        self.asked.append(name)
        self.under_way += 1
        if name.startswith("dead"):
            self._may_answer.wait(HANG_SECONDS)
        self.under_way -= 1
        return self._resolve("127.0.0.1", port, type=socket.SOCK_STREAM)

    def answer(self) -> None:
        """Let the hanging lookups end."""
        self._may_answer.set()


@contextlib.contextmanager
def hanging_names() -> Iterator[Names]:
    """Replace the system's resolver within the context."""
    names = Names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", names.getaddrinfo)
        patch.setattr(resolving, "_lookups", {})  # without late answers of other tests
        yield names
        names.answer()
