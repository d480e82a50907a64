"""The inquiry of `check`: every address is asked at once, within bounds, and its answer or its silence is evidence."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.names import Place, look_up, numeric
from trioraft.wire.codec import DecodeError, decode, encode
from trioraft_cli import where
from trioraft_cli.checking.evidence import Answer, Fault, Kind, Metrics, Silence, Status
from trioraft_cli.membership import Members

CONNECT_SECONDS: Final = 1.0
"""How long a name may take to resolve, and a connection to be taken."""
REPLY_SECONDS: Final = 2.0
"""How long a node may take for all its replies."""
LONGEST_REPLY: Final = 40 * 1024 * 1024
"""More than a node answers: its last entry has at most 32 MiB."""
QUESTIONS: Final = ("hello", "status", "members", "metrics", "fault")
_LAST_ENTRY: Final[Mapping[str, Any]] = {"op": "show_log", "limit": 1}
_NO_WAY: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_SHOWN: Final = 30
"""How many bytes of what is no node's reply are shown."""

T = TypeVar("T")


class _Faults(msgspec.Struct):
    """What is of use in an answer to `fault`."""

    faults: list[Fault]


class _Entry(msgspec.Struct):
    term: int


class _Log(msgspec.Struct):
    """What is of use in an answer to `show_log`."""

    entries: list[_Entry]


def look_at(
    known: Collection[Address], *, with_log: bool = False
) -> tuple[dict[Address, Answer], dict[Address, Silence]]:
    """Ask the known addresses, and those of the members that they name: the answers, and the silences.

    `with_log`: ask for the last entry too.
    """
    answers: dict[Address, Answer] = {}
    silences: dict[Address, Silence] = {}
    asked = dict.fromkeys(known)
    while asked:
        heard = [(address, in_background(partial(_ask, address, with_log=with_log))) for address in asked]
        for address, answer in heard:
            found = answer.result()
            if isinstance(found, Answer):
                answers[address] = found
            else:
                silences[address] = found
        told = where.of_members(dict(enumerate(_addresses_in(answers))))
        asked = {address: None for address in told.values() if address not in answers and address not in silences}
    return answers, silences


def _addresses_in(answers: Mapping[Address, Answer]) -> list[str]:
    """The members that the nodes name; of a node of no cluster yet, those that it waits for."""
    named = [member.address for answer in answers.values() for member in answer.status.members]
    waited_for = [
        line
        for answer in answers.values()
        for line in answer.status.servers
        if answer.status.role == "unformed" and line != "-"
    ]
    return list(dict.fromkeys([*named, *waited_for]))


def _ask(address: Address, *, with_log: bool) -> Answer | Silence:
    """Ask one address, at each place that its name resolves to until a node answers."""
    try:
        places = numeric(address) or look_up(address).wait(CONNECT_SECONDS)
    except TimeoutError:
        return Silence("unresolved", f"its name is not resolved within {CONNECT_SECONDS:g} s")
    except (OSError, ValueError) as error:
        return Silence("unresolved", f"its name does not resolve: {getattr(error, 'strerror', None) or error}")
    silence = Silence("unresolved", "its name has no address")
    for place in dict.fromkeys(places):
        found = _ask_at(address, place, with_log=with_log)
        if isinstance(found, Answer):
            return found
        silence = found
    return silence


def _ask_at(address: Address, place: Place, *, with_log: bool) -> Answer | Silence:
    family, kind, protocol, _, there = place
    with socket.socket(family, kind, protocol) as connected:
        connected.settimeout(CONNECT_SECONDS)
        try:
            connected.connect(there)
        except OSError as error:
            return _unconnected(error)
        questions: list[Mapping[str, Any]] = [{"op": op} for op in QUESTIONS]
        if with_log:
            questions.append(_LAST_ENTRY)
        asked = time.monotonic()
        try:
            connected.sendall(b"".join(encode(question) + b"\n" for question in questions))
            lines = list(_lines(connected, len(questions)))
        except TimeoutError:
            return Silence("silent", f"it takes the connection, and answers nothing within {REPLY_SECONDS:g} s")
        except OSError as error:
            return Silence("hung_up", f"it takes the connection and breaks it: {error.strerror}")
    return _understood(address, lines, asked)


def _unconnected(error: OSError) -> Silence:
    if isinstance(error, TimeoutError):
        return Silence("no_answer", f"no answer to the connection within {CONNECT_SECONDS:g} s")
    kind: Kind = "no_answer"
    if isinstance(error, ConnectionRefusedError):
        kind = "refused"
    elif error.errno in _NO_WAY:
        kind = "no_way"
    return Silence(kind, str(error.strerror or error))


def _lines(connected: socket.socket, count: int) -> Iterator[bytes]:
    """That many lines, or those before it hangs up, or says what no node says. Raises OSError where none comes."""
    deadline = time.monotonic() + REPLY_SECONDS
    data = b""
    while count and len(data) < LONGEST_REPLY:
        connected.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            received = connected.recv(1 << 18)
        except OSError:
            if data:  # it has said something, which tells more than that it stopped
                break
            raise
        if not received:
            break
        *whole, data = (data + received).split(b"\n")
        yield from whole[:count]
        count -= len(whole)
        if data and data[:1] != b"{":
            break
    if count > 0 and data:
        yield data


def _understood(address: Address, lines: list[bytes], asked: float) -> Answer | Silence:
    """Make what was heard evidence."""
    if not any(lines):
        return Silence("hung_up", "it takes the connection, and closes it without a word")
    heard = time.monotonic()
    replies = [_reply(line, dict[str, Any]) for line in lines]
    first = replies[0]
    if first is None or "ok" not in first:
        return Silence("not_a_node", _what_speaks(lines[0]))
    if not first["ok"] and _code(first) == "overloaded":
        return Silence("overloaded", _message(first))
    lines += [b""] * (len(QUESTIONS) + 1 - len(lines))
    status = _reply(lines[1], Status)
    if status is None:
        return Silence("failing", _message(replies[1] if len(replies) > 1 and replies[1] else first))
    metrics = _reply(lines[3], Metrics) or Metrics()
    faults, log = _reply(lines[4], _Faults), _reply(lines[5], _Log)
    return Answer(
        address,
        str(first.get("version", "?")),
        status,
        _reply(lines[2], Members),
        metrics,
        faults.faults if faults else [],
        None if metrics.time is None else metrics.time - (asked + heard) / 2,
        max((entry.term for entry in log.entries), default=0) if log else 0,
    )


def _reply(line: bytes, kind: type[T]) -> T | None:
    """What the line says, if it is of that kind."""
    try:
        return decode(line, kind)
    except DecodeError:
        return None


def _code(reply: Mapping[str, Any]) -> str:
    error = reply.get("error")
    return str(error.get("code")) if isinstance(error, dict) else ""


def _message(reply: Mapping[str, Any]) -> str:
    error = reply.get("error")
    return str(error.get("message")) if isinstance(error, dict) else "it does not say how it is"


def _what_speaks(line: bytes) -> str:
    """What it is that answers otherwise than a node does, by its first bytes."""
    if line.startswith((b"HTTP/", b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML")):
        return "it speaks HTTP"
    if line[:2] == b"\x15\x03":
        return "it speaks TLS"
    if line.startswith(b"SSH-"):
        return "it speaks SSH"
    return f"it answers {line[:_SHOWN].decode('utf-8', 'replace')!r}"
