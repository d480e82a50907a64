"""The commands for keys: get, put, delete, scan, incr."""

from __future__ import annotations

import sys
from typing import Any

import click

from trioraft_cli import render
from trioraft_cli.arguments import TEXT, VALUE
from trioraft_cli.asking import ask, cluster_options
from trioraft_cli.counts import counted
from trioraft_cli.outcomes import no_key
from trioraft_cli.streams import say
from trioraft_cli.values import STORED_AS_STRING, is_broken_json, to_json
from trioraft_cli.words import shell_word


@click.command()
@click.argument("key", type=TEXT)
@click.option("--raw", is_flag=True, help="A string without its quotes.")
@click.option("--stale", is_flag=True, help="From the node's own state, which may be behind.")
@cluster_options
def get(key: str, raw: bool, stale: bool, **place: Any) -> int:
    """Print the value of KEY, as JSON."""
    reply = ask(**place, op="get", key=key, read="stale" if stale else None)
    if reply["version"] == 0:
        return no_key(key)
    if place["output"] == "text":
        (render.show_raw if raw else render.show_json)(reply.raw("value"))
    return 0


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("key", type=TEXT)
@click.argument("value", type=VALUE)
@click.option("--string", is_flag=True, help="VALUE is a string, even if it reads as JSON.")
@click.option("--if-rev", type=int, help="Only if KEY has this revision; 0: only if it does not exist.")
@cluster_options
def put(key: str, value: str, string: bool, if_rev: int | None, **place: Any) -> int:
    """Give KEY the VALUE: JSON if it reads as JSON, else a string; '-' reads it from standard input."""
    reply = ask(**place, op="put", key=key, value=to_json(value, string=string), if_rev=if_rev)
    if place["output"] == "text" and render.on_terminal():
        print(f"revision {reply['rev']}")
        if not string and is_broken_json(value):
            say(STORED_AS_STRING)
    return 0


@click.command()
@click.argument("key", type=TEXT)
@click.option("--if-rev", type=int, help="Only if KEY has this revision.")
@cluster_options
def delete(key: str, if_rev: int | None, **place: Any) -> int:
    """Remove KEY."""
    if ask(**place, op="delete", key=key, if_rev=if_rev)["deleted"] == 0:
        return no_key(key)
    return 0


@click.command()
@click.argument("prefix", type=TEXT, default="")
@click.option("--after", type=TEXT, help="Begin behind this key.")
@click.option("--limit", type=int, help="At most so many keys, up to 10000; 1000 where it is not given.")
@click.option("--keys-only", is_flag=True, help="The keys alone.")
@click.option("--stale", is_flag=True, help="From the node's own state, which may be behind.")
@cluster_options
def scan(prefix: str, after: str | None, limit: int | None, keys_only: bool, stale: bool, **place: Any) -> int:
    """List the keys that begin with PREFIX, in order.

    Where there are more than it shows, standard error says how to go on.
    """
    read = "stale" if stale else None
    reply = ask(**place, op="scan", prefix=prefix, after=after, limit=limit, keys_only=keys_only, read=read)
    if place["output"] == "text":
        render.show_scan(reply, keys_only=keys_only)
        if reply["more"]:
            rows = render.scan_rows(reply)
            after = shell_word(rows[-1].key, sys.stderr.encoding)
            say(f"there are more than {counted(len(rows), 'key')}: go on with --after {after}")
    return 0


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("key", type=TEXT)
@click.argument("by", type=int, default=1)
@cluster_options
def incr(key: str, by: int, **place: Any) -> int:
    """Add BY, 1 where it is not given, to the integer at KEY, and print the sum."""
    reply = ask(**place, op="incr", key=key, by=by)
    if place["output"] == "text":
        render.show_json(reply.raw("value"))
        if render.on_terminal():
            print(f"revision {reply['rev']}")
    return 0


COMMANDS = (get, put, delete, scan, incr)
