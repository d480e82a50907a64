"""Counts in a session: each increment is asked again, of any node, until its answer is definite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from trioraft.testing.answers import Asked
from trioraft.testing.belongings import Fields
from trioraft.testing.store_model import StoreModel
from trioraft.testing.users.user import USED, Next, User

COUNT: Final = f"{USED}count"
"""The key that all count at."""


class Counting(User):
    """One client that counts. Together they count exactly as often as they were answered."""

    def __init__(self, window: int, most: int | None = None) -> None:
        """`window`: how many increments are under way at once. `most`: after how many it has done enough."""
        super().__init__()
        self.counted = 0
        """How many increments were answered."""
        self.replayed = 0
        """How many of them were asked more than once, and were in already."""
        self._window = window
        self._most = most
        self._client: str | None = None
        self._newest = 0
        self._waiting: dict[int, None] = {}
        """The numbers of the increments without an answer."""

    def __str__(self) -> str:
        return f"counted {self.counted}, {self.replayed} of them asked again"

    @property
    def done(self) -> bool:
        """Whether each of its increments is answered."""
        return (self.finishing or self.counted == self._most) and not self._waiting

    def connected(self) -> Next:
        """Ask for a session, or again for everything without an answer."""
        if self._client is None:
            return [{"op": "open_session"}]
        return [self._increment(seq) for seq in self._waiting] + self._more()

    def answered(self, asked: Asked, reply: dict[str, Any]) -> Next:
        """Count, or leave a node that does not answer definitely."""
        if not reply["ok"]:
            code = reply["error"]["code"]
            assert code not in ("session_expired", "seq_too_old", "seq_reused"), f"{asked}: {reply}"
            return None
        if asked["op"] == "open_session":
            self._client = reply["client"]
        else:
            del self._waiting[asked["seq"]]
            self.counted += 1
            self.replayed += bool(reply.get("replayed"))
        return self._more()

    def _more(self) -> list[Fields]:
        """New increments, as many as may be under way."""
        asked = []
        while not self.finishing and len(self._waiting) < self._window and self._newest != self._most:
            self._newest += 1
            self._waiting[self._newest] = None
            asked.append(self._increment(self._newest))
        return asked

    def _increment(self, seq: int) -> Fields:
        acked = min(self._waiting, default=seq) - 1
        return {"op": "incr", "key": COUNT, "client": self._client, "seq": seq, "acked": acked}

    def verify(self, model: StoreModel) -> None:
        """Nothing: only all of them together know the sum."""


def verify_sum(users: Iterable[User], model: StoreModel) -> None:
    """Compare the sum with what all who count were answered."""
    counted = sum(user.counted for user in users if isinstance(user, Counting))
    item = model.keys.get(COUNT)
    found = 0 if item is None else int(item.value)
    assert found == counted, f"{counted} increments were answered, and the sum is {found}"
