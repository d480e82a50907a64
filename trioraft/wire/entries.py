"""The one encoding of an entry, for the log file, the peers and the screen.

    {"crc":"1a2b3c4d","index":12,"term":3,"command":{...}}

The name of the field after `term` is the entry's kind. The leader makes the line; nobody ever encodes it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from zlib import crc32

from trioraft.raft.membership import Configuration
from trioraft.raft.messages import Entry, Kind
from trioraft.raft.runs import RUN_BYTES, Entries, Run, runs_of
from trioraft.wire.codec import BadLine, DecodeError, Decoder, encode, open_line

_HEAD: Final = re.compile(rb'\{"crc":"([0-9a-f]{8})","index":([1-9][0-9]{0,18}),"term":([1-9][0-9]{0,18}),"([a-z_]+)":')
_BODY_AT: Final = len(b'{"crc":"00000000",')
_KIND: Final[dict[bytes, Kind]] = {b"noop": "noop", b"command": "command", b"configuration": "configuration"}
_MARKER: Final[dict[Kind, bytes]] = {kind: b',"%b":' % name for name, kind in _KIND.items()}
_configurations: Final = Decoder(Configuration)


class UnknownKind(BadLine):
    """An intact entry of a kind that this program does not know: the node has to be upgraded."""


def seal(index: int, term: int, kind: Kind, payload: bytes) -> Entry:
    """Make an entry and its line."""
    body = b'"index":%d,"term":%d,"%b":%b}' % (index, term, kind.encode(), payload)
    return Entry(index, term, kind, b'{"crc":"%08x",%b' % (crc32(body), body))


def seal_commands(first: int, term: int, payloads: Sequence[bytes]) -> Entries:
    """Make an entry and its line for each command: `seal` for many commands at once."""
    if len(payloads) == 1 and len(payloads[0]) > RUN_BYTES:
        return Entries([_seal_long(first, term, payloads[0])])
    middle = b',"term":%d,"command":' % term
    bodies = [b'"index":%d%b%b}' % (index, middle, payload) for index, payload in enumerate(payloads, first)]
    lines = [b'{"crc":"%08x",%b' % sealed for sealed in zip(map(crc32, bodies), bodies, strict=True)]
    return Entries(runs_of(first, term, "command", lines))


def _seal_long(index: int, term: int, payload: bytes) -> Run:
    """Make the entry of one long command, with a single copy of the command."""
    head = b'"index":%d,"term":%d,"command":' % (index, term)
    crc = crc32(b"}", crc32(payload, crc32(head)))
    data = b"".join([b'{"crc":"%08x",' % crc, head, payload, b"}\n"])
    return Run(index, index, term, "command", data, crc32(data))


def parse(line: bytes) -> Entry:
    """Read an entry's line, without its newline, and check it. Raises BadLine, UnknownKind."""
    match = _HEAD.match(line)
    if match is None or line[-1:] != b"}":
        open_line(line)
        raise BadLine("it is no entry")
    crc, index, term, name = match.groups()
    if b"%08x" % crc32(memoryview(line)[_BODY_AT:]) != crc:
        raise BadLine("its checksum does not fit")
    kind = _KIND.get(name)
    if kind is None:
        raise UnknownKind(f"an entry of the kind {name.decode()!r} comes from a newer version: upgrade this node")
    entry = Entry(int(index), int(term), kind, line)
    if kind == "configuration":
        read_configuration(entry)
    return entry


def read_commands(data: bytes, crc: int, first: int, count: int, term: int) -> Entries:
    """Read `count` lines, which are commands of `term` from the index `first` on. Raises BadLine.

    The caller has checked `crc`, the CRC-32 of all lines. So only the first and the last line are checked for their
    index and term: to check every line again would cost as much as the whole rest of its way to the disk.
    """
    last = first + count - 1
    ends = {first: data[: data.find(b"\n")]}
    if count > 1:
        ends[last] = data[data.rfind(b"\n", 0, -1) + 1 : -1]
    for index, line in ends.items():
        if parse(line) != Entry(index, term, "command", line):
            raise BadLine(f"entry {index} is no command of term {term}")
    if len(data) > RUN_BYTES and count > 1:
        return Entries(runs_of(first, term, "command", data[:-1].split(b"\n")))
    return Entries([Run(first, last, term, "command", data, crc)])


def payload(entry: Entry) -> bytes:
    """The JSON that the entry carries: a command, a configuration, or null."""
    marker = _MARKER[entry.kind]
    return entry.line[entry.line.index(marker) + len(marker) : -1]


def payloads(run: Run) -> Iterator[memoryview]:
    """Yield the payload of each entry of the run, in order, as a view of the run's own bytes."""
    data, marker = run.data, _MARKER[run.kind]
    view = memoryview(data)
    end = 0
    for _ in range(run.count):
        begin = data.index(marker, end) + len(marker)
        end = data.index(b"\n", begin)
        yield view[begin : end - 1]


def read_configuration(entry: Entry) -> Configuration:
    """Read the configuration that an entry carries. Raises BadLine."""
    try:
        configuration: Configuration = _configurations.decode(payload(entry))
    except DecodeError as error:
        raise BadLine(f"it holds no members: {error}") from None
    return configuration


def write_configuration(configuration: Configuration) -> bytes:
    """Encode a configuration as the payload of an entry."""
    return encode(configuration)
