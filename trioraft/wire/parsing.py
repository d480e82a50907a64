"""The door: clients' lines to requests, with everything checked; all that is asked of them comes from the table.

A line that begins with `{` is a request in JSON; any other is a word command for people, read-only ones alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from functools import reduce
from itertools import accumulate
from operator import attrgetter, or_
from typing import Any, Final

import msgspec

from trioraft.wire.codec import DecodeError, Decoder, decode, encode
from trioraft.wire.complaints import in_words
from trioraft.wire.operations import (
    MAX_KEY_BYTES,
    OPERATION_OF,
    OPERATIONS,
    AnyRequest,
    Operation,
    PlainRequest,
)

MAX_DEPTH: Final = 128
"""How deep a value may nest; deeper ones would fail at a depth that depends on the reader's stack."""


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


_decoder: Final = Decoder(reduce(or_, [row.request for row in OPERATIONS.values()]))
_plain_decoders: Final = [
    (encode(row.name), Decoder(row.plain)) for row in OPERATIONS.values() if row.plain is not None
]
"""For each operation with plain requests: what the first of them holds, its name in quotes, and what reads them."""
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
_FOR_EXAMPLE: Final = f"for example {OPERATIONS['put'].example}"
_TYPE_HELP: Final = f"type 'help', or {OPERATIONS['get'].example}"


def _usual_of(row: Operation, plain: type[PlainRequest]) -> tuple[Callable[[Any], object], object]:
    """Gives what a request has that a plain one has not; and what that is where the request is like a plain one."""
    fields = [field for field in msgspec.structs.fields(row.request) if field.name not in plain.__struct_fields__]
    return attrgetter(*[field.name for field in fields]), tuple(field.default for field in fields)


_usual: Final[dict[type[AnyRequest], tuple[Callable[[Any], object], object]]] = {
    row.request: _usual_of(row, row.plain) for row in OPERATIONS.values() if row.plain is not None
}
"""For each type of which a request may be plain."""


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
    """Read lines at once, each with its newline, that are all plain requests of one operation.

    None where they may be anything else, or are more than so many. Where each has one brace that opens, and then one
    that closes and ends it, each is an object, and no object is in two of them, if as many objects are found.
    """
    outline = lines.translate(None, _NOT_OF_THE_OUTLINE)
    count = len(outline) // len(_OUTLINE)
    if not 0 < count <= most or outline != _OUTLINE * count:
        return None
    end = lines.index(b"\n")
    for name, decoder in _plain_decoders:
        if lines.find(name, 0, end) >= 0:
            try:
                requests: list[AnyRequest] = decoder.decode_lines(lines)
            except DecodeError:
                return None  # which of them is something else, or wrong, is for `parse_request` to say
            return requests if len(requests) == count else None
    return None


def is_plain(request: AnyRequest) -> bool:
    """Whether it goes the way of its neighbours of the same kind, with nothing of its own that decides."""
    usual = _usual.get(type(request))
    return usual is not None and usual[0](request) == usual[1]


def without_id(request: AnyRequest) -> bytes:
    """The request as a line, for another node."""
    fields = {name: value for name, value in msgspec.structs.asdict(request).items() if name != "id"}
    return encode({"op": OPERATION_OF[type(request)].name, **fields})


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
        raise RequestError("bad_json", "the line is not UTF-8", _TYPE_HELP) from None
    name, *rest = words or [""]  # there are more blanks than those that make a line blank
    row = OPERATIONS.get(name.replace("-", "_"))
    if row is not None and row.word and row.takes_key:
        key = rest[0] if len(rest) == 1 else ""
        if key and len(key.encode()) <= MAX_KEY_BYTES:
            return row.request(key=key)  # type: ignore[call-arg]
        why = f"{name} takes one key without blanks"
        raise RequestError("bad_request", why, f"type '{name} name', or {row.example}")
    if row is not None and row.word and not rest:
        return (row.spoken or row.request)()
    if name in OPERATIONS:
        raise RequestError("bad_request", f"'{name}' has to be asked in JSON", f"type {OPERATIONS[name].example}")
    near = _nearest(name, [row.name for row in OPERATIONS.values() if row.word])
    hint = f"did you mean '{near}'? " if near else ""
    raise RequestError("bad_json", "the line is neither JSON nor a command", f"{hint}{_TYPE_HELP}")


def _parse_again(line: bytes, why: str) -> AnyRequest:
    """Decode a line that the typed decoder refused: for its duplicates, or to say well what is wrong."""
    try:
        fields: dict[str, msgspec.Raw] = _object_decoder.decode(line)
    except DecodeError as error:
        raise _no_json(line, str(error)) from None
    id = _scalar(fields.get("id"))
    raw = bytes(fields.get("op", b"null"))
    if raw == b"null":
        raise RequestError("bad_request", "the request has no 'op'", _FOR_EXAMPLE, id)
    try:
        op = decode(raw, str)
    except DecodeError:
        message = f"an 'op' is a string, and not {_quoted(raw.decode())}"
        raise RequestError("bad_request", message, _FOR_EXAMPLE, id) from None
    row = OPERATIONS.get(op)
    if row is None:
        near = _nearest(op, OPERATIONS)
        hint = f"did you mean {OPERATIONS[near].example} ?" if near else f"there are: {', '.join(OPERATIONS)}"
        raise RequestError("unknown_op", f"there is no operation {_quoted(op)!r}", hint, id)
    try:
        # Of a duplicate the last counts; in the object that is left, each name stands once.
        again: AnyRequest = _decoder.decode(encode(fields))
        return again
    except DecodeError as error:
        why = str(error)
    applied = "no" if row.changes else None
    raise RequestError("bad_request", _quoted(in_words(why)), f"for example {row.example}", id, applied)


def _no_json(line: bytes, why: str) -> RequestError:
    """What to answer; of half of a surrogate pair the decoder says that the line was truncated."""
    if line.rstrip()[-1:] == b"}" and not _PAIRED.fullmatch(line):
        return RequestError("bad_json", _HALF_A_PAIR, _PAIR_HINT)
    if why == "Input data was truncated":
        why = "it ends before it is whole"
    return RequestError("bad_json", f"the line is not JSON: {why}", _FOR_EXAMPLE)


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
    return "no" if OPERATION_OF[type(request)].changes else None


def _hint(request: AnyRequest) -> str:
    return f"for example {OPERATION_OF[type(request)].example}"


def _depth(line: bytes) -> int:
    """How deep the line nests; how well its brackets pair up is for the decoder to say."""
    steps = _STRING.sub(b"", line).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)
