"""The comparison of a reply to any request with what the model of the whole store says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from trioraft.testing.answers import Asked
from trioraft.testing.store_model import Command, Result, StoreModel, shown
from trioraft.wire.codec import Decoder, decode, encode

_FROM_STATE: Final = ("conflict", "fenced", "seq_reused")
"""The codes with which the state alone refuses a write, as its entry is applied."""
_MAX_SCAN_BYTES: Final = 1024 * 1024


class _Error(msgspec.Struct):
    code: str
    applied: str | None = None
    rev: int = 0
    value: msgspec.Raw = msgspec.Raw()
    """Empty where it is not shown, as in the replay of a conflict."""
    failed: int | None = None


class _Item(msgspec.Struct):
    value: msgspec.Raw = msgspec.Raw(b"null")
    rev: int | None = None
    created: int | None = None
    version: int | None = None
    deleted: int | None = None
    lease: int | None = None
    key: str | None = None
    omitted: bool = False


class Reply(msgspec.Struct):
    """Any reply; a field that it did not have is None."""

    ok: bool
    error: _Error | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")
    rev: int | None = None
    created: int | None = None
    version: int | None = None
    deleted: int | None = None
    more: bool | None = None
    lease: int | None = None
    at: int | None = None
    succeeded: bool | None = None
    results: list[_Item] | None = None
    items: list[_Item] | None = None
    fence: int | None = None
    waiting: bool | None = None
    ahead: int | None = None
    replayed: bool | None = None
    client: str | None = None
    locks: list[dict[str, Any]] | None = None
    leases: list[dict[str, Any]] | None = None


_replies: Final = Decoder(Reply)


def decode_reply(line: bytes) -> Reply:
    """Read a reply to any request. Raises DecodeError."""
    reply: Reply = _replies.decode(line)
    return reply


def changes(txn: Asked) -> bool:
    """Whether a transaction becomes an entry."""
    operations = [*txn.get("then", ()), *txn.get("else", ())]
    return "client" in txn or "lock" in txn or any(one["op"] != "get" for one in operations)


def command_of(asked: Asked) -> dict[str, Any]:
    """The command that the log has to carry for a write."""
    command = {name: asked[name] for name in _COMMAND_FIELDS if name in asked}
    match asked["op"]:
        case "delete" if "prefix" in asked:
            command = {"op": "delete_prefix", "prefix": asked["prefix"], "limit": asked.get("limit", 1000)}
        case "lock":
            command["waits"] = asked.get("wait_ms") != 0
        case "lease_grant":
            command["ttl_ms"] = asked.get("ttl_ms", 10_000)
        case "close_session":
            return {"op": "close_session", "session": _session(asked["client"])}
    if asked["op"] != "unlock" or "lock" in asked:
        command.pop("fence", None)
    if "lock" in asked:
        command = {"op": "fenced", "lock": asked["lock"], "fence": asked["fence"], "command": command}
    if "client" in asked:
        command = {"op": "once", "session": _session(asked["client"]), "seq": asked["seq"], "command": command}
    return command


_COMMAND_FIELDS: Final = (
    *("op", "key", "value", "if_rev", "lease", "by", "checks", "then", "else", "ttl_ms", "name", "fence"),
    *("changes", "bytes"),
)
_DEFAULTS: Final[dict[str, object]] = {"by": 1, "waits": True, "checks": [], "then": [], "else": [], "if_rev": None}


def sign_of(command: Mapping[str, Any]) -> bytes:
    """The command without what does not tell it from another: defaults, and what a retry may say otherwise."""
    return encode(_bare(command))


def _bare(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            name: _bare(value)
            for name, value in sorted(part.items())
            if name != "acked" and (name not in _DEFAULTS or value != _DEFAULTS[name])
        }
    if isinstance(part, msgspec.Raw):
        return decode(bytes(part))
    return [_bare(one) for one in part] if isinstance(part, list) else part


def _session(client: str) -> int:
    return int(client.rpartition("-")[2])


def error_of(reply: Reply) -> _Error:
    """The error of a reply that has one."""
    assert reply.error is not None
    return reply.error


def index_of(asked: Asked, reply: Reply) -> int | None:
    """The index of the entry of a write, where its reply names it."""
    if not reply.ok or reply.replayed:
        return None
    match asked["op"]:
        case "lease_grant":
            return reply.lease
        case "open_session":
            return _session(reply.client or "")
        case "lock":
            return None
        case "txn":
            return reply.at
    return reply.rev or None


def came_of_an_entry(reply: Reply) -> bool:
    """Whether a write can be answered like this only once its entry is applied."""
    return reply.ok or error_of(reply).code in _FROM_STATE


def fits(result: Result, reply: Reply) -> bool:
    """Whether the reply shows what came of the entry."""
    if ("code" in result) == reply.ok:
        return False
    if not reply.ok:
        error = error_of(reply)
        value = _value(error.value, error.rev) or None
        said = {"code": error.code, "applied": error.applied, "rev": error.rev, "value": value, "failed": error.failed}
        return all(said[name] == right for name, right in result.items() if name != "replayed")
    for name, right in result.items():
        match name:
            case "value":
                if bytes(reply.value) != right:
                    return False
            case "results":
                if not _fit(right, reply.results):
                    return False
            case "session":
                if reply.client is None or _session(reply.client) != right:
                    return False
            case "more":
                if bool(reply.more) != right:
                    return False
            case _:
                if getattr(reply, name) != right:
                    return False
    return "replayed" in result or not reply.replayed


def _fit(right: Sequence[Result] | None, said: Sequence[_Item] | None) -> bool:
    """Whether the results of a transaction are as they should be."""
    if right is None or said is None:
        return right is None and said is None
    return len(right) == len(said) and all(map(_fits_item, right, said))


def _fits_item(right: Result, said: _Item) -> bool:
    for name, value in right.items():
        if name == "value":
            if (
                not said.omitted
                and (_value(said.value, said.rev) if value is None or said.rev else said.value) != value
            ):
                return False
        elif getattr(said, name) != value:
            return False
    return True


def _value(raw: msgspec.Raw, rev: int | None) -> bytes | None:
    return bytes(raw) if rev else None


def wrong_read(model: StoreModel, asked: Asked, reply: Reply) -> str | None:
    """What is wrong with the reply to a read of the model's state, if anything."""
    match asked["op"]:
        case "get":
            return _wrong_item(shown(model.keys.get(asked["key"])), reply)
        case "wait" if not reply.waiting:
            return _wrong_item(shown(model.keys.get(asked["key"])), reply)
        case "txn":
            result = model.transact(_txns.decode(encode(command_of(asked))))
            return None if fits(result, reply) else f"it should show {result}"
        case "scan":
            return _wrong_scan(model, asked, reply)
        case "locks":
            right = [
                {"name": name, "lease": lock.lease, "fence": lock.fence, "waiters": len(lock.queue)}
                for name, lock in sorted(model.locks.items())
                if "after" not in asked or name > asked["after"]
            ][: asked.get("limit", 1000)]
            return None if reply.locks == right else f"the locks are {right}"
        case "leases":
            keys = Counter(item.lease for item in model.keys.values())
            leases = [
                {"lease": lease, "ttl_ms": ttl, "keys": keys[lease]}
                for lease, ttl in sorted(model.leases.items())
                if lease > asked.get("after", 0)
            ][: asked.get("limit", 1000)]
            said = [{name: one[name] for name in ("lease", "ttl_ms", "keys")} for one in reply.leases or ()]
            return None if said == leases else f"the leases are {leases}"
    return None


def _wrong_item(right: Result, reply: Reply) -> str | None:
    said = {"value": _value(reply.value, reply.rev), "rev": reply.rev, "created": reply.created}
    said |= {"version": reply.version} | ({} if reply.lease is None else {"lease": reply.lease})
    return None if said == right else f"the key is {right}"


def _wrong_scan(model: StoreModel, asked: Asked, reply: Reply) -> str | None:
    prefix, after = asked.get("prefix", ""), asked.get("after")
    keys = sorted(key for key in model.keys if key.startswith(prefix) and (after is None or key > after))
    items = reply.items or []
    if [item.key for item in items] != keys[: len(items)]:
        return f"the keys are {keys}"
    if reply.more != (len(items) < len(keys)):
        return f"there are {len(keys)} keys"
    for item in items:
        right = shown(model.keys[item.key or ""])
        if asked.get("keys_only"):
            right = {**right, "value": b"null"}
        said: Result = {"value": bytes(item.value), "rev": item.rev, "created": item.created, "version": item.version}
        if item.lease is not None:
            said["lease"] = item.lease
        if {**right, "lease": said.get("lease")} != {**said, "lease": said.get("lease")}:
            return f"{item.key} is {right}"
    small = sum(len(item.value) + len((item.key or "").encode()) for item in items) < _MAX_SCAN_BYTES // 2
    if small and reply.more and len(items) < asked.get("limit", 1000):
        return "it stops short of its limit"
    return None


_txns: Final = Decoder(Command)
