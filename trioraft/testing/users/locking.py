"""Takes a lock, writes under its fence, and hands it on; now and then it stands still for longer than its lease."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from trioraft.testing.answers import Asked
from trioraft.testing.belongings import Fields
from trioraft.testing.store_model import StoreModel
from trioraft.testing.streams import Push, Stream
from trioraft.testing.users.user import USED, Next, User

_NAME: Final = "guarded"
_GUARDED: Final = f"{USED}guarded"
"""The key that is written only by who holds the lock."""
_IDLES: Final = 10
"""How many times a second `idle` is called, about."""


class Locking(User):
    """One client that wants the lock again and again."""

    def __init__(self, random: Random, ttl_ms: int, seconds: float, keeps: bool) -> None:
        """`seconds`: how long a lease of `ttl_ms` lasts here. `keeps`: whether it keeps its lease alive."""
        super().__init__()
        self.held: list[tuple[int, int]] = []
        """The leases and the fences under which it held the lock."""
        self.fenced = 0
        """How many of its writes were refused because another held the lock by then."""
        self._random = random
        self._ttl_ms = ttl_ms
        self._seconds = seconds
        self._keeps = keeps
        self._lease: int | None = None
        self._fence: int | None = None
        self._wants = False
        """Whether it has asked for the lock, and has not given it back for certain."""
        self._ids = 0
        self._pause = 0
        """How many more times `idle` is called until it goes on."""

    def __str__(self) -> str:
        return f"held the lock {len(self.held)} times, {self.fenced} writes were refused"

    @property
    def done(self) -> bool:
        """Whether it neither holds the lock nor waits for it."""
        return self.finishing and not self._wants

    def connected(self) -> Next:
        """Take up what was under way: to ask for the same again is to ask for the same place."""
        if not self._wants:
            return []
        return self._grant() if self._lease is None else self._lock()

    def idle(self) -> Next:
        """Keep the lease, go on after a pause, or want the lock again."""
        if self._pause:
            self._pause -= 1
            return [] if self._pause or self._fence is None else self._write()
        if self._wants:
            return self._keep_alive()
        if self.finishing:
            return []
        self._wants = True
        return self._grant() if self._lease is None else self._lock()

    def answered(self, asked: Asked, reply: dict[str, Any]) -> Next:
        """Go one step further."""
        code = "" if reply["ok"] else reply["error"]["code"]
        if code in ("lease_expired", "fenced"):
            return self._lost(asked, code)
        if code:
            return None
        match asked["op"]:
            case "lease_grant":
                self._lease = reply["lease"]
                return self._lock()
            case "lock" if "fence" in reply:
                return self._hold(asked["lease"], reply["fence"])
            case "incr" if asked["fence"] == self._fence:
                return [{"op": "unlock", "name": _NAME, "lease": self._lease, "fence": self._fence}]
            case "unlock" if asked["fence"] == self._fence:
                self._wants, self._fence = False, None
        return []

    def told(self, stream: Stream | None, push: Push) -> Next:
        """Hold the lock, or learn that the wait is over."""
        if stream is None or stream.asked["lease"] != self._lease or stream.asked["id"] != self._ids:
            return []  # of an earlier attempt on this connection
        if push.fence is not None:
            return self._hold(stream.asked["lease"], push.fence)
        assert push.error is not None, push
        return self._lost(stream.asked, "lease_expired") if push.error.code == "lease_expired" else None

    def _grant(self) -> list[Fields]:
        return [{"op": "lease_grant", "ttl_ms": self._ttl_ms}]

    def _lock(self) -> list[Fields]:
        self._ids += 1
        return [{"op": "lock", "id": self._ids, "name": _NAME, "lease": self._lease}]

    def _hold(self, lease: int, fence: int) -> Next:
        if fence == self._fence:
            return self._write()
        assert not self.held or fence > self.held[-1][1], f"fence {fence} comes after {self.held[-1]}"
        self._fence = fence
        self.held.append((lease, fence))
        if not self.finishing and self._random.random() < 0.2:
            self._pause = int(self._seconds * _IDLES * self._random.uniform(0.5, 2.5))
            return []
        return self._write()

    def _write(self) -> list[Fields]:
        return [{"op": "incr", "key": _GUARDED, "lock": _NAME, "fence": self._fence}]

    def _keep_alive(self) -> list[Fields]:
        if self._lease is None or not self._keeps:
            return []
        return [{"op": "lease_keepalive", "lease": self._lease}]

    def _lost(self, asked: Asked, code: str) -> Next:
        """Begin anew with another lease, if it was this one that ended."""
        self.fenced += code == "fenced"
        of_this = asked.get("lease", self._lease) == self._lease and asked.get("fence", self._fence) == self._fence
        if not of_this:
            return []
        self._lease = self._fence = None
        self._pause = 0
        if self.finishing:
            self._wants = False
            return []
        return self._grant()

    def verify(self, model: StoreModel) -> None:
        """Compare each fence with the holder that the log knows for it."""
        for lease, fence in self.held:
            holder = model.grants.get((_NAME, fence))
            assert holder == lease, f"lease {lease} was told that it holds the lock under {fence}, which is {holder}'s"
