"""The outcomes of writes as they are remembered: in at most 256 bytes, so without values."""

from __future__ import annotations

from typing import Final

import msgspec

from trioraft.kv.results import (
    Conflict,
    Counted,
    Deleted,
    Done,
    GivenUp,
    Granted,
    Locked,
    Queued,
    Refused,
    Result,
    Revoked,
    Unlocked,
    Written,
)
from trioraft.wire.codec import Decoder, encode


class _Finished(msgspec.Struct, frozen=True, gc=False, tag="done"):
    """A transaction that took effect, without the results of its operations."""

    succeeded: bool
    rev: int
    at: int


_outcomes: Final = Decoder(
    Written
    | Deleted
    | Counted
    | Granted
    | Revoked
    | Locked
    | Queued
    | Unlocked
    | GivenUp
    | _Finished
    | Conflict
    | Refused
)


def encode_outcome(result: Result) -> bytes:
    """Encode the outcome of a write: a conflict without its value, a transaction without its results."""
    match result:
        case Conflict():
            return encode(msgspec.structs.replace(result, value=None))
        case Done(succeeded, _, rev, at):
            return encode(_Finished(succeeded, rev, at))
        case _:
            return encode(result)


def decode_outcome(outcome: bytes) -> Result:
    """Read what `encode_outcome` made. Raises DecodeError."""
    result: Result | _Finished = _outcomes.decode(outcome)
    return Done(result.succeeded, None, result.rev, result.at) if isinstance(result, _Finished) else result
