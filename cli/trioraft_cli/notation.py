"""Transactions as they are typed: checks, then operations, then what is done instead. Pure.

    'rev a = 7' 'missing b' -- put a 1 , incr n -- get a

A `--` ends the checks, and a second one what is done where they hold. A check or an operation is one word with blanks
in it, which is read as at the prompt, or several words up to the next comma that stands alone. A comma at the end of a
word is refused there: it is meant to end an operation, and would become a part of what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec

from trioraft_cli import keys
from trioraft_cli.typed import Cursor, at_word, outside_strings
from trioraft_cli.values import NotText, is_integer, is_json, to_json
from trioraft_cli.words import Quoted, WordError, has_ended, next_word, quote

Item = str | list[str]
"""A check or an operation: text with quotes as at the prompt, or the words themselves."""

_SECTIONS: Final = ("checks", "then", "else")
_DASHES: Final = "--"
_COMMA: Final = ","
_COMMA_HINT: Final = """put a blank before one that ends an operation, or double quotes as in 'put a "x,"'"""
_TOO_LONG_HINT: Final = "a value with blanks stands in double quotes, and options stand before the first '--'"
_QUOTES: Final = "\"'"
_SEPARATOR: Final = r"(?:--|,)(?!\S)"
_SEPARATORS: Final = outside_strings(_SEPARATOR)
_SEPARATORS_SO_FAR: Final = outside_strings(_SEPARATOR, r"|\\?\Z")
"""Those in a text that may end within a string."""


class _Form(msgspec.Struct, frozen=True):
    """How an operation is typed: as the arguments of the command of that name."""

    usage: str
    fields: tuple[str, ...]
    numbers: tuple[str, ...]
    least: int
    """How many of the fields it needs."""


def _form(command: click.Command) -> _Form:
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    words = [param.human_readable_name if param.required else f"[{param.human_readable_name}]" for param in arguments]
    names = tuple(str(param.name) for param in arguments)
    numbers = tuple(str(param.name) for param in arguments if isinstance(param.type, click.types.IntParamType))
    return _Form(" ".join([str(command.name), *words]), names, numbers, sum(param.required for param in arguments))


_IN_TXN: Final = {
    name: form for name, form in ((str(one.name), _form(one)) for one in keys.COMMANDS) if "key" in form.fields
}
"""The operations that a transaction may hold."""
_KIND_OF: Final = {
    **{verb: ["get"] for verb in (*_IN_TXN, "rev", "value", "exists", "missing")},
    "lock": ["unlock"],
    "lease": ["lease", "revoke"],
}
"""For the first word of a check or an operation: a command whose argument is of the same kind as the second."""
CHECKS: Final = (
    "rev KEY = REVISION",
    "value KEY = VALUE",
    "exists KEY",
    "missing KEY",
    "lock NAME = FENCE",
    "lease LEASE",
)


class NotationError(ValueError):
    """What is wrong with a transaction, and what to type."""


def of_words(words: Sequence[str], tail: Sequence[str]) -> dict[str, Any]:
    """The fields of a transaction from words that a shell has taken apart. Raises NotationError.

    `words` come before the first `--`, and `tail` after it.
    """
    sections: list[list[Item]] = [[]]
    is_open = False
    for word in (*words, _DASHES, *tail):
        if word == _DASHES:
            sections.append([])
            is_open = False
        elif word == _COMMA:
            is_open = False
        elif is_open:
            item = sections[-1][-1]
            assert isinstance(item, list)
            item.append(word)
        else:
            is_open = not any(sign.isspace() for sign in word)
            sections[-1].append([word] if is_open else word)
    return _fields(sections)


def words_of_line(line: str) -> list[str]:
    """The words of a transaction typed at the prompt, as a shell would give them. Raises WordError.

    A check or an operation is one word with a blank in it.
    """
    words: list[str] = []
    place = 0
    ends = [(found.start(), found.end()) for found in _SEPARATORS.finditer(line) if found[1]]
    for start, end in (*ends, (len(line), len(line))):
        item = line[place:start].strip()
        while item[:1] in ("'", '"'):
            word, item = next_word(item)
            words.append(_one_word(word))
        words += [_one_word(item)] if item else []
        words += [line[start:end]] if start < end else []
        place = end
    return words


def cursor_in_line(text: str) -> Cursor | None:
    """What stands before the cursor in a transaction, as if it stood behind a command with an argument of that kind."""
    ends = [found.end() for found in _SEPARATORS_SO_FAR.finditer(text) if found[1]]
    item = text[max(ends, default=0) :].lstrip()
    if not has_ended(item):
        return None
    verb, rest = next_word(item)
    return at_word(_KIND_OF[verb], rest) if verb in _KIND_OF else None


def _one_word(item: str) -> str:
    """A check or an operation as a word that is no option, no separator, and no part of a longer one."""
    return Quoted(item if any(sign.isspace() for sign in item) else f"{item} ")


def _fields(sections: Sequence[Sequence[Item]]) -> dict[str, Any]:
    if len(sections) > len(_SECTIONS):
        raise NotationError("there is a third '--': a transaction has checks -- what is done -- what is done else")
    if not any(sections[1:]):
        raise NotationError("there is nothing to do: put '--' and an operation behind the checks")
    read = (_check, _operation, _operation)
    parts = zip(_SECTIONS, sections, read, strict=False)
    return {name: [one(_Words(item)) for item in items] for name, items, one in parts if items or name == "then"}


class _Words:
    """The words of a check or an operation, taken one after the other."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._rest = item

    def __bool__(self) -> bool:
        return bool(self._rest)

    def next(self) -> str:
        """Take the next word."""
        if not self._rest:
            raise self.error("it ends too early")
        if isinstance(self._rest, list):
            word, *self._rest = self._rest
            if word.split() == [word]:  # one with blanks was put in quotes
                self._refuse_comma(word)
            return word
        typed = self._rest.strip()
        try:
            word, self._rest = next_word(typed)
        except WordError as error:
            raise self.error(str(error)) from None
        if typed[:1] not in _QUOTES:
            self._refuse_comma(word)
        return word

    def number(self) -> int:
        """Take a whole number."""
        word = self.next()
        if not is_integer(word):
            raise self.error(f"{quote(word)} is no whole number, or too long a one")
        return int(word)

    def value(self) -> msgspec.Raw:
        """Take a value, which is all that is left. An empty word is an empty string."""
        if not self._rest:
            raise self.error("it ends too early")
        if isinstance(self._rest, list):
            text = self.next()
            self.end()
        else:
            text, self._rest = self._rest, ""
            if not is_json(text):
                self._refuse_comma(text)
        try:
            return to_json(text)
        except NotText as error:
            raise self.error(f"it holds {error}") from None

    def equals(self) -> None:
        """Take the sign between a key and what it is compared with."""
        if (word := self.next()) != "=":
            raise self.error(f"{quote(word)} stands where '=' has to")

    def end(self) -> None:
        """Find nothing left."""
        if self._rest:
            raise self.error(f"it goes on too long: {_TOO_LONG_HINT}")

    def _refuse_comma(self, text: str) -> None:
        """Find no word that ends in a comma."""
        for word in text.split():
            if word.endswith(_COMMA):
                raise self.error(f"{word} ends in a comma: {_COMMA_HINT}")

    def error(self, why: str) -> NotationError:
        """The error of this check or operation."""
        text = self._item.strip() if isinstance(self._item, str) else " ".join(map(quote, self._item))
        return NotationError(f"'{text}' cannot be read: {why}")


def _check(words: _Words) -> dict[str, Any]:
    verb = words.next()
    match verb:
        case "rev" | "value":
            check: dict[str, Any] = {"key": words.next()}
            words.equals()
            check[verb] = words.number() if verb == "rev" else words.value()
        case "exists" | "missing":
            check = {"key": words.next(), "exists": verb == "exists"}
        case "lock":
            check = {"lock": words.next()}
            words.equals()
            check["fence"] = words.number()
        case "lease":
            check = {"lease": words.number()}
        case _:
            raise words.error(f"a check is one of: {'; '.join(CHECKS)}")
    words.end()
    return check


def _operation(words: _Words) -> dict[str, Any]:
    verb = words.next()
    form = _IN_TXN.get(verb)
    if form is None:
        raise words.error(f"an operation is one of: {'; '.join(one.usage for one in _IN_TXN.values())}")
    fields: dict[str, Any] = {"op": verb}
    for number, field in enumerate(form.fields):
        if not words and number >= form.least:
            break
        if field == "value":
            fields[field] = words.value()
        else:
            fields[field] = words.number() if field in form.numbers else words.next()
    words.end()
    return fields
