"""The messages between nodes: each is a header line, followed by the lines that the header announces.

Entries travel as the very lines of the log, and commands as the log will carry them. The header gives the size of
these lines in bytes and their CRC-32. So the receiver need not look for their ends, and it refuses lines that were
damaged on their way or in the sender's memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final
from zlib import crc32

import msgspec

from trioraft.raft.membership import Formation
from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from trioraft.raft.runs import NO_ENTRIES, Entries, Run
from trioraft.wire.codec import BadLine, DecodeError, Decoder
from trioraft.wire.codec import encode as encode_json
from trioraft.wire.entries import parse, read_commands

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**32)]

MAX_HEADER: Final = 64 * 1024 * 1024
"""The longest header, in bytes. No accepted request becomes this long, so no request can jam a node."""
LONG_BYTES: Final = 512 * 1024
"""From this many bytes on, a message shows that its sender lives while it arrives, and not only once it is whole."""
PART_BYTES: Final = 128 * 1024
"""The bytes from one such sign of life to the next. On a slow line they take about as long as a heartbeat."""


class PeerHello(msgspec.Struct, frozen=True, tag_field="peer", tag="hello"):
    """An introduction: who speaks, to whom, from which folder. A node that accepts it answers with its own."""

    protocol: tuple[Number, Number]
    cluster: str | None
    sender: Number
    receiver: Number
    folder: str
    starts: Number
    incarnation: str
    term: Number
    last_index: Number
    servers: list[str]
    formation: Formation | None
    level: Number = 1
    """The newest level that the sender supports. Versions that know no other than 1 do not send it."""
    cluster_level: Number = 1
    """The level of its cluster, as far as it has applied the log."""


class PeerRefused(msgspec.Struct, frozen=True, tag_field="peer", tag="refused", omit_defaults=True):
    """Why the introduction was not accepted.

    `introduction` is the refuser's own, sent to a node that has been removed: that node judges by it whether to
    believe the refusal. `reason` is a word for programs. Older versions do not send these fields.
    """

    code: str
    message: str
    hint: str
    introduction: PeerHello | None = None
    reason: str = ""


class FormationView(msgspec.Struct, frozen=True, tag_field="type", tag="formation"):
    """The id of the cluster that the sender is ready to form; None while it misses someone."""

    ready: str | None


class Propose(msgspec.Struct, frozen=True, tag_field="type", tag="propose"):
    """Writes of the sender's clients, forwarded to the leader; `number` counts all writes that it forwarded before.

    Only the leader of `term` may take them: a leader of another term refuses them. Older versions do not send the
    term, and any leader takes their writes.
    """

    number: Number
    commands: list[bytes]
    term: Number | None = None


class Proposed(msgspec.Struct, frozen=True, tag_field="type", tag="proposed"):
    """The writes from `number` on became the entries from `index` on, in `term`."""

    number: Number
    count: Count
    index: Number
    term: Number


class NotProposed(msgspec.Struct, frozen=True, tag_field="type", tag="not_proposed"):
    """The `count` writes from `number` on are in no log; `code`, `message` and `hint` say why."""

    number: Number
    count: Count
    code: str
    message: str
    hint: str


class ReadIndexRequest(msgspec.Struct, frozen=True, tag_field="type", tag="read_index"):
    """The question up to which index a node must have applied before it serves the reads that wait there (§6.4)."""

    number: Number


class ReadIndexReply(msgspec.Struct, frozen=True, tag_field="type", tag="read_index_reply"):
    """The answer: that index, or None from a node that does not lead."""

    number: Number
    index: Number | None


class AdminRequest(msgspec.Struct, frozen=True, tag_field="type", tag="ask"):
    """A request of a client of the sender that only the leader can carry out."""

    number: Number
    request: msgspec.Raw


class AdminReply(msgspec.Struct, frozen=True, tag_field="type", tag="told"):
    """What came of it: the reply, without an id. Where the sender does not lead it did nothing: ask the next.

    `index` is that of the entry that carries the change, if it was made; 0 also from a sender of before this field.
    """

    number: Number
    reply: msgspec.Raw
    leads: bool = True
    index: Number = 0


class Underway(msgspec.Struct, frozen=True):
    """A sign that the sender lives: a part of a long Propose to the leader of `term` has arrived.

    The receiver makes it; it is never sent.
    """

    term: Number | None


class _Header(msgspec.Struct, frozen=True, tag_field="type"):
    """A header that announces `count` lines, of `bytes` bytes in all, with the CRC-32 `crc`."""

    count: Count
    bytes: Size
    crc: str


class _AppendEntriesHeader(_Header, frozen=True, tag="append_entries"):
    term: Number
    prev_index: Number
    prev_term: Number
    commit_index: Number
    round: Number
    commands_of: Number | None = None
    """The term of all entries, where all are commands of one term, as nearly always; else None."""


class _InstallSnapshotHeader(_Header, frozen=True, tag="install_snapshot"):
    term: Number
    last_included_index: Number
    last_included_term: Number
    offset: Number
    done: bool


class _ProposeHeader(_Header, frozen=True, tag="propose"):
    number: Number
    term: Number | None = None


_Announcing = _AppendEntriesHeader | _ProposeHeader | _InstallSnapshotHeader

PeerMessage = (
    Message
    | FormationView
    | Propose
    | Proposed
    | NotProposed
    | ReadIndexRequest
    | ReadIndexReply
    | AdminRequest
    | AdminReply
    | PeerHello
    | PeerRefused
    | Underway
)
"""Everything that comes over a link."""

_headers: Final = Decoder(
    PreVote
    | PreVoteReply
    | RequestVote
    | RequestVoteReply
    | AppendEntriesReply
    | FormationView
    | Proposed
    | NotProposed
    | ReadIndexRequest
    | ReadIndexReply
    | AdminRequest
    | AdminReply
    | _AppendEntriesHeader
    | _ProposeHeader
    | _InstallSnapshotHeader
    | InstallSnapshotReply
    | TimeoutNow
)
_handshakes: Final = Decoder(PeerHello | PeerRefused)


def encode(message: PeerMessage) -> bytes:
    """Encode the message as lines, each ended by a newline."""
    return b"".join(encode_parts(message))


def encode_parts(message: PeerMessage) -> list[bytes]:
    """Encode the message in parts, so that the lines after a header, which may be long, are not copied."""
    if isinstance(message, AppendEntries):
        entries = Entries.of(message.entries)
        data, crc = entries.in_one_piece()
        header = b'{"type":"append_entries","term":%d,"prev_index":%d,"prev_term":%d,"commit_index":%d,"round":%d%b' % (
            message.term,
            message.prev_index,
            message.prev_term,
            message.commit_index,
            message.round,
            _commands_of(entries.runs),
        )
        return _announced(header, len(entries), data, crc)
    if isinstance(message, Propose):
        data = b"\n".join([*message.commands, b""])
        count = len(message.commands)
        header = b'{"type":"propose","number":%d' % message.number
        if message.term is not None:
            header += b',"term":%d' % message.term
        return _announced(header, count, data, crc32(data))
    if isinstance(message, InstallSnapshot):
        data = message.data
        header = (
            b'{"type":"install_snapshot","term":%d,"last_included_index":%d,"last_included_term":%d,"offset":%d,"done":%b'
            % (
                message.term,
                message.last_included_index,
                message.last_included_term,
                message.offset,
                encode_json(message.done),
            )
        )
        return _announced(header, data.count(b"\n"), data, crc32(data))
    return [encode_json(message) + b"\n"]


def _commands_of(runs: Sequence[Run]) -> bytes:
    terms = {run.term if run.kind == "command" else None for run in runs}
    term = terms.pop() if len(terms) == 1 else None
    return b"" if term is None else b',"commands_of":%d' % term


def _announced(header: bytes, count: int, data: bytes, crc: int) -> list[bytes]:
    """Complete the header with the count, size and checksum of the lines that follow it."""
    return [b'%b,"count":%d,"bytes":%d,"crc":"%08x"}\n' % (header, count, len(data), crc), data]


def decode_handshake(line: bytes) -> PeerHello | PeerRefused:
    """Read the first line on a connection between nodes, or the answer to it. Raises BadLine."""
    try:
        message: PeerHello | PeerRefused = _handshakes.decode(line)
    except DecodeError as error:
        raise BadLine(f"no handshake: {error}") from None
    return message


class PeerDecoder:
    """Bytes from one peer, cut into messages."""

    def __init__(self) -> None:
        self._header: _Announcing | None = None
        """The header whose lines come now; None between messages."""
        self._parts: list[bytes] = []
        """The bytes that have come of these lines, or of a header."""
        self._size = 0
        self._due = 0
        """At how many bytes of a long message the next sign of life is given."""

    def feed(self, data: bytes) -> Iterator[PeerMessage]:
        """Take bytes; yield the messages that they complete, and signs of life of a long one. Raises BadLine."""
        position = 0
        while position < len(data):
            if self._header is None:
                end = data.find(b"\n", position) + 1
                whole = end > 0
                part = data[position : end or len(data)]
            else:
                part = data[position : position + self._header.bytes - self._size]
                whole = self._size + len(part) == self._header.bytes
            position += len(part)
            self._size += len(part)
            self._parts.append(part)
            if self._header is None and self._size > MAX_HEADER:
                raise BadLine(f"a line is longer than {MAX_HEADER} bytes")
            if whole:
                piece = b"".join(self._parts)
                self._parts = []
                self._size = 0
                message = self._begin(piece) if self._header is None else self._complete(self._header, piece)
                if message is not None:
                    yield message
            elif self._header is not None and self._header.bytes > LONG_BYTES and self._size >= self._due:
                self._due = self._size + PART_BYTES
                yield _underway(self._header)

    def _begin(self, line: bytes) -> PeerMessage | None:
        try:
            header = _headers.decode(line)
        except DecodeError as error:
            raise BadLine(str(error)) from None
        if not isinstance(header, _Announcing):
            _check_numbers(header)
            message: PeerMessage = header
            return message
        if isinstance(header, _AppendEntriesHeader) and (
            header.prev_term > header.term or (header.prev_index == 0) != (header.prev_term == 0)
        ):
            raise BadLine("prev_index and prev_term fit no log")
        if not header.bytes:
            return self._complete(header, b"")
        self._header = header
        self._due = 0
        return None

    def _complete(self, header: _Announcing, data: bytes) -> PeerMessage:
        self._header = None
        crc = crc32(data)
        if header.crc != f"{crc:08x}" or data.count(b"\n") != header.count or data[-1:] not in (b"\n", b""):
            raise BadLine("what follows the header does not fit its checksum, or its count")
        if isinstance(header, _AppendEntriesHeader):
            entries = _entries(header, data, crc)
            return AppendEntries(
                header.term, header.prev_index, header.prev_term, header.commit_index, header.round, entries
            )
        if isinstance(header, _ProposeHeader):
            return Propose(header.number, data.split(b"\n")[:-1], header.term)
        return InstallSnapshot(
            header.term, header.last_included_index, header.last_included_term, header.offset, header.done, data
        )


def _underway(header: _Announcing) -> PeerMessage:
    """The sign of life in a long message that is not whole yet.

    An AppendEntries gives a heartbeat: itself without its entries. A piece of a snapshot gives a heartbeat that agrees
    with any log, because only a leader sends snapshots.
    """
    if isinstance(header, _AppendEntriesHeader):
        prev = header.prev_index, header.prev_term
        return AppendEntries(header.term, *prev, header.commit_index, header.round, NO_ENTRIES)
    if isinstance(header, _InstallSnapshotHeader):
        return AppendEntries(header.term, 0, 0, 0, 0, NO_ENTRIES)
    return Underway(header.term)


def _entries(header: _AppendEntriesHeader, data: bytes, crc: int) -> Entries:
    """Read the entries, which must follow the header's `prev_index`. Raises BadLine."""
    first, term = header.prev_index + 1, header.prev_term
    if (common := header.commands_of) is not None:
        if not term <= common <= header.term:
            raise BadLine(f"entries have term {common}, between {term} and {header.term}")
        return read_commands(data, crc, first, header.count, common)
    entries = []
    for index, line in enumerate(data.split(b"\n")[:-1], first):
        entry = parse(line)
        if entry.index != index:
            raise BadLine(f"entry {entry.index} follows {index - 1}")
        if not term <= entry.term <= header.term:
            raise BadLine(f"entry {entry.index} has term {entry.term}, between {term} and {header.term}")
        term = entry.term
        entries.append(entry)
    return Entries.of(entries)


def _check_numbers(message: msgspec.Struct) -> None:
    """Refuse numbers out of bounds: the structs of `raft` declare none. Raises BadLine."""
    for name, value in zip(message.__struct_fields__, msgspec.structs.astuple(message), strict=True):
        if type(value) is int and not 0 <= value <= 2**63 - 1:
            raise BadLine(f"{name} is out of bounds")
