"""Watches keys over connections that break, and compares everything that it was told with the log."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from trioraft.testing.answers import Asked
from trioraft.testing.store_model import Change, StoreModel
from trioraft.testing.streams import Push, Stream
from trioraft.testing.users.user import USED, Next, User

_PATIENCE = 60
"""How many times in a row `idle` is called without an event until the connection is taken for dead."""
_ASKED = -1
"""The target while a read that will say it is under way."""


class Watching(User):
    """One client that watches a prefix or a key, and goes on at another node where it was broken off."""

    def __init__(self, random: Random, where: dict[str, Any]) -> None:
        """`where`: the fields of the watch that say which keys, whether with those present, and how often to hear."""
        super().__init__()
        self.resumed = 0
        """How often it went on where it had been."""
        self.changes: list[Push] = []
        """The changes since it began, those of whole entries alone."""
        self._random = random
        self._where = where
        self._began: int | None = None
        """The revision after which `changes` begin; None until it is known."""
        self._copy: dict[str, Push] = {}
        """With those present: the keys as they were at `_began`."""
        self._position = 0
        """Up to this revision everything was told."""
        self._entry: list[Push] = []
        """The changes of an entry that is not yet whole."""
        self._ids = 0
        self._target: int | None = None
        """The revision up to which it still wants to hear."""
        self._quiet = 0

    def __str__(self) -> str:
        return f"was told {len(self.changes)} changes, and resumed {self.resumed} times"

    @property
    def done(self) -> bool:
        """Whether it has heard of everything up to a revision that it saw at the end."""
        target = self._target
        return self.finishing and target not in (None, _ASKED) and self._began is not None and self._position >= target

    def connected(self) -> Next:
        """Watch from where it has got to."""
        self._entry = []
        self._quiet = 0
        self._target = None
        self._ids += 1
        fields = {"op": "watch", "id": self._ids, **self._where}
        if self._began is not None:
            self.resumed += 1
            fields.pop("initial", None)
            fields["after_rev"] = self._position
        else:
            self._copy, self.changes = {}, []
        return [fields]

    def idle(self) -> Next:
        """Leave a node that says nothing for long, or now and then for no reason."""
        self._quiet += 1
        if self._quiet > _PATIENCE or (not self.finishing and self._random.random() < 0.01):
            return None
        if self.finishing and self._target is None:
            self._target = _ASKED
            return [{"op": "get", "key": f"{USED}count"}]
        return []

    def answered(self, asked: Asked, reply: dict[str, Any]) -> Next:
        """Learn where the watch begins, or up to where it is to go."""
        if not reply["ok"]:
            self._target = None
            if reply["error"]["code"] == "compacted":
                assert reply["error"]["first_rev"] > self._position, f"it goes on above {self._position}: {reply}"
                self._began = None  # as the history begins with the level of the cluster
            return None
        if asked["op"] == "get":
            self._target = int(reply["at"])
        elif not self._where.get("initial") and self._began is None:
            self._began = self._position = int(reply["at"])
        return []

    def told(self, stream: Stream | None, push: Push) -> Next:
        """Take an event."""
        self._quiet = 0
        if stream is not None and stream.asked["id"] != self._ids:
            return []
        match push.event:
            case "put" | "delete":
                return self._change(push)
            case "synced" | "progress":
                assert push.at is not None, push
                assert not self._entry, f"within an entry: {push} after {self._entry[-1]}"
                self._reach(push.at, push.event == "synced")
            case "closed":
                if push.error is not None and push.error.code == "compacted":
                    self._began = None
                return None
        return []

    def _change(self, push: Push) -> Next:
        assert push.rev is not None, push
        assert push.key is not None, push
        if self._began is None:
            self._copy[push.key] = push
            return []
        assert push.rev > self._position, f"up to {self._position} everything was told: {push}"
        assert not self._entry or self._entry[-1].rev == push.rev, f"{self._entry[-1]} was not the last of its entry"
        self._entry.append(push)
        if not push.more:
            self.changes += self._entry
            self._entry = []
            self._position = push.rev
        return []

    def _reach(self, at: int, synced: bool) -> None:
        if self._began is None:
            if synced:
                self._began = self._position = at
            return
        assert at >= self._position or synced, f"{at} comes after {self._position}"
        self._position = max(self._position, at)

    def verify(self, model: StoreModel) -> None:
        """Compare the copy, and then every change."""
        if self._began is None:
            assert not self.finishing
            return
        known = [change for change in model.changes if self._wants(change.key)]
        if self._where.get("initial"):
            self._verify_copy(known)
        right = [_gist(change) for change in known if self._began < change.index <= self._position]
        said = [_said(push) for push in self.changes]
        for one, other in zip(right, said, strict=False):
            assert one == other, f"the log has {one}, and it was told {other}"
        assert len(right) == len(said), f"of {len(right)} changes up to {self._position} it was told {len(said)}"

    def _verify_copy(self, known: Iterable[Change]) -> None:
        then: dict[str, tuple[Any, ...]] = {}
        for change in known:
            if change.index <= (self._began or 0):
                then[change.key] = _gist(change)
        right = {key: gist for key, gist in then.items() if gist[2] is not None}
        said = {key: _said(push) for key, push in self._copy.items() if push.event == "put"}
        assert right == said, f"at {self._began} the keys were {right}, and it was told {said}"

    def _wants(self, key: str) -> bool:
        return key == self._where.get("key") or ("prefix" in self._where and key.startswith(self._where["prefix"]))


def _gist(change: Change) -> tuple[Any, ...]:
    """What an event says of a change."""
    now = change.now
    if now is None:
        return change.index, change.key, None, None, None, None, "lease" if change.by_lease else None
    return change.index, change.key, now.value, now.created, now.version, now.lease or None, None


def _said(push: Push) -> tuple[Any, ...]:
    value = bytes(push.value) if push.event == "put" else None
    return push.rev, push.key, value, push.created, push.version, push.lease, push.by
