"""The way of `check`: gather, judge, and show."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from trioraft.addresses import Address, ServersFileError, read_servers
from trioraft.wire.codec import encode
from trioraft_cli import colour, render, where
from trioraft_cli.asking import Asker
from trioraft_cli.checking.evidence import SECOND_LOOK_SECONDS, Evidence
from trioraft_cli.checking.findings import Finding
from trioraft_cli.checking.inquiry import look_at
from trioraft_cli.checking.judge import judge, needs_second_look
from trioraft_cli.escapes import safe
from trioraft_cli.outcomes import NO_NODE, NOT_NOW
from trioraft_cli.words import shell_word

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
    file, listed, options = _where(asker)
    evidence = Evidence(listed, *look_at(asker.addresses), file=file, options=options)
    if evidence.answers and needs_second_look(evidence):
        time.sleep(SECOND_LOOK_SECONDS)
        before = {address: answer.status for address, answer in evidence.answers.items()}
        no_leader = all(status.role != "leader" for status in before.values())
        again = look_at([*evidence.answers, *evidence.silences], with_log=no_leader)
        evidence = Evidence(listed, *again, before=before, file=file, options=options)
    return evidence


def _where(asker: Asker) -> tuple[str | None, list[Address | None], str]:
    """The servers.txt that lists the cluster, its lines, and the options that lead a further command to it."""
    given = click.get_current_context().params
    servers, connect = given.get("servers"), given.get("connect") or ()
    options = "".join(f" --connect {shell_word(text)}" for text in connect)
    if servers is not None:
        options = f" --servers {shell_word(str(servers))}"
    elif not connect and not _is_by_itself(asker):  # at a prompt, which has asked for its own cluster
        return None, list(asker.addresses), "".join(f" --connect {shell_word(str(a))}" for a in asker.addresses)
    file = where.file_of(servers, connect)
    try:
        return (None, list(asker.addresses), options) if file is None else (str(file), read_servers(file), options)
    except ServersFileError:  # a pipe, which can be read once
        return None, list(asker.addresses), options


def _is_by_itself(asker: Asker) -> bool:
    """Whether a command without options asks the same cluster."""
    try:
        return where.addresses(None, ()) == list(asker.addresses)
    except click.UsageError:
        return False


def _show(finding: Finding) -> None:
    """Print a finding, and its steps below it."""
    painted = colour.wanted(sys.stdout)
    severity = colour.paint(finding.severity, _COLOURS[finding.severity]) if painted else finding.severity
    print(f"{severity}: {safe(finding.message)}")
    for step in finding.steps:
        print(f"    {safe(step.do)}{'' if step.command is None else ':'}")
        if step.command is not None:
            print(f"    $ {safe(step.command)}")
