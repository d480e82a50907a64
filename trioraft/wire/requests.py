"""What clients ask: lines to typed requests, with everything checked at the door.

A line that begins with `{` is a request in JSON; any other is a word command for people, read-only ones alone.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Final, Literal

import msgspec

from trioraft.wire.codec import DecodeError, Decoder, decode, encode

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

    words: bool = False


class Hello(Request, tag="hello", kw_only=True, gc=False):
    """Which program, node and versions answer."""


AnyRequest = Get | Put | Delete | Incr | Scan | Status | ShowLog | Ping | Help | Hello
WRITES: Final = (Put, Delete, Incr)

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
}
"""Every operation, with a request that can be typed."""

_WORDS: Final = ("help", "ping", "status", "get", "show_log")


class RequestError(ValueError):
    """A request that cannot be taken; it had no effect. `id` is the request's own, raw, if it had one."""

    def __init__(self, code: str, message: str, hint: str, id: bytes = b"", applied: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.id = id
        self.applied = applied


_decoder: Final = Decoder(AnyRequest)
_object_decoder: Final = Decoder(dict[str, msgspec.Raw])
_HTTP: Final = re.compile(rb"(?:[A-Z]+ \S+ HTTP/[0-9.]+|[A-Za-z-]+:(?: .*|))\s*")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def parse_request(line: bytes) -> AnyRequest:
    """Read one line, without its end. Raises RequestError."""
    if line[0] != 0x7B and line.lstrip()[:1] != b"{":
        return _parse_words(line)
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth(line) > MAX_DEPTH + 1:
        raise RequestError(
            "too_deep",
            f"a value nests at most {MAX_DEPTH} deep",
            "store it flatter, or as a string",
            _id_of(line),
            "no",
        )
    try:
        request: AnyRequest = _decoder.decode(line)
    except DecodeError as error:
        request = _parse_again(line, str(error))
    if request.id is not _NO_ID and bytes(request.id)[:1] in (b"{", b"["):
        raise RequestError("bad_request", "an id is a string, a number, true, false or null", _hint(request))
    if b"\\u" in line:
        _check_surrogates(line, request)
    if not (line.isascii() and b"\\" not in line):
        _check_lengths(request)
    return request


def _check_surrogates(line: bytes, request: AnyRequest) -> None:
    if _has_lone_surrogate(line):
        message = "half of a surrogate pair stands alone, which is no text"
        raise RequestError("bad_json", message, "escape both halves, or send UTF-8", _id_of(line), _applied(request))


def _check_lengths(request: AnyRequest) -> None:
    """The decoder has counted characters; of those beyond ASCII each has several bytes."""
    for name in ("key", "prefix", "after"):
        text = getattr(request, name, None)
        if text is not None and len(text.encode()) > MAX_KEY_BYTES:
            message = f"{name!r} is longer than {MAX_KEY_BYTES} bytes"
            raise RequestError("bad_request", message, "use a shorter one", bytes(request.id), _applied(request))


def http_request(line: bytes) -> bool:
    """Whether a browser or another HTTP client speaks: a request line, or a header."""
    return _HTTP.fullmatch(line) is not None


def _parse_words(line: bytes) -> AnyRequest:
    try:
        words = line.decode().split()
    except UnicodeDecodeError:
        raise RequestError("bad_json", "the line is not UTF-8", f"type 'help', or {EXAMPLES['get']}") from None
    match words:
        case ["help"]:
            return Help(words=True)
        case ["ping"]:
            return Ping()
        case ["status"]:
            return Status()
        case ["show_log" | "show-log"]:
            return ShowLog()
        case ["get", key] if len(key.encode()) <= MAX_KEY_BYTES:
            return Get(key=key)
    word = words[0]
    if word == "get":
        raise RequestError("bad_request", "get takes one key without blanks", f"type 'get name', or {EXAMPLES['get']}")
    if word in EXAMPLES:
        raise RequestError("bad_request", f"'{word}' has to be asked in JSON", f"type {EXAMPLES[word]}")
    near = difflib.get_close_matches(word, _WORDS, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise RequestError("bad_json", "the line is neither JSON nor a command", f"{hint}type 'help', or {EXAMPLES['get']}")


def _parse_again(line: bytes, why: str) -> AnyRequest:
    """Decode a line that the typed decoder refused: for its duplicates, or to say well what is wrong."""
    try:
        fields: dict[str, msgspec.Raw] = _object_decoder.decode(line)
    except DecodeError as error:
        raise RequestError("bad_json", f"the line is not JSON: {error}", f"for example {EXAMPLES['put']}") from None
    id = bytes(fields.get("id", b""))
    try:
        op: Any = decode(bytes(fields["op"])) if "op" in fields else None
        if op in EXAMPLES:
            # Of a duplicate the last counts; in the object that is left, each name stands once.
            again: AnyRequest = _decoder.decode(encode(fields))
            return again
    except DecodeError as error:
        why = str(error)
    applied = "no" if op in ("put", "delete", "incr") else None
    if op is None:
        raise RequestError("bad_request", "the request has no 'op'", f"for example {EXAMPLES['put']}", id)
    if op not in EXAMPLES:
        near = difflib.get_close_matches(str(op), EXAMPLES, 1)
        hint = f"did you mean {EXAMPLES[near[0]]} ?" if near else f"there are: {', '.join(EXAMPLES)}"
        raise RequestError("unknown_op", f"there is no operation {op!r}", hint, id)
    raise RequestError("bad_request", why.replace(" - at `$.", " - in `"), f"for example {EXAMPLES[op]}", id, applied)


def _id_of(line: bytes) -> bytes:
    try:
        fields: dict[str, msgspec.Raw] = _object_decoder.decode(line)
    except DecodeError:
        return b""  # deeper than the decoder goes: it may not even be JSON
    return bytes(fields.get("id", b""))


def _applied(request: AnyRequest) -> str | None:
    return "no" if isinstance(request, WRITES) else None


def _hint(request: AnyRequest) -> str:
    return f"for example {EXAMPLES[request.__struct_config__.tag]}"  # type: ignore[index]


def _depth(line: bytes) -> int:
    """How deep the line nests, or one more than is allowed where it nests deeper."""
    brackets = _STRING.sub(b"", line).translate(_BRACKETS, b"").translate(None, _NOT_BRACKETS)
    for depth in range(MAX_DEPTH + 2):
        flatter = brackets.replace(b"[]", b"")
        if flatter == brackets:
            # What is left does not pair up: no JSON, unless nothing is left.
            return MAX_DEPTH + 2 if len(brackets) > MAX_DEPTH else depth
        brackets = flatter
    return MAX_DEPTH + 2


def _has_lone_surrogate(line: bytes) -> bool:
    high_at = -1
    for match in _ESCAPE.finditer(line):
        code = int(match[1], 16) if match[1] else 0
        if 0xDC00 <= code <= 0xDFFF:
            if high_at != match.start():
                return True
            high_at = -1
            continue
        if high_at >= 0:
            return True
        high_at = match.end() if 0xD800 <= code <= 0xDBFF else -1
    return high_at >= 0
