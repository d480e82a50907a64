"""The operations in one table, from which `help` comes, on the wire and in the prompt."""

from __future__ import annotations

from typing import Final

from trioraft.wire.requests import EXAMPLES

SUMMARIES: Final = {
    "get": 'the value of a key; "read":"stale" asks this node alone',
    "put": 'give a key a value; "if_rev":0 only if it does not exist, "if_rev":12 only if it has that revision',
    "delete": "remove a key; takes if_rev too",
    "scan": "the keys with a prefix, in order; takes after, limit, keys_only, read",
    "incr": "add to the integer at a key",
    "status": "who leads, the term, and how far this node is",
    "show_log": "entries of this node's log; takes from, limit",
    "ping": "whether the node answers",
    "help": "this",
    "members": "who belongs to the cluster, who follows how far, and how many may fail",
    "add_member": "take in a node at that address: it gets the next id, and a vote once it has caught up",
    "remove_member": 'let a member go for good; "force":true though no majority of the others is live',
    "promote_member": "let a learner vote once it has caught up",
    "transfer_leadership": "let that node lead, or the one that has most",
    "snapshot": "let this node write a snapshot now, and shorten its log",
    "read_snapshot": "a piece of this node's newest snapshot, as text, from an offset on",
    "hello": "the program's version, the node, and the protocol versions that it speaks",
}
"""What each operation does, in a line."""


def operations() -> list[dict[str, str]]:
    """Each operation with what it does and a request that can be typed."""
    return [{"op": op, "summary": summary, "example": EXAMPLES[op]} for op, summary in SUMMARIES.items()]


def help_text() -> str:
    """The same for a person at netcat."""
    width = max(len(example) for example in EXAMPLES.values())
    rows = [f"  {EXAMPLES[op]:{width}}  {summary}" for op, summary in SUMMARIES.items()]
    words = "Or, without JSON: help, ping, status, get KEY, show_log, members"
    return "\n".join(["One request a line, one reply a line:", *rows, words, ""])
