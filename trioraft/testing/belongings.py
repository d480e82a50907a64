"""The things that clients got from the cluster and may name later: sessions, leases, fences, and what is open."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final

Fields = dict[str, Any]
"""The fields of a request that is to be sent."""

MOST: Final = 6
"""How many of each kind are kept, the newest."""
NAMES: Final = 3
"""How many locks there are."""
_UNKNOWN: Final = 1
"""No lease, fence or session has this number: the first entry of a log is none of them."""


class Belongings:
    """Learns from replies, and draws what a request may name: mostly something real, sometimes what nobody has."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._leases: list[int] = []
        self._fences: list[tuple[str, int, int]] = []
        """Names of locks, each with the lease and the fence under which it was held."""
        self._sessions: dict[str, int] = {}
        """Sessions, each with the number of its newest request."""
        self._numbered: list[Fields] = []
        """Requests with a number in a session."""
        self._ids: list[Any] = []
        """The ids of what may be open."""
        self._seen = 0
        """The highest revision that any reply has shown."""

    def learn(self, asked: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        """Learn from a reply."""
        self._seen = max(self._seen, reply.get("at", 0), reply.get("rev", 0))
        if not reply["ok"]:
            return
        match asked["op"]:
            case "lease_grant":
                _keep(self._leases, reply["lease"])
            case "open_session":
                _keep_newest(self._sessions)
                self._sessions[reply["client"]] = 0
            case "lock" if "fence" in reply:
                _keep(self._fences, (asked["name"], asked["lease"], reply["fence"]))
        if reply.get("waiting") and "id" in asked:
            _keep(self._ids, asked["id"])

    # What a request may name

    def lease(self) -> int:
        """Draw a lease."""
        return self._random.choice(self._leases or [_UNKNOWN])

    def name(self) -> str:
        """Draw the name of a lock."""
        return f"lock-{self._random.randrange(NAMES)}"

    def held(self) -> tuple[str, int, int]:
        """Draw the name of a lock, a lease, and a fence under which that lease held it."""
        return self._random.choice(self._fences or [(self.name(), self.lease(), _UNKNOWN)])

    def client(self) -> str:
        """Draw a session."""
        return self._random.choice([*self._sessions] or [f"00000000-{_UNKNOWN}"])

    def number(self, asked: Fields) -> None:
        """Give a request a number in a session: mostly the next one."""
        client = self.client()
        newest = self._sessions.get(client, 0)
        asked["client"], asked["seq"] = client, newest + 1 if self._random.random() < 0.9 else max(1, newest)
        self._sessions[client] = max(newest, asked["seq"])
        if self._random.random() < 0.3:
            asked["acked"] = max(0, newest - 3)
        _keep(self._numbered, asked)

    def again(self) -> Fields | None:
        """Draw a request that was asked before under a number, to be asked again; None where there is none."""
        return dict(self._random.choice(self._numbered)) if self._numbered else None

    def id(self) -> Any:
        """Draw the id of something that may be open."""
        return self._random.choice([*self._ids, 0])

    def rev(self) -> int:
        """Draw a revision that exists already."""
        return self._random.choice((0, self._seen, self._random.randint(0, self._seen)))


def _keep(some: list[Any], one: Any) -> None:
    some.append(one)
    del some[:-MOST]


def _keep_newest(some: dict[str, int]) -> None:
    while len(some) >= MOST:
        del some[next(iter(some))]
