"""The commands, each a function; what they need beyond the client is imported where it is used."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

import trioraft
from trioraft.addresses import Address, AddressError, ServersFileError, numbered, parse_address, read_servers
from trioraft.client import BadRequest, Client, ClientError, NoNode, Refused, Reply, Unknown
from trioraft.client.attempts import WRITES
from trioraft_cli import members, render, streams, where
from trioraft_cli.arguments import TEXT, VALUE, Whole
from trioraft_cli.cluster import COLUMNS, ClusterStatus
from trioraft_cli.counts import counted, snapshot_taken
from trioraft_cli.streams import say
from trioraft_cli.values import STORED_AS_STRING, is_broken_json, to_json
from trioraft_cli.words import quote, shell_word

NO: Final = 1
USAGE: Final = 2
NO_NODE: Final = 3
NOT_NOW: Final = 4
UNKNOWN: Final = 5
INTERNAL: Final = 70
INTERRUPTED: Final = 130

NOT_WAITED_FOR: Final = "not waited for any more: what was asked may have been applied, or may be yet"
LONGEST_COMPLAINT: Final = 1000
"""In characters: what was given on the command line may be said again, and may be long."""


class Failure(Exception):
    """The command ends with that exit code; what there is to say has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Commands(click.Group):
    """Names with '_' and '-' are the same."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name.replace("_", "-"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names. Raises click.UsageError with one that may be meant."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            name = word.lower().replace("_", "-")
            near = _OF_THE_PROMPT.get(name) or next(iter(difflib.get_close_matches(name, self.commands, 1)), "--help")
            raise click.UsageError(f"there is no command '{word}': did you mean '{ctx.command_path} {near}'?", ctx)
        return super().resolve_command(ctx, args)


_OF_THE_PROMPT: Final = {
    **{f"{change}-member": f"members {change}" for change in ("add", "remove", "promote")},
    "help": "--help",
    "exit": "--help",
}
"""What the prompt has under names of its own, as the command line has it."""


def run() -> int:
    """Run the command line on sys.argv; the exit code."""
    streams.prepare()
    try:
        return streams.finish(_run())
    except SystemExit as told:  # by a signal, whatever else fails then
        streams.finish(0)
        return told.code if isinstance(told.code, int) else INTERNAL


def _run() -> int:
    try:
        code = cli.main(prog_name="trioraft", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except Failure as failure:
        return failure.code
    except click.ClickException as error:
        _complain_of_usage(error)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ClientError as error:
        complain(error)
        return exit_code(error)
    except streams.StreamError as error:
        streams.complain(error)
        return error.code
    except Exception as error:  # a bug of ours: said in a line, not in a traceback
        say(f"internal error: {type(error).__name__}: {error}")
        return INTERNAL


def no_key(key: str) -> int:
    """Say that the key is missing; the exit code."""
    say(f"there is no key {quote(key, sys.stderr.encoding)}")
    return NO


def complain(error: ClientError) -> None:
    """Say on standard error what happened and what to do."""
    code = f"{error.code}: " if isinstance(error, Refused) else ""
    applied = {"no": " It was not applied.", "unknown": " It may have been applied."}
    state = applied.get(error.applied or "", "")
    hint = f" ({error.hint})" if error.hint else ""
    say(f"{code}{error.message}.{state}{hint}")


def _complain_of_usage(error: click.ClickException) -> None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and error.format_message() == context.get_help():  # nothing at all was given
        print(error.format_message(), file=sys.stderr)
        return
    if context is not None:
        print(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", file=sys.stderr)
    message = error.format_message()
    say(message if len(message) <= LONGEST_COMPLAINT else f"{message[:LONGEST_COMPLAINT]}…")
    if isinstance(error, NoSuchNode):
        print(error.listed, file=sys.stderr)


class NoSuchNode(click.UsageError):
    """An INDEX that a servers.txt does not have, and what it has."""

    def __init__(self, message: str, listed: str) -> None:
        super().__init__(f"{message}:")
        self.listed = listed


def exit_code(error: ClientError) -> int:
    """What a script is told."""
    if isinstance(error, NoNode):
        return NO_NODE
    if isinstance(error, Unknown):
        return UNKNOWN
    if isinstance(error, BadRequest):
        return USAGE
    assert isinstance(error, Refused)
    if error.applied == "unknown":
        return UNKNOWN
    if error.code == "conflict":
        return NO
    if error.code in ("bad_json", "bad_request", "unknown_op", "too_deep", "line_too_long"):
        return USAGE
    return INTERNAL if error.code == "internal" else NOT_NOW


def _place(command: Any) -> Any:
    """The options that say where the cluster is, and how to print."""
    servers = click.option("--servers", type=click.Path(path_type=Path), help="A servers.txt that lists the nodes.")
    connect = click.option(
        "--connect", type=TEXT, multiple=True, metavar="HOST:PORT", help="A node; may be given again."
    )
    output = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="json: as sent.")
    return servers(connect(output(command)))


def _ask(servers: Path | None, connect: tuple[str, ...], output: str, op: str, **fields: Any) -> Reply:
    """Ask the cluster; with json output a refusal is printed as the node sent it."""
    with Client(where.addresses(servers, connect)) as client:
        try:
            reply = client.call(op, **fields)
        except Refused as refused:
            if output == "json":
                render.show_json(refused.reply.line)
                raise Failure(exit_code(refused)) from None
            raise
        except KeyboardInterrupt:
            if op in WRITES:
                say(NOT_WAITED_FOR)
            raise
    if output == "json":
        render.show_json(reply.line)
    return reply


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(trioraft.__version__, prog_name="trioraft")
def cli() -> None:
    """A replicated JSON key-value store.

    Try it with nothing prepared: trioraft demo
    """


@cli.command()
@click.argument("index", type=int)
@click.argument("servers", type=click.Path(path_type=Path))
@click.option("--data-dir", type=click.Path(path_type=Path), help="This node's folder.")
@click.option("--listen", metavar="HOST:PORT", help="Listen here, not at the address in SERVERS.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option(
    "--max-request-bytes",
    type=Whole(1024, 32 * 1024 * 1024),
    default=1024 * 1024,
    show_default=True,
    help="The longest request that a client may send.",
)
def node(
    index: int,
    servers: Path,
    data_dir: Path | None,
    listen: str | None,
    log_format: str,
    log_level: str,
    max_request_bytes: int,
) -> int:
    """Run one node: the one at position INDEX, from 0, among the addresses of the file SERVERS."""
    from trioraft_cli.node import run_at

    try:
        listed = read_servers(servers)
        place = parse_address(listen) if listen else None
    except (AddressError, ServersFileError) as error:
        raise click.UsageError(str(error)) from None
    if not (0 <= index < len(listed)) or listed[index] is None:
        raise NoSuchNode(f"there is no node {index} in {servers}", numbered(listed))
    parent = Path(os.environ.get("TRIORAFT_DATA_DIR") or "trioraft-data")
    folder = data_dir or parent / f"node-{index}"
    return run_at(index, listed, folder, place, log_format, log_level, max_request_bytes)


@cli.command()
@click.argument("key", type=TEXT)
@click.option("--raw", is_flag=True, help="A string without its quotes.")
@click.option("--stale", is_flag=True, help="From the node's own state, which may be behind.")
@_place
def get(key: str, raw: bool, stale: bool, **place: Any) -> int:
    """Print the value of KEY, as JSON."""
    reply = _ask(**place, op="get", key=key, read="stale" if stale else None)
    if reply["version"] == 0:
        return no_key(key)
    if place["output"] == "text":
        (render.show_raw if raw else render.show_json)(reply.raw("value"))
    return 0


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("key", type=TEXT)
@click.argument("value", type=VALUE)
@click.option("--string", is_flag=True, help="VALUE is a string, even if it reads as JSON.")
@click.option("--if-rev", type=int, help="Only if KEY has this revision; 0: only if it does not exist.")
@_place
def put(key: str, value: str, string: bool, if_rev: int | None, **place: Any) -> int:
    """Give KEY the VALUE: JSON if it reads as JSON, else a string; '-' reads it from standard input."""
    reply = _ask(**place, op="put", key=key, value=to_json(value, string=string), if_rev=if_rev)
    if place["output"] == "text" and render.on_terminal():
        print(f"revision {reply['rev']}")
        if not string and is_broken_json(value):
            say(STORED_AS_STRING)
    return 0


@cli.command()
@click.argument("key", type=TEXT)
@click.option("--if-rev", type=int, help="Only if KEY has this revision.")
@_place
def delete(key: str, if_rev: int | None, **place: Any) -> int:
    """Remove KEY."""
    if _ask(**place, op="delete", key=key, if_rev=if_rev)["deleted"] == 0:
        return no_key(key)
    return 0


@cli.command()
@click.argument("prefix", type=TEXT, default="")
@click.option("--after", type=TEXT, help="Begin behind this key.")
@click.option("--limit", type=int, help="At most so many keys, up to 10000; 1000 where it is not given.")
@click.option("--keys-only", is_flag=True, help="The keys alone.")
@click.option("--stale", is_flag=True, help="From the node's own state, which may be behind.")
@_place
def scan(prefix: str, after: str | None, limit: int | None, keys_only: bool, stale: bool, **place: Any) -> int:
    """List the keys that begin with PREFIX, in order.

    Where there are more than it shows, standard error says how to go on.
    """
    read = "stale" if stale else None
    reply = _ask(**place, op="scan", prefix=prefix, after=after, limit=limit, keys_only=keys_only, read=read)
    if place["output"] == "text":
        render.show_scan(reply, keys_only=keys_only)
        if reply["more"]:
            rows = render.scan_rows(reply)
            after = shell_word(rows[-1].key, sys.stderr.encoding)
            say(f"there are more than {counted(len(rows), 'key')}: go on with --after {after}")
    return 0


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("key", type=TEXT)
@click.argument("by", type=int, default=1)
@_place
def incr(key: str, by: int, **place: Any) -> int:
    """Add BY, 1 where it is not given, to the integer at KEY, and print the sum."""
    reply = _ask(**place, op="incr", key=key, by=by)
    if place["output"] == "text":
        render.show_json(reply.raw("value"))
        if render.on_terminal():
            print(f"revision {reply['rev']}")
    return 0


@cli.command()
@_place
def status(servers: Path | None, connect: tuple[str, ...], output: str) -> int:
    """Show every node of the cluster: who leads, how far each is, and who does not answer."""
    cluster = ClusterStatus(where.addresses(servers, connect))
    if output == "json":
        for reply in cluster.replies.values():
            render.show_json(reply.line)
        for address, failure in cluster.failures.items():  # it has no line: it has sent none
            say(f"no answer from {address}: {failure}")
    else:
        render.show("", COLUMNS, cluster.rows())
    return judge(cluster)


def judge(cluster: ClusterStatus) -> int:
    """Say what is not as it should be; the exit code, 0 while writes are taken."""
    for remark in cluster.remarks():
        say(remark)
    if not cluster.replies:
        return NO_NODE
    return 0 if cluster.has_leader else NOT_NOW


@cli.command("show-log")
@click.option("--from", "first", type=int, help="The first index; the newest entries where it is not given.")
@click.option("--limit", type=int, help="At most so many entries, up to 1000; 100 where it is not given.")
@_place
def show_log(first: int | None, limit: int | None, **place: Any) -> int:
    """Show the log of the node that answers."""
    fields: dict[str, Any] = {"from": first}  # a word of Python's
    reply = _ask(**place, op="show_log", limit=limit, **fields)
    if place["output"] == "text":
        render.show_log(reply)
        if reply["more"]:
            last_index = render.log_rows(reply)[-1].index
            say(f"there are more entries: go on with --from {last_index + 1}")
    return 0


@cli.group("members", cls=_Commands, invoke_without_command=True)
@_place
@click.pass_context
def members_group(context: click.Context, servers: Path | None, connect: tuple[str, ...], output: str) -> int:
    """Show the members of the cluster, or change them: add, remove, promote, apply."""
    if context.invoked_subcommand is not None:
        context.obj = servers, connect
        return 0
    if output == "json":
        _ask(servers, connect, output, "members")
        return 0
    with Client(where.addresses(servers, connect)) as client:
        return show_members(members.ask_members(client))


def show_members(found: members.Members) -> int:
    """Print the members; the exit code."""
    if not found.members:
        say("the cluster has not formed yet, and has no members: 'status' tells which nodes are waited for")
        return NOT_NOW
    members.show(found)
    return 0


@members_group.command("add")
@click.argument("address", type=TEXT)
@click.option("--learner", is_flag=True, help="It never votes, unless it is promoted.")
@_place
def members_add(address: str, learner: bool, **place: Any) -> int:
    """Take in a node at ADDRESS; it gets the next id, and a vote once it has caught up."""
    reply = _ask(**place, op="add_member", address=str(_address(address)), learner=learner)
    if place["output"] == "text":
        member = members.added(reply)
        print(
            f"node {member.id} at {member.address} is a member: start it with 'trioraft node {member.id} servers.txt',"
        )
        print(f"its line added to servers.txt at position {member.id}")
    return 0


@members_group.command("remove")
@click.argument("member", type=int)
@click.option("--force", is_flag=True, help="Though no majority of the others is live.")
@_place
def members_remove(member: int, force: bool, **place: Any) -> int:
    """Let the node with the id MEMBER go, for good."""
    _ask(**place, op="remove_member", member=member, force=force)
    if place["output"] == "text":
        print(f"node {member} is no member any more: stop it, and put '-' in its line of servers.txt")
    return 0


@members_group.command("promote")
@click.argument("member", type=int)
@_place
def members_promote(member: int, **place: Any) -> int:
    """Let the learner with the id MEMBER vote, once it has caught up."""
    _ask(**place, op="promote_member", member=member)
    if place["output"] == "text":
        print(f"node {member} votes as soon as it has caught up")
    return 0


@members_group.command("apply")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@_place
def members_apply(file: Path, dry_run: bool, servers: Path | None, connect: tuple[str, ...], output: str) -> int:  # noqa: ARG001
    """Make the members those that FILE lists, a safe change after the other."""
    try:
        listed = read_servers(file)
        with Client(where.addresses(servers, connect)) as client:
            present = members.ask_members(client)
        steps = members.plan(listed, present)
        for step in steps:
            print(f"{'would' if dry_run else 'will'} {step}")
        if not steps:
            print("nothing to do: the members are those of the file")
        if not dry_run:
            members.carry_out(present, steps, file, print)
    except (ServersFileError, members.PlanError) as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        say(NOT_WAITED_FOR)
        raise
    return 0


@cli.command()
@click.argument("target", type=int, required=False)
@_place
def transfer(target: int | None, **place: Any) -> int:
    """Let the node with the id TARGET lead, or the one that has most."""
    reply = _ask(**place, op="transfer_leadership", target=target)
    if place["output"] == "text":
        print(f"node {reply['leader']} leads in term {reply['term']}")
    return 0


@cli.command()
@_place
def snapshot(**place: Any) -> int:
    """Let the node that answers write a snapshot, and shorten its log."""
    reply = _ask(**place, op="snapshot")
    if place["output"] == "text":
        print(snapshot_taken(reply["keys"], reply["index"], reply["bytes"]))
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_place
def backup(file: Path, servers: Path | None, connect: tuple[str, ...], output: str) -> int:  # noqa: ARG001
    """Save all keys of the running cluster to FILE, as they are at one moment."""
    from trioraft_cli import rescue

    with Client(where.addresses(servers, connect)) as client:
        return rescue.backup(client, file)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, help="The folder that is made.")
@click.option("--address", required=True, metavar="HOST:PORT", help="Where the node will listen.")
@click.option("--node", type=Whole(min=0), default=0, show_default=True, help="Its id.")
def restore(file: Path, data_dir: Path, address: str, node: int) -> int:
    """Make a new cluster of one node from the backup FILE."""
    from trioraft_cli import rescue

    return rescue.restore(file, data_dir, node, _address(address))


@cli.command()
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, help="The survivor's folder.")
@click.option("--force-members", "address", required=True, metavar="HOST:PORT", help="The survivor: the only member.")
def recover(data_dir: Path, address: str) -> int:
    """Make a survivor a new cluster of one, where the majority is lost for good. What only the lost knew is lost."""
    from trioraft_cli import rescue

    return rescue.recover(data_dir, _address(address))


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise click.UsageError(str(error)) from None


@cli.command()
@click.argument("address", type=TEXT, required=False)
@click.option("--servers", type=click.Path(path_type=Path), help="A servers.txt that lists the nodes.")
@click.option("--connect", type=TEXT, multiple=True, metavar="HOST:PORT", help="A node; may be given again.")
def shell(address: str | None, servers: Path | None, connect: tuple[str, ...]) -> int:
    """Open a prompt on the cluster, or on the node at ADDRESS."""
    from trioraft_cli.shell import run_shell

    return run_shell(where.addresses(servers, (address,) if address else connect))


@cli.command()
@click.option("--nodes", type=Whole(1, 9), default=3, show_default=True, help="How many nodes.")
def demo(nodes: int) -> int:
    """Start a whole cluster on this machine, with a prompt on it; all of it ends with the prompt."""
    from trioraft_cli.demo import run_demo

    return run_demo(nodes)


@cli.command()
@click.option("--seed", type=Whole(min=0), help="Run this one, and tell of it in full.")
@click.option("--seeds", metavar="A..B", help="Run many, on all cores.")
@click.option("--nodes", type=Whole(1, 9), help="How many nodes; drawn from the seed where it is not given.")
@click.option("--steps", type=Whole(min=1), help="How many events before the faults end.")
@click.option("--faults", metavar="KIND,...", help="These alone, or 'none'; all of them where it is not given.")
@click.option("--whole-nodes", is_flag=True, help="Whole nodes under Trio: slower, and nearer to the truth.")
@click.option("--jobs", type=Whole(min=1), help="How many processes; as many as there are cores by default.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="json: a line a seed.")
def sim(
    seed: int | None,
    seeds: str | None,
    nodes: int | None,
    steps: int | None,
    faults: str | None,
    whole_nodes: bool,
    jobs: int | None,
    output: str,
) -> int:
    """Run a cluster in virtual time with everything that can go wrong, drawn from a seed, and judge it.

    The same seed gives the same run. A failure prints the last events and the line that runs it again.
    """
    from trioraft_cli.sim import Task, parse_faults, parse_seeds, run_many, run_one

    if (seed is None) == (seeds is None):
        raise click.UsageError("give one of --seed N and --seeds A..B")
    if whole_nodes and steps is not None:
        raise click.UsageError("--steps is not for whole nodes: their runs last as long as they last")
    task = parse_faults(faults, Task(nodes, steps, None, whole_nodes))
    if seed is not None:
        return run_one(seed, task, output)
    assert seeds is not None
    return run_many(parse_seeds(seeds), task, jobs, output)
