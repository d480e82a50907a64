"""The way of `check`: gather, judge, and show."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from trioraft.addresses import ServersFileError, read_servers
from trioraft.wire.codec import encode
from trioraft_cli import colour, render, where
from trioraft_cli.arguments import at_prompt
from trioraft_cli.asking import Asker
from trioraft_cli.checking.evidence import SECOND_LOOK_SECONDS, Evidence, Place, Source
from trioraft_cli.checking.findings import Finding
from trioraft_cli.checking.inquiry import look_at
from trioraft_cli.checking.judge import judge, needs_second_look
from trioraft_cli.escapes import safe
from trioraft_cli.outcomes import NO_NODE, NOT_NOW
from trioraft_cli.streams import folded
from trioraft_cli.words import shell_word

_RESTART: Final = "\\restart"
"""A command that a demo alone has."""
_COLOURS: Final = {"down": 31, "now": 33, "remark": 36, "ok": 32}


def run_check(asker: Asker) -> int:
    """Check the cluster, and print the findings; the exit code."""
    evidence = _gather(asker)
    findings = judge(evidence)
    for finding in findings:
        if asker.as_json:
            render.show_json(encode(finding))
        else:
            _show(finding)
    if not evidence.answers:
        return NO_NODE
    return NOT_NOW if any(finding.needs_doing for finding in findings) else 0


def _gather(asker: Asker) -> Evidence:
    """Look at the cluster; where something is wrong, look again, for it may pass."""
    source = _source(asker)
    evidence = Evidence(source, *look_at(asker.addresses))
    if not evidence.answers or not needs_second_look(evidence):
        return evidence
    time.sleep(SECOND_LOOK_SECONDS)
    before = {address: answer.status for address, answer in evidence.answers.items()}
    no_leader = all(status.role != "leader" for status in before.values())
    again = look_at([*evidence.answers, *evidence.silences], with_log=no_leader)
    return Evidence(source, *again, before=before)


def _source(asker: Asker) -> Source:
    """Where the cluster is, as it was said."""
    context = click.get_current_context()
    servers, connect = context.params["servers"], context.params["connect"]
    place: Place = "shell"
    if at_prompt(context):
        place = "demo" if _RESTART in getattr(context.find_root().command, "commands", ()) else "prompt"
        if servers is None and not connect:
            return Source(list(asker.addresses), typed_at=place)
    options = "".join(f" --connect {shell_word(text)}" for text in connect)
    if servers is not None:
        options = f" --servers {shell_word(str(servers))}"
    file = where.file_of(servers, connect)
    try:
        listed = None if file is None else read_servers(file)
    except ServersFileError:  # a pipe, which can be read once
        listed = None
    if listed is None:
        return Source(list(asker.addresses), None, options, place)
    return Source(listed, str(file), options, place)


def _show(finding: Finding) -> None:
    """Print a finding, and its steps below it."""
    severity = finding.severity
    message = folded(f"{severity}: {safe(finding.message)}", sys.stdout).removeprefix(severity)
    painted = colour.wanted(sys.stdout)
    print(f"{colour.paint(severity, _COLOURS[severity]) if painted else severity}{message}")
    for step in finding.steps:
        print(folded(f"    {safe(step.do)}{'' if step.command is None else ':'}", sys.stdout))
        if step.command is not None:
            print(f"    {'>' if step.at_prompt else '$'} {safe(step.command)}")
