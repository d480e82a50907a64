"""The table of operations: each row is complete, and everybody else uses it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trioraft.kv import commands
from trioraft.kv.commands import Command
from trioraft.replica import administration, reports, subscriptions
from trioraft.wire.cluster_commands import CloseSession, OpenSession
from trioraft.wire.operations import OPERATION_OF, OPERATIONS, described, help_text
from trioraft.wire.parsing import RequestError, is_plain, parse_alike, parse_request
from trioraft.wire.table import Operation, Request


@pytest.mark.parametrize("row", OPERATIONS.values(), ids=OPERATIONS)
class TestRow:
    def test_its_example_is_a_request_of_its_type(self, row: Operation) -> None:
        request = parse_request(row.example.encode())
        assert type(request) is row.request
        assert OPERATION_OF[type(request)] is row

    def test_help_has_it(self, row: Operation) -> None:
        assert row.summary
        assert {"op": row.name, "summary": row.summary, "example": row.example} in described()
        assert f"  {row.example} " in help_text()

    def test_its_word_can_be_typed_and_nothing_else_can(self, row: Operation) -> None:
        line = f"{row.name} name" if row.takes_key else row.name
        if row.word:
            assert OPERATION_OF[type(parse_request(line.encode()))] is row
            assert row.kind in ("read", "local")
        else:
            with pytest.raises(RequestError, match="has to be asked in JSON"):
                parse_request(line.encode())

    def test_what_writes_and_nothing_else_is_a_command(self, row: Operation) -> None:
        assert (row.command is not None) == (row.kind == "write")
        if row.command is not None:
            request = parse_request(row.example.encode())
            [command] = row.commands([request])
            assert type(command) is row.command
            for name in set(row.command.__struct_fields__) & set(request.__struct_fields__):
                assert getattr(command, name) == getattr(request, name)

    def test_its_plain_requests_are_read_at_once(self, row: Operation) -> None:
        line = row.example.encode()
        together = parse_alike((line + b"\n") * 3, 3)
        assert is_plain(parse_request(line)) == (row.plain is not None) == (together is not None)
        if together is not None:
            assert {OPERATION_OF[type(request)] for request in together} == {row}

    def test_the_replica_can_do_it(self, row: Operation) -> None:
        assert (row.request in reports._ANSWERS) == (row.kind == "local")
        assert (row.request in administration._BEGINNINGS) == (row.kind == "leader")
        assert (row.request in subscriptions._BEGINNINGS) == (row.kind == "stream")


def test_each_command_of_the_store_is_asked_for_by_one_operation() -> None:
    asked = [row.command for row in OPERATIONS.values() if row.command is not None]
    assert len(set(asked)) == len(asked)
    assert set(asked) <= {*Command.__args__, OpenSession, CloseSession}


def test_a_command_of_one_field_is_made_too() -> None:
    class Touch(msgspec.Struct, frozen=True):
        key: str

    class TouchRequest(Request, tag="touch", kw_only=True):
        key: str

    row: Any = msgspec.structs.replace(OPERATIONS["delete"], command=Touch, _fields_of={})
    try:
        row(TouchRequest)
        assert row.commands([TouchRequest(key="ab")]) == [Touch("ab")]
    finally:
        del OPERATIONS["touch"], OPERATION_OF[TouchRequest]


def test_a_command_whose_fields_are_not_those_of_the_request_is_refused() -> None:
    class Other(Request, tag="other", kw_only=True):
        value: msgspec.Raw

    row = msgspec.structs.replace(OPERATIONS["put"], command=commands.Put, plain=None, _fields_of={})
    try:
        with pytest.raises(AssertionError, match="do not fit"):
            row(Other)
    finally:
        del OPERATIONS["other"], OPERATION_OF[Other]
