"""What clients ask: lines to typed requests, with everything checked at the door.

A line that begins with `{` is a request in JSON; any other is a word command for people, read-only ones alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Annotated, Final, Literal

import msgspec

from trioraft.addresses import parse_address
from trioraft.wire.codec import DecodeError, Decoder, decode, encode
from trioraft.wire.complaints import in_words

MAX_DEPTH: Final = 128
"""How deep a value may nest; deeper ones would fail at a depth that depends on the reader's stack."""
MAX_KEY_BYTES: Final = 1024
MAX_INTEGER: Final = 2**63 - 1

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_BYTES)]
Prefix = Annotated[str, msgspec.Meta(max_length=MAX_KEY_BYTES)]
Revision = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
Read = Literal["linearizable", "stale"]

_NO_ID: Final = msgspec.Raw(b"")


class Request(msgspec.Struct, tag_field="op", forbid_unknown_fields=True, kw_only=True, gc=False):
    """What every request may have: an id that comes back with the reply, and a time it may take."""

    id: msgspec.Raw = _NO_ID
    timeout_ms: Milliseconds | None = None
    forward: bool = True


class Get(Request, tag="get", kw_only=True, gc=False):
    """The value of a key."""

    key: Key
    read: Read = "linearizable"


class Put(Request, tag="put", kw_only=True, gc=False):
    """Give a key a value."""

    key: Key
    value: msgspec.Raw
    if_rev: Revision | None = None


class Delete(Request, tag="delete", kw_only=True, gc=False):
    """Remove a key."""

    key: Key
    if_rev: Revision | None = None


class Incr(Request, tag="incr", kw_only=True, gc=False):
    """Add to the integer at a key."""

    key: Key
    by: Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)] = 1


class Scan(Request, tag="scan", kw_only=True, gc=False):
    """The keys with a prefix, in order."""

    prefix: Prefix = ""
    after: Prefix | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1000
    keys_only: bool = False
    read: Read = "linearizable"


class Status(Request, tag="status", kw_only=True, gc=False):
    """How this node sees itself and the cluster."""


class ShowLog(Request, tag="show_log", kw_only=True, gc=False):
    """Entries of this node's own log."""

    from_: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)] | None = msgspec.field(name="from", default=None)
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class Ping(Request, tag="ping", kw_only=True, gc=False):
    """Whether the node answers."""


class Help(Request, tag="help", kw_only=True, gc=False):
    """What can be asked."""


class HelpInWords(Request, kw_only=True, gc=False):
    """The same for a person, in lines of text. In JSON it cannot be asked: there each reply is one line."""


class Hello(Request, tag="hello", kw_only=True, gc=False):
    """Which program, node and versions answer."""


class Members(Request, tag="members", kw_only=True, gc=False):
    """Who belongs to the cluster, and how many of them may fail."""


class Snapshot(Request, tag="snapshot", kw_only=True, gc=False):
    """Let this node write a snapshot, and shorten its log."""


class ReadSnapshot(Request, tag="read_snapshot", kw_only=True, gc=False):
    """A piece of this node's newest snapshot, which must be the one that ends there."""

    index: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 0


Node = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]


class AdminRequest(Request, kw_only=True, gc=False):
    """What the leader carries out, and any node passes on."""


class AddMember(AdminRequest, tag="add_member", kw_only=True, gc=False):
    """Take in a newcomer at that address; it gets the next id, and a vote once it has caught up."""

    address: Annotated[str, msgspec.Meta(max_length=300)]
    learner: bool = False
    """Whether it is never to vote, unless it is promoted."""

    def __post_init__(self) -> None:
        """Write the address as all others are written. Raises AddressError, which becomes an error of the decoder."""
        self.address = str(parse_address(self.address))


class RemoveMember(AdminRequest, tag="remove_member", kw_only=True, gc=False):
    """Let a member go, for good."""

    member: Node
    force: bool = False
    """Whether to do it though no majority of the others is live."""


class PromoteMember(AdminRequest, tag="promote_member", kw_only=True, gc=False):
    """Let a learner vote, once it has caught up."""

    member: Node


class TransferLeadership(AdminRequest, tag="transfer_leadership", kw_only=True, gc=False):
    """Let that node lead, or the one that has most."""

    target: Node | None = None


_FullRequest = (
    Get
    | Put
    | Delete
    | Incr
    | Scan
    | Status
    | ShowLog
    | Ping
    | Help
    | Hello
    | Members
    | Snapshot
    | ReadSnapshot
    | AddMember
    | RemoveMember
    | PromoteMember
    | TransferLeadership
)


class _Plain(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A request with nothing of what it may have besides, but an id: it is read in less time, and needs no look."""

    id: msgspec.Raw = _NO_ID

    @property
    def timeout_ms(self) -> None:
        """As long as it takes."""

    @property
    def forward(self) -> bool:
        """It may be passed on."""
        return True


class PlainGet(_Plain, kw_only=True, gc=False):
    """The value of a key, and nothing stale."""

    op: Literal["get"]  # as a tag it could be left out, where no other kind can be meant
    key: Key

    @property
    def read(self) -> Read:
        """How new it has to be."""
        return "linearizable"


class PlainPut(_Plain, kw_only=True, gc=False):
    """Give a key a value, whatever it has now."""

    op: Literal["put"]
    key: Key
    value: msgspec.Raw


AnyRequest = _FullRequest | PlainGet | PlainPut | HelpInWords
WRITES: Final = (Put, PlainPut, Delete, Incr)
LATER: Final = (AddMember, RemoveMember, PromoteMember, TransferLeadership, Snapshot)
"""What takes its time and is neither an entry for the store nor a look at the state. All that is
neither here nor a write is a read."""

EXAMPLES: Final = {
    "get": '{"op":"get","key":"name"}',
    "put": '{"op":"put","key":"name","value":"Alice"}',
    "delete": '{"op":"delete","key":"name"}',
    "scan": '{"op":"scan","prefix":"na","limit":10}',
    "incr": '{"op":"incr","key":"visits","by":1}',
    "status": '{"op":"status"}',
    "show_log": '{"op":"show_log","limit":10}',
    "ping": '{"op":"ping"}',
    "help": '{"op":"help"}',
    "hello": '{"op":"hello"}',
    "members": '{"op":"members"}',
    "add_member": '{"op":"add_member","address":"10.0.0.4:8000"}',
    "remove_member": '{"op":"remove_member","member":2}',
    "promote_member": '{"op":"promote_member","member":3}',
    "transfer_leadership": '{"op":"transfer_leadership","target":1}',
    "snapshot": '{"op":"snapshot"}',
    "read_snapshot": '{"op":"read_snapshot","index":1234,"offset":0}',
}
"""Every operation, with a request that can be typed."""

_CHANGES: Final = ("put", "delete", "incr", "add_member", "remove_member", "promote_member", "transfer_leadership")
_WORDS: Final = ("help", "ping", "status", "get", "show_log", "members")


class RequestError(ValueError):
    """A request that cannot be taken; it had no effect. `id` is the request's own, raw, if it had one."""

    def __init__(self, code: str, message: str, hint: str, id: bytes = b"", applied: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.id = id
        self.applied = applied


class HttpRequest(ValueError):
    """A browser or another HTTP client speaks."""


_decoder: Final = Decoder(_FullRequest)
_plain_gets: Final = Decoder(PlainGet)
_plain_puts: Final = Decoder(PlainPut)
_object_decoder: Final = Decoder(dict[str, msgspec.Raw])
_HTTP: Final = re.compile(rb"(?:[A-Z]+ \S+ HTTP/[0-9.]+|[A-Za-z-]+:(?: .*|))\s*")
# To look for one byte is four times as quick by its number.
_BRACE: Final = ord("{")
_BRACKET: Final = ord("[")
_BACKSLASH: Final = ord("\\")
# No way back into what has matched, and a string without an end ends with the line: a hostile line must not be
# gone through once for each of its quotes.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_PAIRED: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)*+", re.DOTALL
)
"""JSON in which no half of a surrogate pair stands alone."""
_HALF_A_PAIR: Final = "half of a surrogate pair stands alone, which is no text"
_PAIR_HINT: Final = "escape both halves, or send UTF-8"
_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
"""What a bracket does to the depth, as a signed byte."""
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_OUTLINE: Final = b"{}\n"
"""What a plain line is to have of what could make it something else."""
_NOT_OF_THE_OUTLINE: Final = bytes(set(range(128)) - set(b"{}[]\\\r\n"))
_LONGEST_QUOTED: Final = 100
"""How much of what a client sent is said again in an error: so much that it knows its own words."""


def parse_request(line: bytes) -> AnyRequest:
    """Read one line, without its end. Raises RequestError, HttpRequest."""
    if line[0] != _BRACE and line.lstrip()[:1] != b"{":
        return _parse_words(line)
    nests = _BRACKET in line or line.rfind(b"{") > 0
    if nests and line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth(line) > MAX_DEPTH + 1:
        raise RequestError(
            "too_deep",
            f"a value nests at most {MAX_DEPTH} deep",
            "store it flatter, or as a string",
            id_of(line),
            "no",
        )
    try:
        request: AnyRequest = _decoder.decode(line)
    except DecodeError as error:
        request = _parse_again(line, str(error))
    if nests and bytes(request.id)[:1] in (b"{", b"["):
        raise RequestError("bad_request", "an id is a string, a number, true, false or null", _hint(request))
    escapes = _BACKSLASH in line
    if escapes and b"\\u" in line:
        _check_surrogates(line, request)
    if escapes or not line.isascii():
        _check_lengths(request)
    return request


def parse_alike(lines: bytes, most: int) -> list[AnyRequest] | None:
    """Read lines at once, each with its newline, that are all puts, or all gets, of the plainest kind.

    None where they may be anything else, or are more than so many. Where each has one brace that opens, and then one
    that closes and ends it, each is an object, and no object is in two of them, if as many objects are found.
    """
    outline = lines.translate(None, _NOT_OF_THE_OUTLINE)
    count = len(outline) // len(_OUTLINE)
    if not 0 < count <= most or outline != _OUTLINE * count:
        return None
    gets = lines.find(b'"get"', 0, lines.index(b"\n")) >= 0
    try:
        requests: list[AnyRequest] = (_plain_gets if gets else _plain_puts).decode_lines(lines)
    except DecodeError:
        return None  # which of them is something else, or wrong, is for `parse_request` to say
    return requests if len(requests) == count else None


def is_plain(request: AnyRequest) -> bool:
    """Whether it goes the way of its neighbours of the same kind, with nothing of its own that decides."""
    if type(request) is Put:
        usual = request.if_rev is None
    elif type(request) is Get:
        usual = request.read == "linearizable"
    else:
        return False
    return usual and request.timeout_ms is None and request.forward


def without_id(request: AdminRequest) -> bytes:
    """The request as a line, for another node."""
    fields = {name: value for name, value in msgspec.structs.asdict(request).items() if name != "id"}
    return encode({"op": type(request).__struct_config__.tag, **fields})


def _check_surrogates(line: bytes, request: AnyRequest) -> None:
    if not _PAIRED.fullmatch(line):
        raise RequestError("bad_json", _HALF_A_PAIR, _PAIR_HINT, id_of(line), _applied(request))


def _check_lengths(request: AnyRequest) -> None:
    """The decoder has counted characters; of those beyond ASCII each has several bytes."""
    for name in ("key", "prefix", "after"):
        text = getattr(request, name, None)
        if text is not None and len(text.encode()) > MAX_KEY_BYTES:
            message = f"{name!r} is longer than {MAX_KEY_BYTES} bytes"
            raise RequestError("bad_request", message, "use a shorter one", bytes(request.id), _applied(request))


def _parse_words(line: bytes) -> AnyRequest:
    if _HTTP.fullmatch(line):  # a request line, or a header
        raise HttpRequest
    try:
        words = line.decode().split()
    except UnicodeDecodeError:
        raise RequestError("bad_json", "the line is not UTF-8", f"type 'help', or {EXAMPLES['get']}") from None
    match words:
        case ["help"]:
            return HelpInWords()
        case ["ping"]:
            return Ping()
        case ["status"]:
            return Status()
        case ["show_log" | "show-log"]:
            return ShowLog()
        case ["members"]:
            return Members()
        case ["get", key] if len(key.encode()) <= MAX_KEY_BYTES:
            return Get(key=key)
    word = words[0] if words else ""  # there are more blanks than those that make a line blank
    if word == "get":
        raise RequestError("bad_request", "get takes one key without blanks", f"type 'get name', or {EXAMPLES['get']}")
    if word in EXAMPLES:
        raise RequestError("bad_request", f"'{word}' has to be asked in JSON", f"type {EXAMPLES[word]}")
    near = _nearest(word, _WORDS)
    hint = f"did you mean '{near}'? " if near else ""
    raise RequestError("bad_json", "the line is neither JSON nor a command", f"{hint}type 'help', or {EXAMPLES['get']}")


def _parse_again(line: bytes, why: str) -> AnyRequest:
    """Decode a line that the typed decoder refused: for its duplicates, or to say well what is wrong."""
    try:
        fields: dict[str, msgspec.Raw] = _object_decoder.decode(line)
    except DecodeError as error:
        raise _no_json(line, str(error)) from None
    id = _scalar(fields.get("id"))
    raw = bytes(fields.get("op", b"null"))
    if raw == b"null":
        raise RequestError("bad_request", "the request has no 'op'", f"for example {EXAMPLES['put']}", id)
    try:
        op = decode(raw, str)
    except DecodeError:
        message = f"an 'op' is a string, and not {_quoted(raw.decode())}"
        raise RequestError("bad_request", message, f"for example {EXAMPLES['put']}", id) from None
    if op not in EXAMPLES:
        near = _nearest(op, EXAMPLES)
        hint = f"did you mean {EXAMPLES[near]} ?" if near else f"there are: {', '.join(EXAMPLES)}"
        raise RequestError("unknown_op", f"there is no operation {_quoted(op)!r}", hint, id)
    try:
        # Of a duplicate the last counts; in the object that is left, each name stands once.
        again: AnyRequest = _decoder.decode(encode(fields))
        return again
    except DecodeError as error:
        why = str(error)
    applied = "no" if op in _CHANGES else None
    raise RequestError("bad_request", _quoted(in_words(why)), f"for example {EXAMPLES[op]}", id, applied)


def _no_json(line: bytes, why: str) -> RequestError:
    """What to answer; of half of a surrogate pair the decoder says that the line was truncated."""
    if line.rstrip()[-1:] == b"}" and not _PAIRED.fullmatch(line):
        return RequestError("bad_json", _HALF_A_PAIR, _PAIR_HINT)
    if why == "Input data was truncated":
        why = "it ends before it is whole"
    return RequestError("bad_json", f"the line is not JSON: {why}", f"for example {EXAMPLES['put']}")


def _nearest(word: str, known: Iterable[str]) -> str | None:
    """What was probably meant. Nobody means anything by a megabyte, and to compare it takes its time."""
    near = difflib.get_close_matches(word, known, 1) if len(word) <= _LONGEST_QUOTED else []
    return near[0] if near else None


def _quoted(text: str) -> str:
    """The text, or its beginning."""
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}…"


def _scalar(id: msgspec.Raw | None) -> bytes:
    """An id that can be given back: what is no scalar is none."""
    raw = b"" if id is None else bytes(id)
    return b"" if raw[:1] in (b"{", b"[") else raw


def id_of(line: bytes) -> bytes:
    """The id of a request, raw, also where another field of it is wrong; nothing where there is none."""
    try:
        fields: dict[str, msgspec.Raw] = _object_decoder.decode(line)
    except DecodeError:
        return b""  # deeper than the decoder goes: it may not even be JSON
    return _scalar(fields.get("id"))


def _applied(request: AnyRequest) -> str | None:
    return "no" if isinstance(request, WRITES) else None


def _hint(request: AnyRequest) -> str:
    return f"for example {EXAMPLES[request.__struct_config__.tag]}"  # type: ignore[index]


def _depth(line: bytes) -> int:
    """How deep the line nests; how well its brackets pair up is for the decoder to say."""
    steps = _STRING.sub(b"", line).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)
