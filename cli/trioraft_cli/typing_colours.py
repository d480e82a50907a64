"""The colours of a line while it is typed: commands, options, strings, and JSON. Nothing is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from trioraft_cli.colour import NAMED
from trioraft_cli.groups import Commands
from trioraft_cli.pretty import tokens
from trioraft_cli.typed import SINKS, WithRest, brackets, is_open
from trioraft_cli.words import WordError

STYLE: Final = Style.from_dict(
    {
        "command": "bold",
        "option": "ansiblue",
        "sink": "ansibrightblack",
        "hint": "ansibrightblack",
        "auto-suggestion": "ansibrightblack",
        **NAMED,
    }
)
UNCOLOURED: Final = Style.from_dict({"hint": "italic", "auto-suggestion": "italic"})
"""Where colours are not wanted: what is not typed yet has to look otherwise all the same."""
_WORD: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|\'[^\']*\'?|\S+|\s+')
_JSON: Final = re.compile(r"[\[{\"]|(?:-?[0-9][0-9.eE+-]*|true|false|null)\s*$")
"""How JSON begins."""


class LineColours(Lexer):
    """The colours of the prompt's lines."""

    def __init__(self, root: Commands) -> None:
        self._root = root

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Return a function from a line's number to its parts."""
        lines: list[StyleAndTextTuples] = []
        depth = 0
        for line in document.lines:
            lines.append(list(_json_parts(line) if depth > 0 else self._parts(line)))
            if depth > 0:
                depth += brackets(line)
            elif is_open(self._root, line):
                depth = brackets(line)
        return lambda number: lines[number] if number < len(lines) else []

    def _parts(self, line: str) -> Iterator[tuple[str, str]]:
        """The parts of a line that begins with a command."""
        command: object = self._root
        value = len(line)
        place = 0
        while place < value and (match := _WORD.match(line, place)):
            word = match[0]
            place = match.end()
            inner = command.named(word) if isinstance(command, Commands) else None
            if inner is not None:
                yield "class:command", word
                command = inner
                if isinstance(command, WithRest):
                    value = _value_place(command, line, place)
            elif word.startswith(SINKS) and not isinstance(command, WithRest):
                yield "class:sink", line[match.start() :]
                return
            elif word[0] in "\"'":
                yield "class:string", word
            else:
                yield "class:option" if word.startswith("-") and len(word) > 1 else "", word
                if command is self._root and not word.isspace():
                    command = None
        yield from _json_parts(line[place:]) if _JSON.match(line, place) else [("", line[place:])]


def _value_place(command: WithRest, line: str, place: int) -> int:
    """Where the value begins, of a line whose command ends there; its end if there is no value yet."""
    try:
        value = command.rest_of(line[place:].strip())
    except WordError:
        return len(line)
    return len(line.rstrip()) - len(value) if value else len(line)


def _json_parts(text: str) -> Iterator[tuple[str, str]]:
    end = 0
    for kind, place, token in tokens(text):
        yield "", text[end:place]
        yield f"class:{kind}" if kind in NAMED else "", token
        end = place + len(token)
    yield "", text[end:]
