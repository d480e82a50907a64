"""The decoders alone, with no node behind them."""

from __future__ import annotations

import json
from typing import Any

from trioraft.replica.session import Session
from trioraft.server.config import MAX_REQUEST_BYTES


def replies_to(data: bytes, piece: int) -> bytes:
    """The replies of a session to bytes that come in pieces of that size. Every valid request is answered `ok`."""
    session = Session(MAX_REQUEST_BYTES, lambda: None, lambda *_: 0)
    replies = b""
    for start in range(0, len(data), piece):
        session.receive(data[start : start + piece])
        for slot in session.requests(0):
            slot.answer([b'{"ok":true}\n'] * slot.count)
        replies += session.take_replies()
    session.receive(b"")
    for slot in session.requests(0):
        slot.answer([b'{"ok":true}\n'] * slot.count)
    replies += session.take_replies()
    assert session.done
    return replies


def no_constants(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def strict_json(line: bytes) -> Any:
    """Read a line as JSON, as strictly as any reader."""
    value = json.loads(line.decode(), parse_constant=no_constants, parse_int=str)
    json.dumps(value, ensure_ascii=False).encode()  # fails on half a surrogate pair
    return value
