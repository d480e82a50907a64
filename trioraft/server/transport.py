"""Where the outside world begins: connections that never block, and the hub that says which are ready.

One task serves every connection in turns: it waits on the hub, the hub hands what came in to the handlers,
and the handlers answer with `send`, which takes everything and keeps what the other end does not. A task for
each connection would cost two wake-ups a request. `sockets.SocketHub` is the real one; the one of
`trioraft.testing` keeps its connections in memory, so that whole nodes run in virtual time.
"""

from __future__ import annotations

from typing import Final, Protocol

from trioraft.addresses import Address

DISCARD_SECONDS = 1.0
"""How long input is discarded after the last word on a connection, so that it arrives and is not reset away."""


class Handler(Protocol):
    """What a connection tells its owner. What one of these raises, HalfDone apart, ends the connection alone."""

    def received(self, data: bytes) -> None:
        """Bytes came in; none at all means that the other end has said its last."""

    def drained(self) -> None:
        """All that had to be kept has gone out."""

    def broken(self) -> None:
        """The connection is gone, whatever the reason; nothing more comes of it."""


class _Nobody:
    def received(self, data: bytes) -> None: ...

    def drained(self) -> None: ...

    def broken(self) -> None: ...


NOBODY: Final = _Nobody()
"""The handler of a connection that has none yet, or none any more."""


class Connection(Protocol):
    """One connection. After `close` or `Handler.broken`, every call is without effect."""

    remote: str
    handler: Handler

    @property
    def unsent(self) -> int:
        """Bytes kept because the other end does not take them yet."""

    def send(self, data: bytes) -> None:
        """Send, now as far as possible."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Go on reading."""

    def admit(self) -> None:
        """It came in, and is a peer's: it takes none of the places that there are for clients."""

    def finish(self) -> None:
        """Send what is kept, say that this is all, discard input for DISCARD_SECONDS at most, and close."""

    def close(self) -> None:
        """Close now; the handler is not told."""


class Listener(Protocol):
    """Connections as they come in, not yet served: `Connection.handler` is to be set and `resume` called."""

    address: Address

    async def accept(self) -> list[Connection]:
        """Those that wait, one at least. Raises OSError."""

    def close(self) -> None:
        """Take no more."""


class Hub(Protocol):
    """All connections of one node."""

    @property
    def full(self) -> bool:
        """Whether more have come in, peers apart, than there are places for: then some are in the reserve."""

    def listen(self, address: Address) -> Listener:
        """Listen there. Raises OSError."""

    async def dial(self, address: Address, turn: int = 0) -> Connection:
        """Connect to there; the handler is to be set and `resume` called. Raises OSError.

        ConnectionRefusedError means that nobody listens there. `turn` says with which address of the name to begin.
        """

    async def wait(self, eager: bool = False, seconds: float | None = None) -> None:
        """Return when a connection is ready, `wake` was called, or so many seconds are over.

        `eager`: at once, though it cost the processor.
        """

    def serve(self) -> None:
        """Call the handlers of the connections that are ready, or of some of them if there are many."""

    def more(self) -> bool:
        """Whether a connection is ready now, for `serve` to be called again."""

    def wake(self) -> None:
        """Make `wait` return; may be called from any thread."""

    def expire(self, now: float) -> None:
        """Close the finished connections whose time to discard is over."""

    def close(self) -> None:
        """Close everything."""
