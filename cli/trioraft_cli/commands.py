"""The prompt's commands in one table, from which parsing, help, hints and completion come. Pure."""

from __future__ import annotations

import difflib
import re
from typing import Any, Final

import msgspec

from trioraft_cli.values import NotText, is_broken_json, is_json, to_json, utf_8
from trioraft_cli.words import WordError, beginning_of, next_word, quote, words_of


class PromptCommand(msgspec.Struct, frozen=True):
    """One command of the prompt."""

    name: str
    usage: str
    summary: str
    takes_key: bool = False


COMMANDS: Final = {
    command.name: command
    for command in (
        PromptCommand("get", "get KEY", "the value of a key", takes_key=True),
        PromptCommand("put", "put KEY VALUE", "give a key a value: JSON if it reads as JSON, else a string", True),
        PromptCommand("delete", "delete KEY", "remove a key", takes_key=True),
        PromptCommand("scan", "scan [PREFIX]", "the keys with a prefix, in order", takes_key=True),
        PromptCommand("incr", "incr KEY [BY]", "add to the integer at a key", takes_key=True),
        PromptCommand("show_log", "show_log [LIMIT]", "the newest entries of a node's log"),
        PromptCommand("members", "members", "who belongs to the cluster, and how many may fail"),
        PromptCommand("add_member", "add_member ADDRESS", "take in a node: it gets the next id"),
        PromptCommand("remove_member", "remove_member ID", "let a member go, for good"),
        PromptCommand("promote_member", "promote_member ID", "let a learner vote"),
        PromptCommand("transfer", "transfer [ID]", "let another node lead"),
        PromptCommand("snapshot", "snapshot", "let the node write a snapshot now"),
        PromptCommand("status", "status", "every node: who leads, how far each is, who does not answer"),
        PromptCommand("help", "help [COMMAND]", "this, or one command"),
        PromptCommand("exit", "exit", "leave; Ctrl-D does it too"),
    )
}


_WORDS_HELP: Final = (
    "",
    'A word with blanks, or one that begins with a quote, stands in double quotes as JSON has them: get "my key"',
    "Several lines, pasted, are a command each, up to the first that fails; a value in JSON may go on over lines.",
    "A line that begins with # is a remark.",
)
SHELL_COMMANDS: Final = frozenset(("node", "backup", "restore", "recover", "shell", "demo", "sim"))
"""The commands of the command line that the prompt lacks."""
_NUMBER_AT: Final = {"incr": 1, "show_log": 0, "remove_member": 0, "promote_member": 0, "transfer": 0}
"""Which of a command's words is a number."""
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
    word, rest = _first(line)
    name = word.replace("-", "_")
    if name == "quit":
        name = "exit"
    if name not in COMMANDS:
        raise _no_command(word)
    try:
        if name != "put":
            return name, _fields(name, words_of(rest))
        key, value = next_word(rest)
    except WordError as error:
        raise PromptError(str(error)) from None
    if not rest or not value:
        raise _usage(name)
    return name, {"key": key, "value": to_json(value)}


def is_remark(line: str) -> bool:
    """Whether the line is for people alone."""
    return line.lstrip().startswith("#")


def has_broken_json(line: str) -> bool:
    """Whether the line, a command, puts a string that begins as JSON does."""
    word, rest = _first(line)
    return word == "put" and is_broken_json(next_word(rest)[1])


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
    if word != "put":
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


def _fields(name: str, words: list[str]) -> dict[str, Any]:
    match name, words:
        case (("get" | "delete" | "incr"), [key]):
            return {"key": key}
        case "incr", [key, by] if _is_integer(by):
            return {"key": key, "by": int(by)}
        case "scan", []:
            return {}
        case "scan", [prefix]:
            return {"prefix": prefix}
        case "show_log", [limit] if _is_integer(limit):
            return {"limit": int(limit)}
        case (("show_log" | "status" | "help" | "exit" | "members" | "transfer" | "snapshot"), []):
            return {}
        case "add_member", [address]:
            return {"address": address}
        case (("remove_member" | "promote_member"), [member]) if _is_integer(member):
            return {"member": int(member)}
        case "transfer", [target] if _is_integer(target):
            return {"target": int(target)}
        case "help", [about] if about.replace("-", "_") in COMMANDS:
            return {"about": about.replace("-", "_")}
        case "help", [about]:
            raise _no_command(about)
        case "members", [_, *_]:
            raise PromptError("usage: members; to change them: add_member, remove_member, promote_member")
    place = _NUMBER_AT.get(name)
    if place is not None and len(words) == place + 1:
        raise PromptError(f"{quote(words[place])} is no whole number, or too long a one; usage: {COMMANDS[name].usage}")
    raise _usage(name)


def _no_command(word: str) -> PromptError:
    name = word.replace("-", "_").lower()
    if name in SHELL_COMMANDS:
        return PromptError(f"'{word}' is no command of this prompt: type 'trioraft {name}' into a shell outside of it")
    near = difflib.get_close_matches(name, COMMANDS, 1)
    return PromptError(f"there is no command '{word}': " + (f"did you mean '{near[0]}'?" if near else "try 'help'"))


def help_lines(about: str | None = None) -> list[str]:
    """What can be typed, a line each."""
    chosen = [COMMANDS[about]] if about else list(COMMANDS.values())
    width = max(len(command.usage) for command in COMMANDS.values())
    rows = [f"{command.usage:{width}}  {command.summary}" for command in chosen]
    return rows if about else [*rows, *_WORDS_HELP]


def complete_command(text: str) -> list[str]:
    """The commands that the text before the cursor may become; none once the first word has ended."""
    word = text.lstrip()
    if any(sign.isspace() for sign in word):
        return []
    word = word.replace("-", "_")
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


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS


def _usage(name: str) -> PromptError:
    return PromptError(f"usage: {COMMANDS[name].usage}")
