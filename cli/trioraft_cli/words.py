"""How a word of the prompt is typed: one rule for reading, completing and showing. Pure.

A word ends at the next blank and stands for itself, quotes and backslashes within it included. One that begins with a
double quote is a JSON string, which any text can be written as. One that begins with a single quote ends at the next.
A word in quotes is never an option, nor a sign that ends a command.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Final

from trioraft.wire.codec import DecodeError, decode
from trioraft_cli.escapes import escape

_HIGH: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_PAIR: Final = _HIGH + r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SIGN: Final = rf'[^"\\]|\\["\\/bfnrt]|{_PAIR}|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{{4}}'
_SIGNS: Final = re.compile(f'"(?:{_SIGN})*')
_CUT_SIGN: Final = re.compile(rf"(?:{_HIGH})?(?:\\(?:u[0-9a-fA-F]{{0,3}})?)?")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CONTROL: Final = re.compile("[\0-\x1f]")
_ESCAPED: Final = '"\\'
_QUOTES: Final = "\"'"
_NOT_FIRST: Final = "'-|>"
"""What a quoted word, an option, and the end of a command begin with."""


class WordError(ValueError):
    """Quotes that cannot be read: what is wrong, and what to type."""


class Quoted(str):
    """A word that click takes for an argument, though it may begin as an option does.

    Click looks at the first character of a word, and whether the word is `--`.
    """

    __slots__ = ()
    __hash__ = str.__hash__

    def __getitem__(self, place: Any) -> str:
        """The characters there; none where the first is asked for."""
        return "" if place in (0, slice(None, 1)) else super().__getitem__(place)

    def __eq__(self, other: object) -> bool:
        """Whether the words are the same; a quoted `--` is no sign that ends the options."""
        return other != "--" and super().__eq__(other)


def quote(word: str, encoding: str | None = None) -> str:
    """The word as it has to be typed; in quotes only where it needs them, or where that encoding needs escapes.

    One with a double quote in it needs them, so that no JSON beside it is misread. So does one that a comma ends: it
    would separate the operations of a transaction.
    """
    is_plain = word and word[0] not in _NOT_FIRST and word[-1] != "," and '"' not in word
    if is_plain and all(_is_shown(sign, encoding) and sign != " " for sign in word):
        return word
    return as_string(word)


def as_string(word: str) -> str:
    """The word as a JSON string of printable characters."""
    return f'"{"".join(sign if sign.isprintable() and sign not in _ESCAPED else escape(sign) for sign in word)}"'


def line_of(word: str, encoding: str | None = None) -> str:
    """The word as it stands in a line of its own: as it is, unless it cannot be shown or looks like JSON."""
    return word if _is_shown(word, encoding) and word[:1] != '"' else as_string(word)


def shell_word(word: str, encoding: str | None = None) -> str:
    """The word as it is typed into a shell."""
    if _is_shown(word, encoding):
        return shlex.quote(word)
    signs = (sign if _is_shown(sign, encoding) and sign not in "'\\" else _octal(sign) for sign in word)
    return f"$'{''.join(signs)}'"


def _is_shown(text: str, encoding: str | None) -> bool:
    """Whether the text can be printed as it is in that encoding; None: one that has all characters."""
    if not text.isprintable():
        return False
    try:
        return encoding is None or text.isascii() or bool(text.encode(encoding))
    except UnicodeEncodeError:
        return False


def next_word(text: str) -> tuple[str, str]:
    """The first word of a text that begins with one, and the rest behind the blanks. Raises WordError."""
    word, end = _word_at(text)
    return word, text[end:].lstrip()


def next_argument(text: str) -> tuple[str, str]:
    """The first word, as it is given to a command, and the rest: in quotes it is no option. Raises WordError."""
    word, rest = next_word(text)
    return Quoted(word) if text[0] in _QUOTES and word.startswith("-") else word, rest


def has_ended(text: str) -> bool:
    """Whether a blank follows the first word of the text."""
    try:
        return _word_at(text)[1] < len(text)
    except WordError:
        return False


def _word_at(text: str) -> tuple[str, int]:
    """The first word of a text that begins with one, and where it ends. Raises WordError."""
    match text[:1]:
        case '"':
            string = _STRING.match(text)
            if string is None:
                raise WordError('the quote has no end: put a " behind the word')
            word, end = _read(string[0]), string.end()
        case "'":
            end = text.find("'", 1) + 1
            if not end:
                raise WordError("the quote has no end: put a ' behind the word")
            word = text[1 : end - 1]
        case _:
            end = next((place for place, sign in enumerate(text) if sign.isspace()), len(text))
            word = text[:end]
    if text[end:] and not text[end].isspace():
        raise WordError(f"a blank has to follow the quote before {text[end]!r}")
    return word, end


def words_of(text: str) -> list[str]:
    """All words of the text. Raises WordError."""
    words = []
    rest = text.strip()
    while rest:
        word, rest = next_word(rest)
        words.append(word)
    return words


def beginning_of(text: str) -> str | None:
    """The beginning of the word that is being typed at the end of the text; None where the word has ended."""
    if text[:1] == "'":
        return None if "'" in text[1:] else text[1:]
    if text[:1] != '"':
        return None if any(sign.isspace() for sign in text) else text
    whole = _SIGNS.match(text)
    if whole is None or not _CUT_SIGN.fullmatch(text, whole.end()):
        return None
    return _read(f'{whole[0]}"')


def _read(string: str) -> str:
    escaped = _CONTROL.sub(lambda control: escape(control[0]), string)
    try:
        return decode(escaped.encode("utf-8", "surrogatepass"), str)
    except DecodeError:
        raise WordError(
            r"in double quotes a backslash begins an escape, as in \n or \u00e9: write \\ for itself"
        ) from None


def _octal(sign: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in sign.encode("utf-8", "surrogateescape"))
