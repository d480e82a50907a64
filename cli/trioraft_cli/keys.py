"""The commands for keys: get, put, delete, scan, incr."""

from __future__ import annotations

import sys
from typing import Any

import click

from trioraft_cli import render
from trioraft_cli.arguments import KEY, LEASE, NUMBER, PREFIX, VALUE, WithDashes
from trioraft_cli.asking import Asker, asks, write_options
from trioraft_cli.counts import counted
from trioraft_cli.form import as_table
from trioraft_cli.outcomes import no_key
from trioraft_cli.streams import say
from trioraft_cli.typed import WithRest
from trioraft_cli.values import STORED_AS_STRING, STORED_WHOLE, is_broken_json, is_redirected, to_json
from trioraft_cli.words import quote, shell_word


@click.command()
@click.argument("key", type=KEY)
@click.option("--raw", is_flag=True, help="A string without its quotes.")
@click.option("--stale", is_flag=True, help="From the node's own state, which may be behind.")
@asks
def get(asker: Asker, key: str, raw: bool, stale: bool) -> int:
    """Print the value of KEY, as JSON.

    \b
    Examples: trioraft get name
              trioraft get name --raw --stale
    """
    reply = asker.call("get", key=key, read="stale" if stale else None)
    if reply["version"] == 0:
        return no_key(key)
    if not asker.as_json:
        (render.show_raw if raw else render.show_value)(reply.raw("value"))
    return 0


class _Put(WithDashes, WithRest):
    """A command whose last argument is a value."""


@click.command(cls=_Put, context_settings={"ignore_unknown_options": True})
@click.argument("key", type=KEY)
@click.argument("value", type=VALUE)
@click.option("--string", is_flag=True, help="VALUE is a string, even if it reads as JSON.")
@click.option("--if-rev", type=int, help="Only if KEY has this revision; 0: only if it does not exist.")
@click.option("--lease", type=LEASE, help="KEY goes when this lease ends.")
@write_options
@asks
def put(asker: Asker, key: str, value: str, string: bool, **options: Any) -> int:
    """Give KEY the VALUE: JSON if it reads as JSON, else a string; '-' reads it from standard input.

    At the prompt, options stand before KEY, and VALUE is the rest of the line, whatever stands there.

    \b
    Examples: trioraft put config '{"colour": "red"}' --if-rev 0
              date | trioraft put started -
    """
    reply = asker.call("put", key=key, value=to_json(value, string=string), **options)
    if not asker.as_json and as_table():
        print(f"revision {reply['rev']}")
        if not string and is_broken_json(value):
            say(STORED_AS_STRING)
        elif asker.going_on is not None and is_redirected(value):
            say(STORED_WHOLE)
    return 0


@click.command()
@click.argument("key", type=KEY)
@click.option("--if-rev", type=int, help="Only if KEY has this revision.")
@click.option("--prefix", is_flag=True, help="KEY is a prefix: remove all keys that begin with it.")
@click.option("--limit", type=NUMBER, help="With --prefix: at most so many keys, up to 10000; else all.")
@click.option("--all", "everything", is_flag=True, help="With --prefix '': yes, every key of the store.")
@write_options
@asks
def delete(
    asker: Asker, key: str, if_rev: int | None, prefix: bool, limit: int | None, everything: bool, **options: Any
) -> int:
    """Remove KEY, or with --prefix all keys that begin with it.

    An empty prefix, as of a variable that is not set, is refused without --all. Where --limit leaves keys, standard
    error says so.

    \b
    Examples: trioraft delete config
              trioraft delete --prefix sessions/
    """
    if not prefix:
        if limit is not None or everything:
            raise click.UsageError(f"{'--all' if limit is None else '--limit'} is for --prefix")
        if not asker.call("delete", key=key, if_rev=if_rev, **options)["deleted"]:
            return no_key(key)
        if not asker.as_json and as_table():
            print("deleted")
        return 0
    if if_rev is not None:
        raise click.UsageError("--if-rev is for one key, and --prefix for many")
    if everything == bool(key):
        raise click.UsageError(
            "--all is for the empty prefix"
            if key
            else "every key begins with the empty prefix: add --all to remove all"
        )
    return _delete_all(asker, key, limit, options)


def _delete_all(asker: Asker, prefix: str, limit: int | None, options: dict[str, Any]) -> int:
    """Remove the keys with that prefix, up to a limit: all, some at a time, where it is None."""
    deleted, more = 0, True
    while more:
        reply = asker.call("delete", prefix=prefix, limit=limit, **options)
        deleted += reply["deleted"]
        more = limit is None and reply["more"]
    if reply["more"]:
        say(f"there are more keys that begin with {quote(prefix, sys.stderr.encoding)}: they are left")
    if not asker.as_json and as_table():
        print(f"deleted {counted(deleted, 'key')}")
    return 0 if deleted else no_key(prefix, "that begins with")


@click.command()
@click.argument("prefix", type=PREFIX, default="")
@click.option("--after", type=KEY, help="Begin behind this key.")
@click.option("--limit", type=int, help="At most so many keys, up to 10000; 1000 where it is not given.")
@click.option("--keys-only", is_flag=True, help="The keys alone.")
@click.option("--stale", is_flag=True, help="From the node's own state, which may be behind.")
@asks
def scan(asker: Asker, prefix: str, after: str | None, limit: int | None, keys_only: bool, stale: bool) -> int:
    """List the keys that begin with PREFIX, in order.

    Where there are more than it shows, standard error says how to go on.

    \b
    Examples: trioraft scan users/ --limit 10
              trioraft scan --keys-only
    """
    read = "stale" if stale else None
    reply = asker.call("scan", prefix=prefix, after=after, limit=limit, keys_only=keys_only, read=read)
    if not asker.as_json:
        render.show_scan(reply, keys_only=keys_only)
        if reply["more"]:
            rows = render.scan_rows(reply)
            after = shell_word(rows[-1].key, sys.stderr.encoding)
            say(f"there are more than {counted(len(rows), 'key')}: go on with --after {after}")
    return 0


@click.command(cls=WithDashes, context_settings={"ignore_unknown_options": True})
@click.argument("key", type=KEY)
@click.argument("by", type=int, default=1)
@write_options
@asks
def incr(asker: Asker, key: str, by: int, **options: Any) -> int:
    """Add BY, 1 where it is not given, to the integer at KEY, and print the sum.

    \b
    Example: trioraft incr visits 5 --once
    """
    reply = asker.call("incr", key=key, by=by, **options)
    if not asker.as_json:
        render.show_value(reply.raw("value"))
        if as_table():
            print(f"revision {reply['rev']}")
    return 0


COMMANDS = (get, put, delete, scan, incr)
