"""A lease that threads keep alive over a blocking connection of their own, as `tenure` decides."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from trioraft.addresses import Address
from trioraft.client.blocking import Client
from trioraft.client.errors import ClientError
from trioraft.client.tenure import Tenure

GIVING_BACK_SECONDS: Final = 2.0
"""How long it may take to find a node, and to have its reply, when a lease is given back."""
_NOT_KEPT: Final = "its lease was not kept alive in time"
_REVOKED: Final = "its lease was revoked"
_UNLOCKED: Final = "it was unlocked by somebody else"
_LONGEST_WAIT: Final = 1.0
"""A thread's wait stands still while the machine is suspended: after this long it looks at the clock again."""


class KeptLease:
    """A lease that is kept alive from its grant until it is lost or given back. A context, at whose end it is revoked.

    With `holds` it is lost as soon as its lock is another's, too. When it is lost nothing can be undone here: `lost` is
    set, and `on_lost` is called, by another thread.
    """

    def __init__(self, addresses: Sequence[Address], ttl: float) -> None:
        """Have the cluster grant a lease of `ttl` seconds. Raises ClientError."""
        self._addresses = addresses
        sent = clock()
        with Client(addresses) as client:
            self.lease: int = client.call("lease_grant", ttl_ms=round(ttl * 1000))["lease"]
        self._tenure = Tenure(ttl, sent)
        self._lock_held: dict[str, Any] | None = None
        """The check that the lock is held still."""
        self.lost = threading.Event()
        self.why_lost = _NOT_KEPT
        """What became of it, once it is lost."""
        self.on_lost: Callable[[], object] | None = None
        self._given_back = threading.Event()
        self._client = Client(addresses, timeout=self._tenure.interval)

    @property
    def margin(self) -> float:
        """How many seconds after its loss the lease may live still."""
        return self._tenure.margin

    def holds(self, name: str, fence: int) -> None:
        """Look whether this lock is held under this fence, from now on and whenever the lease is kept alive."""
        self._lock_held = {"lock": name, "fence": fence}

    def __enter__(self) -> Self:
        for work in (self._keep, self._watch):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._given_back.set()
        self._client.abandon()
        with contextlib.suppress(ClientError), Client(self._addresses, GIVING_BACK_SECONDS) as client:
            client.call("lease_revoke", lease=self.lease)  # else it ends by itself

    def _keep(self) -> None:
        """Send a keepalive whenever one is due."""
        with self._client:
            while not self._is_over(self._tenure.until_due):
                if self._tenure.until_due(clock()) == 0.0:
                    self._keep_alive()

    def _keep_alive(self) -> None:
        sent = clock()
        try:
            [reply] = self._client.pipeline([{"op": "lease_keepalive", "lease": self.lease}])
        except ClientError:
            self._tenure.failed(clock())
            return
        if reply.ok:
            self._tenure.kept(sent)
            self._look_after_lock()
        elif reply.error.code == "lease_expired":
            if self._tenure.until_lost(clock()) > 0.0:  # its time cannot be over yet
                self.why_lost = _REVOKED
            self._tenure.end()
            self._lose()
        else:
            self._tenure.failed(clock())

    def _look_after_lock(self) -> None:
        """Notice that the lock was taken from the lease. A node that cannot tell is asked again the next time."""
        if self._lock_held is None:
            return
        with contextlib.suppress(ClientError):
            [reply] = self._client.pipeline([{"op": "txn", "checks": [self._lock_held], "then": []}])
            if reply.ok and reply.raw("succeeded") == b"false" and not self.lost.is_set():
                self.why_lost = _UNLOCKED
                self._lose()

    def _watch(self) -> None:
        """Notice the loss in time, whatever a keepalive waits for."""
        while not self._is_over(self._tenure.until_lost):
            if self._tenure.until_lost(clock()) == 0.0:
                self._lose()

    def _is_over(self, left: Callable[[float], float]) -> bool:
        """Wait for as long as is left, or a part of it; whether the lease is lost or given back."""
        return self._given_back.wait(min(left(clock()), _LONGEST_WAIT)) or self.lost.is_set()

    def _lose(self) -> None:
        self.lost.set()
        if self.on_lost is not None:
            self.on_lost()


def clock() -> float:
    """The seconds of a clock that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
