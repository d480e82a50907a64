"""One line of the prompt: read, carried out, and its result printed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trioraft.addresses import Address
from trioraft.client import ClientError, Reply
from trioraft_cli import render, with_options
from trioraft_cli.commands import COMMANDS, PromptError, has_broken_json, help_lines, is_remark, parse_line
from trioraft_cli.connection import Connection
from trioraft_cli.counts import snapshot_taken
from trioraft_cli.membership import added, show_members
from trioraft_cli.outcomes import GIVEN_UP, NOT_WAITED_FOR, USAGE, complain, no_key
from trioraft_cli.status import ClusterStatus, show_status
from trioraft_cli.streams import say
from trioraft_cli.values import STORED_AS_STRING
from trioraft_cli.words import shell_word


def run_line(connection: Connection, addresses: Sequence[Address], line: str) -> int | None:
    """Carry out one line; its exit code, None where it ends the prompt."""
    if is_remark(line):
        return 0
    try:
        name, fields = parse_line(line)
        if name == "exit":
            return None
        with _saying_what_is_open(name):
            code = _carry_out(connection, addresses, name, fields)
        if has_broken_json(line):
            say(STORED_AS_STRING)
        return code
    except PromptError as error:
        say(str(error))
        return USAGE
    except ClientError as error:
        return complain(error)


@contextmanager
def _saying_what_is_open(name: str) -> Iterator[None]:
    """A context that says what Ctrl-C leaves open."""
    try:
        yield
    except KeyboardInterrupt:
        say(NOT_WAITED_FOR if COMMANDS[name].may_change else GIVEN_UP)
        raise


def _carry_out(connection: Connection, addresses: Sequence[Address], name: str, fields: dict[str, Any]) -> int:
    if name == "help":
        print("\n".join(help_lines(fields["about"])))
        return 0
    if name == "status":
        return show_status(ClusterStatus(addresses))
    if COMMANDS[name].options:
        return with_options.carry_out(connection, name, fields["typed"])
    if name == "members":
        return show_members(connection.members())
    operation = COMMANDS[name].operation
    assert operation is not None  # those that the prompt carries out by itself are above
    reply = connection.call(operation.name, **fields)
    return _show(name, fields, reply)


def _show(name: str, fields: dict[str, Any], reply: Reply) -> int:
    """Print what a node replied to a command; the exit code."""
    match name:
        case "add_member":
            member = added(reply)
            print(f"node {member.id} is a member: start it with 'trioraft node {member.id} servers.txt'")
        case "remove_member":
            print(f"node {fields['member']} is no member any more")
        case "promote_member":
            print(f"node {fields['member']} votes as soon as it has caught up")
        case "transfer":
            print(f"node {reply['leader']} leads in term {reply['term']}")
        case "snapshot":
            print(snapshot_taken(reply["keys"], reply["index"], reply["bytes"]))
        case "get":
            if reply["version"] == 0:
                return no_key(fields["key"])
            render.show_value(reply.raw("value"))
        case "delete":
            if not reply["deleted"]:
                return no_key(fields["key"])
            print("deleted")
        case "incr":
            render.show_value(reply.raw("value"))
            print(f"revision {reply['rev']}")
        case "scan":
            render.show_scan(reply, keys_only=False)
            if reply["more"]:
                last = shell_word(render.scan_rows(reply)[-1].key, sys.stderr.encoding)
                say(f"there are more: outside of this prompt 'trioraft scan' shows those --after {last}")
        case "show_log":
            render.show_log(reply)
        case _:  # a write that has no more to say
            print(f"revision {reply['rev']}")
    return 0
