"""The prompt's commands in one table, from which parsing, help, hints and completion come. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final

import msgspec

from trioraft.wire.operations import OPERATIONS
from trioraft.wire.table import Operation, Prompt
from trioraft_cli.values import NotText, is_broken_json, is_json, to_json, utf_8
from trioraft_cli.words import WordError, beginning_of, next_word, quote, words_of


class PromptCommand(msgspec.Struct, frozen=True):
    """One command of the prompt."""

    typed: Prompt
    """How it is typed; the fields that its words are."""
    operation: Operation | None = None
    """What it asks the node for; None where the prompt carries it out by itself."""
    options: bool = False
    """Whether it is typed with options, and read as the command line reads it."""

    @property
    def name(self) -> str:
        """The words that its usage begins with, up to the first that stands for something."""
        return " ".join(takewhile(lambda word: word.isidentifier() and word.islower(), self.typed.usage.split()))

    @property
    def may_change(self) -> bool:
        """Whether what was asked may take effect after it is given up; of a lock the place goes with its lease."""
        return self.name in _CHANGES if self.operation is None else self.operation.changes

    @property
    def takes_key(self) -> bool:
        """Whether its first word is a key, or how keys begin."""
        return self.typed.fields[:1] in (("key",), ("prefix",))

    @property
    def takes_one_key(self) -> bool:
        """Whether its first word is a whole key."""
        return self.typed.fields[:1] == ("key",) and not self.options

    @property
    def takes_value(self) -> bool:
        """Whether it ends with a value, which is the rest of the line."""
        return self.typed.fields[-1:] == ("value",)

    @property
    def least(self) -> int:
        """How many words it needs after its name."""
        return len(self.typed.fields) - self.typed.usage.count("[")

    def takes_number(self, field: str) -> bool:
        """Whether that word is a whole number."""
        return self.operation is not None and field in self.operation.numbers


_WITH_OPTIONS: Final = (
    Prompt("txn [CHECK...] -- OPERATION... [-- ELSE...]", "several operations at once, if all checks hold"),
    Prompt(
        "watch [PREFIX] [--key] [--initial] [--after REVISION]", "each change as it comes, until Ctrl-C", ("prefix",)
    ),
    Prompt(
        "wait KEY [--missing | --value VALUE | --rev-above REVISION] [--timeout SECONDS]",
        "wait until a key is as it is to be",
        ("key",),
    ),
    Prompt("lock NAME [--ttl SECONDS] [--timeout SECONDS]", "hold a lock while the prompt runs"),
    Prompt("unlock NAME [LEASE]", "give back a lock, or take it from a lease"),
    Prompt("locks", "the locks that are held"),
    Prompt("lease grant [--ttl SECONDS]", "grant a lease, with which keys and locks go"),
    Prompt("lease keepalive LEASE...", "let leases live their whole time again, once"),
    Prompt("lease revoke LEASE", "end a lease, with its keys and locks"),
    Prompt("lease list", "the leases that live"),
)
"""How those with options are typed. `--help` behind one of them tells more."""
_CHANGES: Final = frozenset(("txn", "unlock", "lease grant", "lease revoke"))
"""Which of those change something that outlives them."""
COMMANDS: Final = {
    command.name: command
    for command in (
        *(PromptCommand(row.prompt, row) for row in OPERATIONS.values() if isinstance(row.prompt, Prompt)),
        *(PromptCommand(typed, options=True) for typed in _WITH_OPTIONS),
        PromptCommand(Prompt("status", "every node: who leads, how far each is, who does not answer")),
        PromptCommand(Prompt("help [COMMAND]", "this, or one command", ("about",))),
        PromptCommand(Prompt("exit", "leave; Ctrl-D does it too")),
    )
}
"""By name, in the order of the help."""


_WORDS_HELP: Final = (
    "",
    "Options are those shown here: the others, as --once and put --lease, are for 'trioraft' in a shell.",
    "The value of put is the rest of the line, whatever stands there.",
    'A word with blanks, or one that begins with a quote, stands in double quotes as JSON has them: get "my key"',
    "Several lines, pasted, are a command each, up to the first that fails; a value in JSON may go on over lines.",
    "A line that begins with # is a remark.",
)
SHELL_COMMANDS: Final = frozenset(("node", "backup", "restore", "recover", "shell", "demo", "sim", "check"))
"""The commands of the command line that the prompt lacks."""
_MOST_DIGITS: Final = 19
"""The most digits of a number; no node takes a longer one."""
MOST_LINES: Final = 1000
"""The most lines of one value: the end of what is no JSON is not sought through everything that was pasted."""
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


class PromptError(ValueError):
    """A line that is no command: what is wrong, and what to type."""


def parse_line(line: str) -> tuple[str, dict[str, Any]]:
    """A line's command and the fields of its request. Raises PromptError."""
    try:
        utf_8(line)
    except NotText as error:
        raise PromptError(f"the line holds {error}: nothing was sent") from None
    name, rest = _name(line)
    command = COMMANDS[name]
    if command.options:
        return name, {"typed": rest}
    if name == "help":
        return name, {"about": _about(rest)}
    try:
        if not command.takes_value:
            return name, _fields(command, words_of(rest))
        key, value = next_word(rest)
    except WordError as error:
        raise PromptError(str(error)) from None
    if not rest or not value:
        raise _usage(command)
    return name, dict(zip(command.typed.fields, (key, to_json(value)), strict=True))


def is_remark(line: str) -> bool:
    """Whether the line is for people alone."""
    return line.lstrip().startswith("#")


def has_broken_json(line: str) -> bool:
    """Whether the line, a command, puts a string that begins as JSON does."""
    word, rest = _first(line)
    return _takes_value(word) and is_broken_json(next_word(rest)[1])


def split_commands(text: str) -> list[str]:
    """The commands of a text of several lines: each line is one, but for JSON, which goes on until it is whole.

    Remarks are left out.
    """
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip() and not is_remark(line)]
    commands = []
    place = 0
    while place < len(lines):
        count = _lines_of_value(lines, place)
        commands.append("\n".join(lines[place : place + count]))
        place += count
    return commands


def _lines_of_value(lines: list[str], place: int) -> int:
    """How many lines the command that begins there has."""
    word, rest = _first(lines[place])
    if not _takes_value(word):
        return 1
    try:
        _, value = next_word(rest)
    except WordError:
        return 1
    if value[:1] not in ("{", "[") or is_json(value):
        return 1
    depth = 0
    for number, line in enumerate(lines[place : place + MOST_LINES]):
        brackets = _STRING.sub("", value if number == 0 else line)
        depth += sum(map(brackets.count, "{[")) - sum(map(brackets.count, "}]"))
        if depth <= 0:
            return number + 1 if is_json("\n".join([value, *lines[place + 1 : place + number + 1]])) else 1
    return 1


def _first(line: str) -> tuple[str, str]:
    """A line's first word, as it stands, and the rest."""
    word, *rest = line.split(None, 1) or [""]
    return word, rest[0].strip() if rest else ""


def _name(line: str) -> tuple[str, str]:
    """The name of the command that the line begins with, one word or two, and the rest. Raises PromptError."""
    word, rest = _first(line)
    name = "exit" if word == "quit" else word.replace("-", "_")
    second, behind = _first(rest)
    if name in COMMANDS:
        return name, rest
    if f"{name} {second}" in COMMANDS:
        return f"{name} {second}", behind
    raise _no_command(word)


def _takes_value(word: str) -> bool:
    command = COMMANDS.get(word)
    return command is not None and command.takes_value


def _fields(command: PromptCommand, words: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(zip(command.typed.fields, words, strict=False))
    if not command.least <= len(words) <= len(command.typed.fields):
        raise _usage(command)
    for field, word in fields.items():
        if command.takes_number(field):
            if not is_integer(word):
                why = f"{quote(word)} is no whole number, or too long a one"
                raise PromptError(f"{why}; usage: {command.typed.usage}")
            fields[field] = int(word)
    return fields


def _no_command(word: str) -> PromptError:
    name = word.replace("-", "_").lower()
    if name in SHELL_COMMANDS:
        return PromptError(f"'{word}' is no command of this prompt: type 'trioraft {name}' into a shell outside of it")
    near = difflib.get_close_matches(name, COMMANDS, 1)
    return PromptError(f"there is no command '{word}': " + (f"did you mean '{near[0]}'?" if near else "try 'help'"))


def _about(typed: str) -> list[str]:
    """The commands that help is asked for: all, one, or those whose names begin with that word. Raises PromptError."""
    asked = typed.replace("-", "_").split()
    found = [name for name in COMMANDS if name.split()[: len(asked)] == asked]
    if not found:
        raise _no_command(typed)
    return found


def help_lines(about: Sequence[str]) -> list[str]:
    """What can be typed, a line each."""
    chosen = [COMMANDS[name] for name in about]
    width = max(len(command.typed.usage) for command in COMMANDS.values())
    rows = [f"{command.typed.usage:{width}}  {command.typed.summary}" for command in chosen]
    return [*rows, *_WORDS_HELP] if len(about) == len(COMMANDS) else rows


def complete_command(text: str) -> list[str]:
    """The commands that the text before the cursor may become; none once the name has ended."""
    word = text.lstrip().replace("-", "_")
    return [name for name in COMMANDS if name.startswith(word)]


def key_to_complete(text: str) -> tuple[str, int] | None:
    """The beginning of a key that is being typed before the cursor, and how much of the text it takes; None if none is.

    What `quote` gives for a key goes in the place of that much.
    """
    word, *rest = text.lstrip().split(None, 1) or [""]
    command = COMMANDS.get(word.replace("-", "_"))
    if command is None or not command.takes_key or (not rest and not text[-1:].isspace()):
        return None
    typed = rest[0] if rest else ""
    try:
        prefix = beginning_of(typed)
    except WordError:
        return None
    return None if prefix is None else (prefix, len(typed))


def is_integer(text: str) -> bool:
    """Whether the text is a whole number that is not too long for a node."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS


def _usage(command: PromptCommand) -> PromptError:
    hint = f"; {command.typed.hint}" if command.typed.hint else ""
    return PromptError(f"usage: {command.typed.usage}{hint}")
