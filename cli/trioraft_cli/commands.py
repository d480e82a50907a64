"""The prompt's commands in one table, from which parsing, help, hints and completion come. Pure."""

from __future__ import annotations

import difflib
import shlex
from typing import Any, Final

import msgspec

from trioraft_cli.values import to_json


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


class PromptError(ValueError):
    """A line that is no command: what is wrong, and what to type."""


def parse_line(line: str) -> tuple[str, dict[str, Any]]:
    """A line's command and the fields of its request. Raises PromptError."""
    word, _, rest = line.strip().partition(" ")
    name = word.replace("-", "_")
    if name == "quit":
        name = "exit"
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        raise PromptError(
            f"there is no command '{word}'" + (f": did you mean '{near[0]}'?" if near else ": try 'help'")
        )
    rest = rest.strip()
    if name == "put":
        key, value = _split_key(rest)
        if not key or not value:
            raise _usage(name)
        return name, {"key": key, "value": to_json(value)}
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise PromptError(f"{error}: quotes come in pairs") from None
    return name, _fields(name, words)


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
    raise _usage(name)


def help_lines(about: str | None = None) -> list[str]:
    """What can be typed, a line each."""
    chosen = [COMMANDS[about]] if about else list(COMMANDS.values())
    width = max(len(command.usage) for command in COMMANDS.values())
    return [f"{command.usage:{width}}  {command.summary}" for command in chosen]


def complete_command(text: str) -> list[str]:
    """The commands that the text before the cursor may become; none once the first word has ended."""
    if " " in text.lstrip():
        return []
    word = text.lstrip().replace("-", "_")
    return [name for name in COMMANDS if name.startswith(word)]


def key_to_complete(text: str) -> str | None:
    """The beginning of a key that is being typed before the cursor; None where none is."""
    word, blank, rest = text.lstrip().partition(" ")
    command = COMMANDS.get(word.replace("-", "_"))
    if not blank or command is None or not command.takes_key:
        return None
    rest = rest.lstrip()
    return None if " " in rest or rest[:1] in ("'", '"') else rest


def quote_key(key: str) -> str:
    """The key as it has to be typed."""
    return key if key and all(sign.isalnum() or sign in "-_./:@" for sign in key) else shlex.quote(key)


def _split_key(rest: str) -> tuple[str, str]:
    """The key, quoted or not, and the rest of the line as it stands."""
    if rest[:1] in ("'", '"'):
        end = rest.find(rest[0], 1)
        if end < 0:
            raise PromptError("the key's quote has no end")
        return rest[1:end], rest[end + 1 :].strip()
    key, _, value = rest.partition(" ")
    return key, value.strip()


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()


def _usage(name: str) -> PromptError:
    return PromptError(f"usage: {COMMANDS[name].usage}")
