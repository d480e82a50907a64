"""The lines of the sessions in a snapshot, and that of the cluster's level: one line for each session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from trioraft.wire.cluster_commands import LEVEL
from trioraft.wire.codec import BadLine, DecodeError, Decoder, encode

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class OutcomeLine(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a session remembers of one write."""

    seq: Number
    digest: str
    """Of the command, in hex."""
    index: Number
    """Of the entry that was applied."""
    outcome: msgspec.Raw
    """The encoded result; null where the command was simply written."""


class SessionLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One session."""

    session: Number
    used: Number
    """The index of the entry that used it last."""
    highest: Number
    acked: Number
    outcomes: list[OutcomeLine]
    """In the order in which they were applied."""


class _ClusterLine(msgspec.Struct, frozen=True):
    level: Number


_sessions: Final = Decoder(SessionLine)
_clusters: Final = Decoder(_ClusterLine)


def encode_session(session: SessionLine) -> bytes:
    """Encode a session as a line with its newline."""
    return encode(session) + b"\n"


def decode_sessions(lines: Sequence[bytes]) -> list[SessionLine]:
    """Read the lines of sessions. Raises BadLine."""
    try:
        return [_sessions.decode(line) for line in lines]
    except DecodeError as error:
        raise BadLine(f"it holds no session of this version: {error}") from None


def encode_level(level: int) -> bytes:
    """Encode the level as a line with its newline."""
    return encode(_ClusterLine(level)) + b"\n"


def decode_level(lines: Sequence[bytes]) -> int:
    """Read the line of the level. Raises BadLine, also for a level that this program does not know."""
    try:
        [level] = [_clusters.decode(line).level for line in lines]
    except (DecodeError, ValueError) as error:
        raise BadLine(f"it holds no level: {error}") from None
    if level > LEVEL:
        raise BadLine(f"its cluster is at level {level}, and this node knows up to {LEVEL}: upgrade this node")
    return int(level)
