"""The sessions in docs/protocol.md are read, and compared with what a node says. Nodes are asked in tests/processes."""

from __future__ import annotations

import json

import pytest

from tests.docs.sessions import PAGE, Answered, Closed, Opened, Reading, Session, Step, Typed, sessions
from trioraft.wire.operations import OPERATIONS

SOME = """# Page

## Two terminals

```session
$ nc 127.0.0.1 8000      # terminal 1
{"op":"ping"}
$ nc 127.0.0.1 8002      # terminal 2
# terminal 1
{"ok":true}
^C
```
"""


def test_a_session_is_read_line_by_line() -> None:
    typed, answered = Typed("1", '{"op":"ping"}'), Answered("1", '{"ok":true}')
    steps: list[Step] = [Opened("1", 0), typed, Opened("2", 2), answered, Closed("1")]
    assert sessions(SOME) == [Session("Two terminals", steps)]


def test_a_line_of_something_else_is_told() -> None:
    with pytest.raises(ValueError, match="no line of a session: pong"):
        sessions(SOME.replace('{"ok":true}', "pong"))


def test_every_block_that_calls_itself_a_session_is_one() -> None:
    assert len(sessions(PAGE.read_text())) == PAGE.read_text().count("```session")


def test_a_session_shows_every_operation_on_keys_leases_and_locks() -> None:
    typed = [step.line for one in sessions(PAGE.read_text()) for step in one.steps if isinstance(step, Typed)]
    shown = {json.loads(line)["op"] for line in typed}
    kinds = ("write", "read", "stream", "lease")
    assert {row.name for row in OPERATIONS.values() if row.kind in kinds} <= shown


def test_indexes_and_names_stand_for_those_of_the_run() -> None:
    reading = Reading()
    reading.answered('{"ok":true,"client":"3fa9-12"}', {"ok": True, "client": "77aa-900"})
    reading.answered('{"rev":13,"leases":[15]}', {"rev": 950, "leases": [1000]})
    typed = b'{"op":"put","client":"77aa-900","if_rev":950,"checks":[{"lease":1000,"rev":0}]}\n'
    assert reading.typed('{"op":"put","client":"3fa9-12","if_rev":13,"checks":[{"lease":15,"rev":0}]}') == typed
    reading.answered('{"message":"…","remaining_ms":7}', {"message": "some", "remaining_ms": 8})
    with pytest.raises(ValueError, match="no answer has shown the if_rev 14 yet"):
        reading.typed('{"if_rev":14}')


@pytest.mark.parametrize(
    ("shown", "said", "differs"),
    [
        ('{"ok":true,"rev":9}', {"rev": 9, "ok": True}, "fields ok, rev are now rev, ok"),
        ('{"ok":true}', {"ok": False}, "ok is now False"),
        ('{"a":1,"a2":[1,2]}', {"a": 1, "a2": [1]}, "a2 is now"),
        ('{"rev":20}', {"rev": 20}, "the rev 20 is now 20, while 12 is 900"),
        ('{"rev":12}', {"rev": 901}, "the rev 12 is now 901"),
        ('{"at":13}', {"at": 900}, "the at 13 is now 900"),
        ('{"rev":0}', {"rev": 1}, "the rev 0 is now 1"),
        ('{"version":1}', {"version": 2}, "version is now 2"),
        ('{"value":true}', {"value": 1.5}, "value is now 1.5"),
    ],
)
def test_an_answer_that_differs_is_told(shown: str, said: object, differs: str) -> None:
    reading = Reading()
    reading.answered('{"rev":12}', {"rev": 900})
    with pytest.raises(ValueError, match=differs):
        reading.answered(shown, said)
