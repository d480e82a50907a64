"""The corpus of hostile lines, as bytes. corpus/README.md describes its format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

CORPUS = Path(__file__).parents[1] / "abuse" / "corpus"

TRUE_INTRODUCTION: dict[str, Any] = {
    "peer": "hello",
    "protocol": [2, 2],
    "cluster": None,
    "sender": 1,
    "receiver": 0,
    "folder": "0123456789abcdef" * 2,
    "starts": 1,
    "incarnation": "00",
    "term": 1,
    "last_index": 0,
    "servers": ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"],
    "formation": None,
    "level": 2,
}


class Request(msgspec.Struct, frozen=True):
    """A client's line and the reply that it must get: see corpus/README.md."""

    name: str
    line: bytes
    says: str
    first: str

    def __str__(self) -> str:
        return self.name

    @property
    def closes(self) -> bool:
        """Whether the node takes nothing more from a connection after this line."""
        return self.says in ("http", "line_too_long")


class Peer(msgspec.Struct, frozen=True):
    """Lines of an accepted member, one of which must end its connection."""

    name: str
    lines: list[bytes]

    def __str__(self) -> str:
        return self.name


class Introduction(msgspec.Struct, frozen=True):
    """A wrong field in an otherwise true introduction."""

    name: str
    change: dict[str, Any]

    def __str__(self) -> str:
        return self.name


def _bytes(parts: list[Any]) -> bytes:
    return b"".join(
        part.encode("latin-1") if isinstance(part, str) else part[0].encode("latin-1") * part[1] for part in parts
    )


def _read(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CORPUS / file).read_text().splitlines()]


REQUESTS = [
    Request(entry["name"], _bytes(entry["line"]), entry["says"], entry.get("first", ""))
    for entry in _read("requests.jsonl")
]
PEERS = [
    Peer(entry["name"], [_hello if line == ["@hello"] else _bytes(line) for line in entry["lines"]])
    for entry in _read("peers.jsonl")
    for _hello in [json.dumps(TRUE_INTRODUCTION).encode()]
]
INTRODUCTIONS = [Introduction(entry["name"], entry["change"]) for entry in _read("introductions.jsonl")]
