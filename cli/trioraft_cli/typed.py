"""A line of the prompt taken apart: the words of its command, and where the output goes. Pure.

The words are those that the tree of commands is given, as a shell would give them. `put` takes the rest of the line as
its value, whatever stands there. Behind any other command, a word that begins with `|` or `>`, outside of quotes, ends
the command: what follows is for a shell, or the name of a file.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

import click
import msgspec

from trioraft_cli.groups import Commands
from trioraft_cli.values import NotText, is_json, utf_8
from trioraft_cli.words import Quoted, WordError, beginning_of, has_ended, next_argument, next_word

MOST_LINES: Final = 1000
"""The most lines of one value: the end of what is no JSON is not sought through everything that was pasted."""
SINKS: Final = ("|", ">>", ">")
"""How a word begins that ends the command."""
_HELP: Final = click.Option(["-h", "--help"], is_flag=True)
"""What each command takes beside its own options."""
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


class PromptError(ValueError):
    """A line that is no command: what is wrong, and what to type."""


class Sink(msgspec.Struct, frozen=True):
    """Where the output of a command goes."""

    kind: str
    """One of `|`, `>`, `>>`."""
    rest: str
    """The line for a shell behind `|`; else the file's name."""


class Typed(msgspec.Struct, frozen=True):
    """A line that has been taken apart."""

    words: list[str]
    """The command's name, options and arguments."""
    sink: Sink | None = None


class Cursor(msgspec.Struct, frozen=True):
    """What stands before the cursor while a line is typed."""

    words: list[str]
    """The whole words."""
    incomplete: str
    """The text of the word that is being typed, without its quotes."""
    typed: str
    """That word as it stands in the line."""


class OwnWords(click.Command):
    """A command that has its own rule for what is typed behind its name."""

    def read(self, text: str) -> Typed:
        """Take apart what is typed behind the name. Raises WordError, PromptError."""
        raise NotImplementedError

    def cursor(self, words: list[str], text: str) -> Cursor | None:
        """What stands before the cursor, behind the words of the name; None where nothing can be completed."""
        raise NotImplementedError


class WithRest(OwnWords):
    """A command whose last argument is the rest of the line, as it stands. Its options come before the arguments."""

    def read(self, text: str) -> Typed:
        """Take apart what is typed behind the name. Raises WordError."""
        words, rest, _ = self._take(text, whole=True)
        return Typed([*words, Quoted(rest)] if rest else words)

    def cursor(self, words: list[str], text: str) -> Cursor | None:
        """What stands before the cursor; None within the rest of the line."""
        taken, rest, left = self._take(text, whole=False)
        return at_word([*words, *taken], rest) if left else None

    def rest_of(self, text: str) -> str:
        """The rest of the line, from what is typed behind the name. Raises WordError."""
        return self._take(text, whole=True)[1]

    def _take(self, text: str, *, whole: bool) -> tuple[list[str], str, int]:
        """The words before the rest of the line, the rest, and how many arguments are to come before it.

        Without `whole`, the end of the text ends no word.
        """
        words, taking = leading_options(self, text, whole=whole)
        left = sum(isinstance(param, click.Argument) for param in self.params) - 1
        while left and taking and (whole or has_ended(taking)):
            word, taking = next_word(taking)
            words.append(Quoted(word))
            left -= 1
        return words, taking, left


def leading_options(command: click.Command, text: str, *, whole: bool) -> tuple[list[str], str]:
    """The options of the command, with their values, with which the text begins, and the rest. Raises WordError.

    Without `whole`, the end of the text ends no word.
    """
    words: list[str] = []
    while text and (whole or has_ended(text)) and (option := _option(command, text.split()[0].partition("=")[0])):
        word, text = next_argument(text)
        words.append(word)
        if not option.is_flag and "=" not in word:
            if not text or not (whole or has_ended(text)):
                break
            word, text = next_argument(text)
            words.append(word)
    return words, text


def awaits_value(root: Commands, words: list[str]) -> bool:
    """Whether the last of the words is an option that a value has to follow."""
    command: click.Command = root
    for word in words:
        command = _inner(command, word)
    option = _option(command, words[-1]) if words else None
    return option is not None and not option.is_flag


def read_line(root: Commands, line: str) -> Typed:
    """Take apart a line with the tree of commands. Raises PromptError."""
    try:
        utf_8(line)
        return _read(root, line.strip())
    except NotText as error:
        raise PromptError(f"the line holds {error}: nothing was sent") from None
    except WordError as error:
        raise PromptError(str(error)) from None


def before_cursor(root: Commands, text: str) -> Cursor | None:
    """What stands before the cursor; None where nothing can be completed."""
    command: click.Command = root
    words: list[str] = []
    text = text.lstrip()
    try:
        while not isinstance(command, OwnWords) and has_ended(text) and not text.startswith(SINKS):
            word, text = next_argument(text)
            words.append(word)
            command = _inner(command, word)
        if isinstance(command, OwnWords):
            return command.cursor(words, text)
    except WordError:
        return None
    return None if text.startswith(SINKS) else at_word(words, text)


def at_word(words: list[str], text: str) -> Cursor | None:
    """The cursor at the end of a text that is one word, behind whole words; None where the word has ended."""
    try:
        incomplete = beginning_of(text)
    except WordError:
        return None
    if incomplete is None:
        return None
    return Cursor(words, Quoted(incomplete) if incomplete != text and incomplete.startswith("-") else incomplete, text)


def outside_strings(sign: str, end: str = "") -> re.Pattern[str]:
    """A pattern for words that begin so, outside of the strings of JSON and of words in single quotes: group 1.

    A string begins behind a blank, or a sign of JSON: the quote in `a"b` begins none. `end` is what may end one beside
    its quote.
    """
    double = rf"""(?<![^\s{{\[:,])"(?:[^"\\]|\\.)*(?:"{end})"""
    single = rf"(?<!\S)'[^']*(?:'{end})"
    return re.compile(rf"{double}|{single}|(?<!\S)({sign})", re.DOTALL)


def split_sink(text: str) -> tuple[str, Sink | None]:
    """A text with JSON in any place, and the sink that it ends with. Raises PromptError, WordError."""
    for found in _SINK.finditer(text):
        if found[1]:
            return text[: found.start()].rstrip(), sink_of(text[found.start() :])
    return text, None


def sink_of(text: str) -> Sink:
    """The sink that the text is. Raises PromptError, WordError."""
    kind = next(kind for kind in SINKS if text.startswith(kind))
    rest = text.removeprefix(kind).strip()
    if not rest:
        raise PromptError(f"{'a command' if kind == '|' else 'a file'} has to follow the {kind}")
    if kind != "|":
        rest, more = next_word(rest)
        if more:
            raise PromptError(f"one file follows the {kind}, and nothing else: put a name with blanks in quotes")
    return Sink(kind, rest)


_SINK: Final = outside_strings("[|>]")


def is_remark(line: str) -> bool:
    """Whether the line is for people alone."""
    return line.lstrip().startswith("#")


def split_commands(root: Commands, text: str) -> list[str]:
    """The commands of a text of several lines: each line is one, but for JSON, which goes on until it is whole.

    Remarks are left out.
    """
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip() and not is_remark(line)]
    commands = []
    place = 0
    while place < len(lines):
        count = _lines_of_value(root, lines, place)
        commands.append("\n".join(lines[place : place + count]))
        place += count
    return commands


def is_open(root: Commands, text: str) -> bool:
    """Whether the text, of one line or more, ends within JSON that the next line may go on with."""
    lines = re.split(r"[\r\n]+", text.strip())
    place = 0
    while place < len(lines):
        value = _json_begun(root, lines[place])
        if value is not None and all(depth > 0 for depth in accumulate(map(brackets, [value, *lines[place + 1 :]]))):
            return True
        place += _lines_of_value(root, lines, place)
    return False


def _read(root: Commands, text: str) -> Typed:
    command: click.Command = root
    words: list[str] = []
    while text and not isinstance(command, OwnWords):
        if text.startswith(SINKS):
            if not words:
                raise PromptError(f"a command has to stand before the {text[0]}")
            return Typed(words, sink_of(text))
        word, text = next_argument(text)
        words.append(word)
        command = _inner(command, word)
    if isinstance(command, OwnWords):
        typed = command.read(text)
        return Typed([*words, *typed.words], typed.sink)
    return Typed(words)


def _option(command: click.Command, name: str) -> click.Option | None:
    options = (param for param in command.params if isinstance(param, click.Option))
    return next((option for option in (*options, _HELP) if name in option.opts), None)


def _inner(command: click.Command, word: str) -> click.Command:
    """The command that the word names in a group; else the command itself."""
    return (command.named(word) if isinstance(command, Commands) else None) or command


def _lines_of_value(root: Commands, lines: list[str], place: int) -> int:
    """How many lines the command that begins there has."""
    value = _json_begun(root, lines[place])
    if value is None:
        return 1
    depth = 0
    for number, line in enumerate(lines[place : place + MOST_LINES]):
        depth += brackets(value if number == 0 else line)
        if depth <= 0:
            return number + 1 if is_json("\n".join([value, *lines[place + 1 : place + number + 1]])) else 1
    return 1


def _json_begun(root: Commands, line: str) -> str | None:
    """The value at the end of a command's first line, if it begins as an object or a list does and is not whole."""
    word, *rest = line.split(None, 1) or [""]
    command = _inner(root, word)
    if not isinstance(command, WithRest):
        return None
    try:
        value = command.rest_of("".join(rest))
    except WordError:
        return None
    return value if value[:1] in ("{", "[") and not is_json(value) else None


def brackets(text: str) -> int:
    """How many brackets of JSON the text opens and does not close; 0 where a string is left open."""
    outside = _STRING.sub("", text)
    if '"' in outside:
        return 0
    return sum(map(outside.count, "{[")) - sum(map(outside.count, "}]"))
