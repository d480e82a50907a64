"""The commands that a cluster's log carries beside those of its machine, with their results and their encoding.

They are about sessions, in which a write is applied exactly once, and about the level of the cluster.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from trioraft.wire.codec import DecodeError, Decoder
from trioraft.wire.commands import UnknownCommand

LEVEL: Final = 2
"""The newest level that this program supports: the set of features that every member of a cluster knows."""

CLUSTER_DIGITS: Final = 8
"""How many digits of the cluster's id stand before a session's number in what clients call it."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class OpenSession(
    msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="open_session", forbid_unknown_fields=True
):
    """Open a session; the index of this entry names it."""


class CloseSession(
    msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="close_session", forbid_unknown_fields=True
):
    """Close that session, if it is open."""

    session: Number


class Once(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="once",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Apply the machine's command, unless that session has asked for number `seq` before."""

    session: Number
    seq: Number
    command: msgspec.Raw
    """As the log carries it: its bytes are what a later attempt is compared by."""
    acked: Number = 0
    """No number up to this one will be asked again."""


class RaiseLevel(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="raise_level", forbid_unknown_fields=True):
    """From this entry on, all that the level has may be used."""

    level: Annotated[int, msgspec.Meta(ge=2, le=LEVEL)]


ClusterCommand = OpenSession | CloseSession | Once | RaiseLevel


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The session is open under that number."""

    session: int


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The session is not open, or no more."""


class Replayed(msgspec.Struct, frozen=True, gc=False):
    """An earlier attempt was applied as entry `index`, with that result: None means simply written."""

    index: int
    result: Any


class SessionRefused(msgspec.Struct, frozen=True, gc=False):
    """The session, or the number in it, does not allow this. `applied` tells of earlier attempts too."""

    code: str
    message: str
    hint: str
    applied: str


ClusterResult = Opened | Closed | Replayed | SessionRefused


class _Op(msgspec.Struct):
    op: str = ""


_ops: Final = Decoder(_Op)
_commands: Final = Decoder(ClusterCommand)
_TAGS: Final = frozenset(("open_session", "close_session", "once", "raise_level"))


def cluster_command(payload: bytes, name: str = "a command") -> ClusterCommand | None:
    """Read a command from the log, where it is one of these; None where it is the machine's.

    Raises UnknownCommand for one of a newer version, which it calls by `name`.
    """
    try:
        if _ops.decode(payload).op not in _TAGS:
            return None
        command: ClusterCommand = _commands.decode(payload)
    except DecodeError as error:
        raise UnknownCommand(f"{name} comes from a newer version, upgrade this node: {error}") from None
    return command
