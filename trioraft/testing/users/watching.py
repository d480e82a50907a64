"""Watches keys over connections that break, and compares everything that it was told with the log."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from trioraft.testing.answers import Asked
from trioraft.testing.store_model import Change, StoreModel
from trioraft.testing.streams import Push, Stream
from trioraft.testing.users.user import USED, Next, User

_PATIENCE = 60
"""How many times in a row `idle` is called without an event until the connection is taken for dead."""
_ASKED = -1
"""The target while a read that will say it is under way."""


class _Stretch(msgspec.Struct):
    """What a watch was told in one stretch, over however many connections."""

    began: int | None = None
    """The revision after which `changes` begin; None until it is known."""
    position: int = 0
    """Up to this revision everything was told."""
    copy: dict[str, Push] = {}
    """With those present: the keys as they were at `began`."""
    changes: list[Push] = []
    """The changes since it began, those of whole entries alone."""


class Watching(User):
    """One client that watches a prefix or a key, and goes on at another node where it was broken off."""

    def __init__(self, random: Random, where: dict[str, Any]) -> None:
        """`where`: the fields of the watch that say which keys, whether with those present, and how often to hear."""
        super().__init__()
        self.resumed = 0
        """How often it went on where it had been."""
        self._random = random
        self._where = where
        self._stretch = _Stretch()
        self._stretches = [self._stretch]
        """All stretches; a new one begins where the history does not reach back to the end of the last."""
        self._cuts: list[tuple[int, int]] = []
        """Where it was told that the history does not reach: up to where it was, and where the history begins."""
        self._entry: list[Push] = []
        """The changes of an entry that is not yet whole."""
        self._ids = 0
        self._target: int | None = None
        """The revision up to which it still wants to hear."""
        self._quiet = 0

    def __str__(self) -> str:
        changes = sum(len(stretch.changes) for stretch in self._stretches)
        return f"was told {changes} changes, and resumed {self.resumed} times"

    @property
    def done(self) -> bool:
        """Whether it has heard of everything up to a revision that it saw at the end."""
        stretch, target = self._stretch, self._target
        known = target is not None and target != _ASKED and stretch.began is not None
        return self.finishing and known and stretch.position >= (target or 0)

    def connected(self) -> Next:
        """Watch from where it has got to."""
        self._entry = []
        self._quiet = 0
        self._target = None
        self._ids += 1
        fields = {"op": "watch", "id": self._ids, **self._where}
        if self._stretch.began is not None:
            self.resumed += 1
            fields.pop("initial", None)
            fields["after_rev"] = self._stretch.position
        else:
            self._stretch.copy = {}
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
                assert "after_rev" in asked, f"{asked}: {reply}"
                self._cuts.append((self._stretch.position, reply["error"]["first_rev"]))
                self._stretch = _Stretch()
                self._stretches.append(self._stretch)
            return None
        if asked["op"] == "get":
            self._target = int(reply["at"])
        elif not self._where.get("initial") and self._stretch.began is None:
            self._stretch.began = self._stretch.position = int(reply["at"])
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
                return None  # whatever the reason: what the history still has follows at the next node
        return []

    def _change(self, push: Push) -> Next:
        assert push.rev is not None, push
        assert push.key is not None, push
        stretch = self._stretch
        if stretch.began is None:
            stretch.copy[push.key] = push
            return []
        assert push.rev > stretch.position, f"up to {stretch.position} everything was told: {push}"
        assert not self._entry or self._entry[-1].rev == push.rev, f"{self._entry[-1]} was not the last of its entry"
        self._entry.append(push)
        if not push.more:
            stretch.changes += self._entry
            self._entry = []
            stretch.position = push.rev
        return []

    def _reach(self, at: int, synced: bool) -> None:
        stretch = self._stretch
        if stretch.began is None:
            if synced:
                stretch.began = stretch.position = at
            return
        assert at >= stretch.position or synced, f"{at} comes after {stretch.position}"
        stretch.position = max(stretch.position, at)

    def verify(self, model: StoreModel) -> None:
        """Compare the copies, and then every change."""
        known = [change for change in model.changes if self._wants(change.key)]
        for stretch in self._stretches:
            if stretch.began is not None:
                self._verify(stretch, stretch.began, known)
        for position, first_rev in self._cuts:
            assert first_rev in model.floors or first_rev < model.raised, f"the history never began above {first_rev}"
            assert position < first_rev, f"the history reached back to {position}, since it began above {first_rev}"

    def _verify(self, stretch: _Stretch, began: int, known: Sequence[Change]) -> None:
        if self._where.get("initial"):
            then = {change.key: _gist(change) for change in known if change.index <= began}
            there = {key: gist for key, gist in then.items() if gist[2] is not None}
            copy = {key: _said(push) for key, push in stretch.copy.items() if push.event == "put"}
            assert there == copy, f"at {began} the keys were {there}, and it was told {copy}"
        right = [_gist(change) for change in known if began < change.index <= stretch.position]
        said = [_said(push) for push in stretch.changes]
        for one, other in zip(right, said, strict=False):
            assert one == other, f"the log has {one}, and it was told {other}"
        assert len(right) == len(said), f"of {len(right)} changes up to {stretch.position} it was told {len(said)}"

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
