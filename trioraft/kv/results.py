"""The results of commands when they are applied."""

from __future__ import annotations

import msgspec

from trioraft.kv.items import Item


class _Outcome(msgspec.Struct, frozen=True, gc=False, tag=str.lower, omit_defaults=True):
    """A result that can be remembered: the tag says which it is."""


class Written(_Outcome, frozen=True):
    """The key has its value, and this revision."""

    rev: int


class Deleted(_Outcome, frozen=True):
    """How many keys went, and the revision that did it, 0 where there was nothing."""

    deleted: int
    rev: int
    more: bool | None = None
    """Whether there are more keys with that prefix; None where a single key was to go."""


class Counted(_Outcome, frozen=True):
    """The integer at the key after the addition, and the key's revision."""

    value: int
    rev: int


class Granted(_Outcome, frozen=True):
    """The number of the lease."""

    lease: int


class Revoked(_Outcome, frozen=True):
    """How many keys went with the lease, and the revision that ended it, 0 where it had ended."""

    deleted: int
    rev: int


class Locked(_Outcome, frozen=True):
    """The lock is held under that fence."""

    fence: int


class Queued(_Outcome, frozen=True):
    """The lock is another's: how many are ahead, its holder included, and the `lock` entry that owns the place."""

    ahead: int
    entry: int


class Unlocked(_Outcome, frozen=True):
    """The index of the entry that released the lock; 0 where it was not held so."""

    rev: int


class GivenUp(_Outcome, frozen=True):
    """That `lock` entry owns no place in the queue, nor the lock."""


class Done(_Outcome, frozen=True):
    """A transaction took effect."""

    succeeded: bool
    """Whether all checks held, so that `then` was carried out, and not `else`."""
    results: list[InTransaction] | None
    """The result of each operation; None where they are not remembered."""
    rev: int
    """The revision of all that it wrote; 0 where nothing changed."""
    at: int
    """The index of the entry: the state that it shows is the one after it."""


class Conflict(_Outcome, frozen=True):
    """The key was not as the command wants it; it is as said here, and unchanged."""

    message: str
    hint: str
    rev: int
    value: bytes | None
    failed: int | None = None
    """The place of the operation in its branch, where it is a transaction's."""


class Refused(_Outcome, frozen=True):
    """Nothing was changed, for another reason than a key."""

    code: str
    message: str
    hint: str
    failed: int | None = None
    """The place of the operation in its branch, where it is a transaction's."""


InTransaction = Item | Written | Deleted | Counted | None
"""The result of an operation of a transaction; None for a get of a missing key."""
Failure = Conflict | Refused
Result = (
    Written | Deleted | Counted | Granted | Revoked | Locked | Queued | Unlocked | GivenUp | Done | Conflict | Refused
)
