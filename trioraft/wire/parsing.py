"""The door: a client's line becomes a request, fully checked. Every rule comes from the table of operations.

A line that begins with `{` is a request in JSON. Any other line is a word command for people; these only read.
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

from trioraft.kv.bounds import MAX_KEY_BYTES
from trioraft.wire.codec import WRONG, DecodeError, Decoder, decode, encode
from trioraft.wire.complaints import in_words
from trioraft.wire.operations import OPERATION_OF, OPERATIONS
from trioraft.wire.table import AnyRequest, Operation, PlainRequest, Request

MAX_DEPTH: Final = 128
"""How deep a value may nest. Without a limit, reading would fail at a depth that depends on the reader's stack."""
_MOST_INSIDE: Final = max(row.request.inside for row in OPERATIONS.values())
"""How deep in a request a value may stand."""


class RequestError(ValueError):
    """A request that is refused and had no effect. `id` is the request's own id, raw; empty if it has none."""

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
_decode_ascii: Final = _decoder.decode_ascii
_plain_decoders: Final = [
    (encode(row.name), Decoder(row.plain)) for row in OPERATIONS.values() if row.plain is not None
]
"""For each operation with plain requests: its name in quotes, which each of these requests holds, and their decoder."""
_object_decoder: Final = Decoder(dict[str, msgspec.Raw])
_HTTP: Final = re.compile(rb"(?:[A-Z]+ \S+ HTTP/[0-9.]+|[A-Za-z-]+:(?: .*|))\s*")
# Looking for one byte is four times as quick by its number.
_BRACE: Final = ord("{")
_BRACKET: Final = ord("[")
_BACKSLASH: Final = ord("\\")
# The quantifiers are possessive, and a string without an end reaches to the end of the line. Otherwise a hostile line
# would be scanned once for each of its quotes.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_PAIRED: Final = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)*+", re.DOTALL
)
"""JSON in which no half of a surrogate pair stands alone."""
_HALF_A_PAIR: Final = "half of a surrogate pair stands alone, which is no text"
_PAIR_HINT: Final = "escape both halves, or send UTF-8"
_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
"""The change of depth at each bracket, as a signed byte."""
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_OUTLINE: Final = b"{}\n"
"""What remains of a plain line once all but brackets, backslashes and line ends is removed."""
_NOT_OF_THE_OUTLINE: Final = bytes(set(range(128)) - set(b"{}[]\\\r\n"))
_LONGEST_QUOTED: Final = 100
"""How many characters of a client's text an error quotes: enough that the client knows its own words."""
_FOR_EXAMPLE: Final = f"for example {OPERATIONS['put'].example}"
_TYPE_HELP: Final = f"type 'help', or {OPERATIONS['get'].example}"


def _usual_of(row: Operation, plain: type[PlainRequest]) -> tuple[Callable[[Any], object], object]:
    """A getter for the fields that only a full request has, and their values where the request is plain."""
    fields = [field for field in msgspec.structs.fields(row.request) if field.name not in plain.__struct_fields__]
    return attrgetter(*[field.name for field in fields]), tuple(field.default for field in fields)


_usual: Final[dict[type[AnyRequest], tuple[Callable[[Any], object], object]]] = {
    row.request: _usual_of(row, row.plain) for row in OPERATIONS.values() if row.plain is not None
}
"""`_usual_of`, for each type of request that has a plain form."""


def parse_request(line: bytes) -> AnyRequest:
    """Read one line, without its end. Raises RequestError, HttpRequest."""
    if line[0] != _BRACE and line.lstrip()[:1] != b"{":
        return _parse_words(line)
    if _BRACKET in line or _BACKSLASH in line or line.rfind(b"{") > 0 or not line.isascii():
        return _parse_with_care(line)
    try:
        request: Request = _decode_ascii(line)
    except WRONG as error:
        request = _parse_again(line, str(error))
    return request


def _parse_with_care(line: bytes) -> AnyRequest:
    """Read a line of which some parts may nest, or be escaped, or lie beyond ASCII."""
    openings = line.count(b"[") + line.count(b"{")
    deep = openings > MAX_DEPTH and _depth(line) - MAX_DEPTH
    if deep and deep > _MOST_INSIDE:
        raise _too_deep(line)
    try:
        request: Request = _decoder.decode(line)
    except DecodeError as error:
        request = _parse_again(line, str(error))
    if deep and deep > request.inside:
        raise _too_deep(line)
    if openings > 1 and bytes(request.id)[:1] in (b"{", b"["):
        raise RequestError("bad_request", "an id is a string, a number, true, false or null", _hint(request))
    escapes = _BACKSLASH in line
    if escapes and b"\\u" in line:
        _check_surrogates(line, request)
    if escapes or not line.isascii():
        for part in (request, *request.parts):
            _check_lengths(part, request)
    return request.narrowed() if openings > 1 else request


def _too_deep(line: bytes) -> RequestError:
    why = f"a value nests at most {MAX_DEPTH} deep"
    return RequestError("too_deep", why, "store it flatter, or as a string", id_of(line), "no")


def parse_alike(lines: bytes, most: int) -> list[AnyRequest] | None:
    """Read several lines at once, each with its newline, that are all plain requests of one operation.

    Return None where they may be anything else, or are more than `most`. Each line must have one opening brace, and
    one closing brace at its end. If the decoder then finds as many objects as lines, each line is one object.
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
                return None  # `parse_request` will say which line is something else, or wrong
            return requests if len(requests) == count else None
    return None


def is_plain(request: AnyRequest) -> bool:
    """Whether the request sets no field that could send it another way than plain requests of its operation."""
    usual = _usual.get(type(request))
    return usual is not None and usual[0](request) == usual[1]


def without_id(request: AnyRequest) -> bytes:
    """Encode the request for another node, without its id and without a newline."""
    fields = {name: value for name, value in msgspec.structs.asdict(request).items() if name != "id"}
    return encode({"op": OPERATION_OF[type(request)].name, **fields})


def _check_surrogates(line: bytes, request: AnyRequest) -> None:
    if not _PAIRED.fullmatch(line):
        raise RequestError("bad_json", _HALF_A_PAIR, _PAIR_HINT, id_of(line), _applied(request))


def _check_lengths(part: object, request: AnyRequest) -> None:
    """Check the lengths in bytes: the decoder has counted characters, and one beyond ASCII has several bytes."""
    for name in ("key", "prefix", "after", "name", "lock"):
        text = getattr(part, name, None)
        if isinstance(text, str) and len(text.encode()) > MAX_KEY_BYTES:
            message = f"{name!r} is longer than {MAX_KEY_BYTES} bytes"
            raise RequestError("bad_request", message, "use a shorter one", bytes(request.id), _applied(request))


def _parse_words(line: bytes) -> AnyRequest:
    if _HTTP.fullmatch(line):  # a request line, or a header
        raise HttpRequest
    try:
        words = line.decode().split()
    except UnicodeDecodeError:
        raise RequestError("bad_json", "the line is not UTF-8", _TYPE_HELP) from None
    name, *rest = words or [""]  # `split` knows more blanks than the check for a blank line does
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


def _parse_again(line: bytes, why: str) -> Request:
    """Decode a line that the typed decoder refused: it may have duplicate fields. Else say well what is wrong."""
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
        # The last of several fields with one name counts. In the object that is left, each name stands once.
        again: Request = _decoder.decode(encode(fields))
        return again
    except DecodeError as error:
        why = str(error)
    applied = "no" if row.changes else None
    raise RequestError("bad_request", _quoted(in_words(why)), f"for example {row.example}", id, applied)


def _no_json(line: bytes, why: str) -> RequestError:
    """The error for a line that is not JSON. The decoder calls a line with half a surrogate pair truncated."""
    if line.rstrip()[-1:] == b"}" and not _PAIRED.fullmatch(line):
        return RequestError("bad_json", _HALF_A_PAIR, _PAIR_HINT)
    if why == "Input data was truncated":
        why = "it ends before it is whole"
    return RequestError("bad_json", f"the line is not JSON: {why}", _FOR_EXAMPLE)


def _nearest(word: str, known: Iterable[str]) -> str | None:
    """What was probably meant; None for a long word, which is slow to compare and hardly a typing error."""
    near = difflib.get_close_matches(word, known, 1) if len(word) <= _LONGEST_QUOTED else []
    return near[0] if near else None


def _quoted(text: str) -> str:
    """The text, or its beginning."""
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}…"


def _scalar(id: msgspec.Raw | None) -> bytes:
    """The id that a reply can carry: empty where it is no scalar."""
    raw = b"" if id is None else bytes(id)
    return b"" if raw[:1] in (b"{", b"[") else raw


def id_of(line: bytes) -> bytes:
    """The raw id of a request, even where another field is wrong; empty where there is none."""
    try:
        fields: dict[str, msgspec.Raw] = _object_decoder.decode(line)
    except DecodeError:
        return b""  # it nests deeper than the decoder goes, or is not JSON at all
    return _scalar(fields.get("id"))


def _applied(request: AnyRequest) -> str | None:
    return "no" if OPERATION_OF[type(request)].changes else None


def _hint(request: AnyRequest) -> str:
    return f"for example {OPERATION_OF[type(request)].example}"


def _depth(line: bytes) -> int:
    """How deep the line nests. Whether its brackets pair up is for the decoder to say."""
    steps = _STRING.sub(b"", line).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)
