"""What nodes say to each other: a header line each, followed by the lines that it counts.

Entries and commands travel as they are: the very lines of the log, and the commands as the log will carry them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

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
from trioraft.raft.runs import Entries, Run
from trioraft.wire.codec import BadLine, DecodeError, Decoder
from trioraft.wire.codec import encode as encode_json
from trioraft.wire.entries import parse, parse_commands

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class PeerHello(msgspec.Struct, frozen=True, tag_field="peer", tag="hello"):
    """Who speaks, to whom, from which folder; the answer of one who accepts has the same fields."""

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


class PeerRefused(msgspec.Struct, frozen=True, tag_field="peer", tag="refused"):
    """Why the introduction was not accepted."""

    code: str
    message: str
    hint: str


class FormationView(msgspec.Struct, frozen=True, tag_field="type", tag="formation"):
    """The id of the cluster that the sender is ready to form; None while it misses someone."""

    ready: str | None


class Propose(msgspec.Struct, frozen=True, tag_field="type", tag="propose"):
    """Writes of the sender's clients, passed on to the leader; `number` counts all that it passed on before."""

    number: Number
    commands: list[bytes]


class Proposed(msgspec.Struct, frozen=True, tag_field="type", tag="proposed"):
    """The writes from `number` on became the entries from `index` on, in `term`."""

    number: Number
    count: Count
    index: Number
    term: Number


class NotProposed(msgspec.Struct, frozen=True, tag_field="type", tag="not_proposed"):
    """The writes from `number` on are in no log, and why."""

    number: Number
    count: Count
    code: str
    message: str
    hint: str


class ReadIndexRequest(msgspec.Struct, frozen=True, tag_field="type", tag="read_index"):
    """Which index must the reads see that have come to the sender?"""

    number: Number


class ReadIndexReply(msgspec.Struct, frozen=True, tag_field="type", tag="read_index_reply"):
    """That index; None from one who does not lead."""

    number: Number
    index: Number | None


class Ask(msgspec.Struct, frozen=True, tag_field="type", tag="ask"):
    """A request of a client of the sender that only the leader can carry out."""

    number: Number
    request: msgspec.Raw


class Told(msgspec.Struct, frozen=True, tag_field="type", tag="told"):
    """What came of it: the reply, without an id. Where the sender does not lead it did nothing: ask the next."""

    number: Number
    reply: msgspec.Raw
    leads: bool = True


class _AppendEntriesHeader(msgspec.Struct, frozen=True, tag_field="type", tag="append_entries"):
    term: Number
    prev_index: Number
    prev_term: Number
    commit_index: Number
    round: Number
    count: Count


class _InstallSnapshotHeader(msgspec.Struct, frozen=True, tag_field="type", tag="install_snapshot"):
    term: Number
    last_included_index: Number
    last_included_term: Number
    offset: Number
    done: bool
    count: Count


class _ProposeHeader(msgspec.Struct, frozen=True, tag_field="type", tag="propose"):
    number: Number
    count: Count


PeerMessage = (
    Message
    | FormationView
    | Propose
    | Proposed
    | NotProposed
    | ReadIndexRequest
    | ReadIndexReply
    | Ask
    | Told
    | PeerHello
    | PeerRefused
)
"""Everything that goes over a link."""

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
    | Ask
    | Told
    | _AppendEntriesHeader
    | _ProposeHeader
    | _InstallSnapshotHeader
    | InstallSnapshotReply
    | TimeoutNow
)
_handshakes: Final = Decoder(PeerHello | PeerRefused)


def encode(message: PeerMessage) -> bytes:
    """The message's lines, each ended by a newline."""
    if isinstance(message, AppendEntries):
        header = (
            b'{"type":"append_entries","term":%d,"prev_index":%d,"prev_term":%d,"commit_index":%d,"round":%d,"count":%d}\n'
            % (
                message.term,
                message.prev_index,
                message.prev_term,
                message.commit_index,
                message.round,
                len(message.entries),
            )
        )
        return header + Entries.of(message.entries).data
    if isinstance(message, Propose):
        header = b'{"type":"propose","number":%d,"count":%d}\n' % (message.number, len(message.commands))
        return header + b"".join([b"%b\n" % command for command in message.commands])
    if isinstance(message, InstallSnapshot):
        return _encode_snapshot(message)
    return encode_json(message) + b"\n"


def _encode_snapshot(message: InstallSnapshot) -> bytes:
    header = _InstallSnapshotHeader(
        message.term,
        message.last_included_index,
        message.last_included_term,
        message.offset,
        message.done,
        message.data.count(b"\n"),
    )
    return encode_json(header) + b"\n" + message.data


def decode_handshake(line: bytes) -> PeerHello | PeerRefused:
    """Read the first line on a connection between nodes, or the answer to it. Raises BadLine."""
    try:
        message: PeerHello | PeerRefused = _handshakes.decode(line)
    except DecodeError as error:
        raise BadLine(f"no handshake: {error}") from None
    return message


class PeerDecoder:
    """Lines to messages."""

    def __init__(self) -> None:
        self._header: _AppendEntriesHeader | _ProposeHeader | _InstallSnapshotHeader | None = None
        self._missing = 0
        self._runs: list[Run] = []
        self._lines: list[bytes] = []
        self._index = 0
        self._term = 0

    def feed(self, lines: Sequence[bytes]) -> Iterator[PeerMessage]:
        """Take lines; the messages that they complete, in order. Raises BadLine."""
        position = 0
        while position < len(lines):
            if self._header is None:
                message = self._begin(lines[position])
                position += 1
            else:
                taken = lines[position : position + self._missing]
                position += len(taken)
                message = self._go_on(taken, self._header)
            if message is not None:
                yield message

    def _begin(self, line: bytes) -> PeerMessage | None:
        try:
            header = _headers.decode(line)
        except DecodeError as error:
            raise BadLine(str(error)) from None
        if not isinstance(header, (_AppendEntriesHeader, _ProposeHeader, _InstallSnapshotHeader)):
            _check_numbers(header)
            message: PeerMessage = header
            return message
        self._header = header
        self._missing = header.count
        if isinstance(header, _AppendEntriesHeader):
            if header.prev_term > header.term or (header.prev_index == 0) != (header.prev_term == 0):
                raise BadLine("prev_index and prev_term fit no log")
            self._index, self._term = header.prev_index, header.prev_term
        return None if self._missing else self._complete()

    def _go_on(
        self, lines: Sequence[bytes], header: _AppendEntriesHeader | _ProposeHeader | _InstallSnapshotHeader
    ) -> PeerMessage | None:
        """Take lines that the header counts, and no others."""
        if isinstance(header, _AppendEntriesHeader):
            commands = parse_commands(lines, self._index + 1, self._term)
            if commands is not None:
                self._runs += commands.runs
                self._index += len(commands)
            else:
                for line in lines:
                    self._take_entry(line, header)
        else:
            self._lines.extend(lines)
        self._missing -= len(lines)
        return None if self._missing else self._complete()

    def _take_entry(self, line: bytes, header: _AppendEntriesHeader) -> None:
        """Take what may be the first of a term, or of another kind."""
        entry = parse(line)
        if entry.index != self._index + 1:
            raise BadLine(f"entry {entry.index} follows {self._index}")
        if not self._term <= entry.term <= header.term:
            raise BadLine(f"entry {entry.index} has term {entry.term}, between {self._term} and {header.term}")
        self._index, self._term = entry.index, entry.term
        self._runs += Entries.of([entry]).runs

    def _complete(self) -> PeerMessage:
        header = self._header
        self._header = None
        if isinstance(header, _AppendEntriesHeader):
            runs, self._runs = self._runs, []
            return AppendEntries(
                header.term, header.prev_index, header.prev_term, header.commit_index, header.round, Entries(runs)
            )
        assert header is not None
        lines, self._lines = self._lines, []
        if isinstance(header, _ProposeHeader):
            return Propose(header.number, lines)
        data = b"".join([b"%b\n" % line for line in lines])
        return InstallSnapshot(
            header.term, header.last_included_index, header.last_included_term, header.offset, header.done, data
        )


def _check_numbers(message: msgspec.Struct) -> None:
    """Refuse absurd numbers: the core's own structs carry no bounds."""
    for name, value in zip(message.__struct_fields__, msgspec.structs.astuple(message), strict=True):
        if type(value) is int and not 0 <= value <= 2**63 - 1:
            raise BadLine(f"{name} is out of bounds")
