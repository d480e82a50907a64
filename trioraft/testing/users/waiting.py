"""Waits for the next change of a key, again and again."""

from __future__ import annotations

from typing import Any

from trioraft.testing.answers import Asked
from trioraft.testing.store_model import StoreModel
from trioraft.testing.streams import Push, Stream
from trioraft.testing.users.user import Next, User


class Waiting(User):
    """One client that waits for a revision above the last one that it saw."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.held: list[tuple[int, bytes | None]] = []
        """The revisions that it has seen, each with the value."""
        self._key = key
        self._ids = 0
        self._under_way = False

    def __str__(self) -> str:
        return f"waited {len(self.held)} times"

    @property
    def done(self) -> bool:
        """Whether its last wait is over."""
        return self.finishing and not self._under_way

    def connected(self) -> Next:
        """Wait for what comes after the last one."""
        self._under_way = False
        return self.idle()

    def idle(self) -> Next:
        """Wait again, for half a second at most."""
        if self._under_way or self.finishing:
            return []
        self._under_way = True
        self._ids += 1
        rev = self.held[-1][0] if self.held else 0
        return [{"op": "wait", "id": self._ids, "key": self._key, "rev_above": rev, "wait_ms": 500}]

    def answered(self, asked: Asked, reply: dict[str, Any]) -> Next:
        """Note what held at once."""
        if reply["ok"] and reply.get("waiting"):
            return []
        self._under_way = False
        if not reply["ok"]:
            return [] if reply["error"]["code"] == "timeout" else None
        assert reply["rev"] > asked["rev_above"], f"{asked}: {reply}"
        self.held.append((reply["rev"], None))
        return []

    def told(self, stream: Stream | None, push: Push) -> Next:
        """Note what holds now."""
        if stream is None or stream.asked["id"] != self._ids:
            return []
        self._under_way = False
        if push.event == "held":
            assert push.rev is not None, push
            assert push.rev > stream.asked["rev_above"], f"{stream.asked}: {push}"
            self.held.append((push.rev, bytes(push.value)))
        return []

    def verify(self, model: StoreModel) -> None:
        """Compare what held with the log: the key was so once."""
        known = {
            change.index: change.now.value
            for change in model.changes
            if change.key == self._key and change.now is not None
        }
        for rev, value in self.held:
            assert rev in known, f"{self._key} never had revision {rev}"
            assert value in (None, known[rev]), f"revision {rev} of {self._key} is {known[rev]!r}, not {value!r}"
