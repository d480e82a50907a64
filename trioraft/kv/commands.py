"""What the log carries: the commands of the store."""

from __future__ import annotations

import msgspec


class Put(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="put",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Give the key that value; with `if_rev` only if the key has that revision (0: does not exist)."""

    key: str
    value: msgspec.Raw
    if_rev: int | None = None


class Delete(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="delete",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Remove the key; with `if_rev` only if the key has that revision."""

    key: str
    if_rev: int | None = None


class Incr(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="incr",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Add `by` to the integer at the key; a missing key counts as 0."""

    key: str
    by: int = 1


Command = Put | Delete | Incr
