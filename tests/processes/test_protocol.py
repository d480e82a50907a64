"""Everything that reaches the port of a running node: netcat sessions, mistakes, and other programs."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from typing import Any

import pytest

from ..helpers.processes import HOST, Cluster, Line, eventually, sockets_left, talk

SESSION = b'{"op":"put","key":"name","value":"Alice"}\n{"op":"get","key":"name"}\n'

VALUES = [
    b'"two  spaces, and more"',
    '"emoji 🚲, ünïcode, 日本"'.encode(),
    b'{"nested":{"list":[1,2,{"deep":null}],"empty":{}},"order":{"z":1,"a":2}}',
    b"1234567890123456789012345678901234567890",
    b"-0.10000000000000000000000000000000000000001e-7",
    b'"escaped \\u00e9 \\n \\\\ \\/ \\ud83d\\udeb2"',
    b"[]",
    b"null",
    b"true",
    b'""',
    b'{"a":1, "a" : 2,   "spaces":  "kept"}',
]


def exchange(port: int, data: bytes) -> list[Any]:
    return [json.loads(line) for line in talk(port, data).splitlines()]


@pytest.mark.parametrize("index", range(3))
def test_a_session_gets_two_lines_in_order_from_any_node(steady: Cluster, index: int) -> None:
    put, get = exchange(steady.nodes[index].port, SESSION)
    assert put["ok"]
    assert get["ok"]
    assert get["value"] == "Alice"
    assert get["rev"] == put["rev"]


@pytest.mark.skipif(not shutil.which("nc"), reason="netcat is not installed (apt-get install netcat-openbsd)")
@pytest.mark.parametrize("index", range(3))
def test_the_session_of_the_readme_in_netcat(steady: Cluster, index: int) -> None:
    port = steady.nodes[index].port
    session = r"""printf '{"op":"put","key":"name","value":"Alice"}\n{"op":"get","key":"name"}\n"""
    line = f"{session}' | nc -N {HOST} {port}"
    run = subprocess.run(["sh", "-c", line], capture_output=True, timeout=20, check=False)
    if run.returncode != 0 and b"invalid option" in run.stderr:
        pytest.skip("this netcat has no -N; Debian's netcat-openbsd has")
    put, get = run.stdout.splitlines()
    assert put.startswith(b'{"ok":true,"rev":')
    assert get.startswith(b'{"ok":true,"value":"Alice","rev":')


@pytest.mark.parametrize("value", VALUES)
def test_a_value_comes_back_byte_for_byte_from_every_node(steady: Cluster, value: bytes) -> None:
    assert exchange(steady.nodes[0].port, b'{"op":"put","key":"exact","value":%b}\n' % value)[0]["ok"]
    for node in steady.nodes:
        reply = talk(node.port, b'{"op":"get","key":"exact"}\n')
        assert b'"value":%b,"rev"' % value in reply


@pytest.mark.parametrize(
    "id", [b"7", b'"a b"', b"null", b"true", b"-1.50e3", b"12345678901234567890123", '"🚲"'.encode()]
)
def test_an_id_comes_back_byte_for_byte_in_answers_and_in_errors(steady: Cluster, id: bytes) -> None:
    requests = b'{"id":%b,"op":"ping"}\n{"op":"nonsense","id":%b}\n{"id":%b,"op":"get","key":"k","no":1}\n' % (
        id,
        id,
        id,
    )
    for line in talk(steady.nodes[1].port, requests).splitlines():
        assert line.startswith(b'{"id":%b,"ok":' % id)


def test_a_line_may_end_in_crlf_and_the_last_one_in_nothing(steady: Cluster) -> None:
    replies = exchange(steady.nodes[0].port, b'\n\r\n{"id":1,"op":"ping"}\r\n\n{"id":2,"op":"ping"}')
    assert [reply["id"] for reply in replies] == [1, 2]


def test_bytes_that_come_one_by_one_are_a_request_all_the_same(steady: Cluster) -> None:
    with Line(steady.nodes[0].port) as line:
        for byte in b'{"op":"ping"}\n':
            line.send(bytes([byte]))
        assert line.read()["ok"]


def test_half_close_what_was_asked_is_answered(steady: Cluster) -> None:
    requests = b"".join(b'{"id":%d,"op":"put","key":"half-%d","value":%d}\n' % (n, n, n) for n in range(300))
    for node in steady.nodes:
        replies = exchange(node.port, requests)
        assert [reply["id"] for reply in replies] == list(range(300))
        assert all(reply["ok"] for reply in replies)


@pytest.mark.parametrize("read", ["linearizable", "stale"])
def test_a_get_pipelined_behind_a_put_through_a_follower_sees_it(steady: Cluster, read: str) -> None:
    pipelined_pairs(steady, read, 500)


@pytest.mark.slow
@pytest.mark.parametrize("read", ["linearizable", "stale"])
def test_a_get_pipelined_behind_a_put_sees_it_ten_thousand_times(steady: Cluster, read: str) -> None:
    pipelined_pairs(steady, read, 10_000)


def pipelined_pairs(cluster: Cluster, read: str, count: int) -> None:
    """Send a put and a get of one key together, again and again, while another client writes the key elsewhere."""
    follower, other = cluster.followers()
    with Line(follower.port) as line, Line(other.port) as rival:
        for n in range(count):
            rival.send({"op": "put", "key": f"other-{n % 10}", "value": -n})
            line.send(
                b'{"op":"put","key":"own-%d","value":%d}\n{"op":"get","key":"own-%d","read":"%b"}\n'
                % (n % 10, n, n % 10, read.encode())
            )
            put, get = line.read(), line.read()
            assert put["ok"], put
            assert (get["value"], get["rev"]) == (n, put["rev"])
            assert rival.read()["ok"]


def test_deep_pipelines_through_a_follower_see_every_own_write_in_order(steady: Cluster) -> None:
    follower = steady.followers()[0]
    requests = b"".join(
        b'{"op":"incr","key":"deep"}\n{"op":"get","key":"deep","read":"%b"}\n'
        % (b"stale" if n % 2 else b"linearizable")
        for n in range(3000)
    )
    start = follower.get("deep")["value"] or 0
    replies = exchange(follower.port, requests)
    assert [reply["value"] for reply in replies] == [start + 1 + n // 2 for n in range(6000)]


def test_words_for_people(steady: Cluster) -> None:
    node = steady.nodes[2]
    assert node.put("word", [1, 2])["ok"]
    ping, got, status, log = exchange(node.port, b"ping\nget word\nstatus\nshow_log\n")
    assert ping["ok"]
    assert got["value"] == [1, 2]
    assert status["node"] == 2
    assert log["entries"][-1]["command"]["key"] == "word"
    text = talk(node.port, b"help\n").decode()
    assert all(word in text for word in ("get", "put", "show_log", "status"))


@pytest.mark.parametrize("words", [b"put name Bob", b"gett name", b"delete name", b"get a b", b"\xff\xfe", b"42"])
def test_other_words_get_a_line_that_says_what_to_type(steady: Cluster, words: bytes) -> None:
    error, ping = exchange(steady.nodes[0].port, words + b"\nping\n")
    assert error["ok"] is False
    assert "type" in error["error"]["hint"]
    assert ping["ok"]


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\n", b"POST /kv HTTP/1.0\r\n", b"Host: 127.0.0.1\r\n", b"OPTIONS * HTTP/1.1\n"]
)
def test_http_gets_a_400_and_no_later_byte_is_interpreted(steady: Cluster, head: bytes) -> None:
    node = steady.nodes[0]
    body = head + b'Content-Type: text/plain\r\n\r\n{"op":"put","key":"browser","value":"evil"}\n'
    reply = talk(node.port, body)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b'"ok"' not in reply
    assert node.get("browser")["value"] is None


def test_tls_on_the_port_is_named_in_the_log_and_the_connection_closed(steady: Cluster) -> None:
    node = steady.nodes[0]
    hello = bytes.fromhex("16030100c8010000c403") + bytes(range(200))
    talk(node.port, hello, half_close=False)
    eventually(lambda: "TLS" in node.log, "the log names TLS")
    assert node.status()["ok"]


def test_too_long_a_line_gets_one_error_after_the_answers_before_it(steady: Cluster) -> None:
    node = steady.nodes[0]
    long = b'{"op":"put","key":"long","value":"' + b"x" * (1 << 20) + b'"}\n'
    ping, error = exchange(node.port, b'{"op":"ping"}\n' + long + b'{"op":"put","key":"long","value":1}\n')
    assert ping["ok"]
    assert error["error"]["code"] == "line_too_long"
    assert node.get("long")["value"] is None
    endless = talk_until_closed(node.port, b"x" * (1 << 16), 64)
    assert json.loads(endless)["error"]["code"] == "line_too_long"


def talk_until_closed(port: int, block: bytes, times: int) -> bytes:
    """Send the block again and again as long as the node takes it. Return its replies."""
    received = b""
    with socket.create_connection((HOST, port), 10) as connection:
        try:
            for _ in range(times):
                connection.sendall(block)
        except ConnectionError:
            pass
        try:
            while part := connection.recv(1 << 16):
                received += part
        except ConnectionError:
            pass
    return received


def test_the_longest_line_that_is_allowed_is_taken(steady: Cluster) -> None:
    start = b'{"op":"put","key":"large","value":"'
    value = b"x" * ((1 << 20) - len(start) - len(b'"}'))
    (reply,) = exchange(steady.followers()[0].port, start + value + b'"}\n')
    assert reply["ok"], reply
    steady.caught_up()
    assert all(node.get("large", "stale")["value"] == value.decode() for node in steady.nodes)
    assert steady.nodes[0].ask({"op": "delete", "key": "large"})["ok"]


def test_a_client_that_never_reads_harms_nobody_and_loses_nothing(steady: Cluster) -> None:
    node = steady.nodes[0]
    value = "x" * 100_000
    assert node.put("big", value)["ok"]
    with Line(node.port) as line:
        line.socket.settimeout(1.0)
        sent = 0
        try:
            while sent < 200_000:
                line.send(b'{"op":"get","key":"big","read":"stale"}\n' * 100)
                sent += 100
        except TimeoutError:
            pass
        assert sent < 200_000, "the node read on though nothing was taken from it"
        for other in steady.nodes:
            assert other.put("other", 1)["ok"]
        line.socket.settimeout(10.0)
        for _ in range(500):
            assert line.read()["value"] == value
    assert node.ask({"op": "delete", "key": "big"})["ok"]


def test_connections_that_are_gone_leave_nothing_behind(steady: Cluster) -> None:
    node = steady.nodes[0]
    assert node.process is not None
    pid = node.process.pid
    before = sockets_left(pid)
    held = [socket.create_connection((HOST, node.port), 10) for _ in range(200)]
    for number, connection in enumerate(held):
        connection.sendall(b'{"op":"pi' if number % 2 else b'{"op":"ping"}\n')
    for connection in held:
        connection.close()
    eventually(lambda: sockets_left(pid) <= before + 1, "the descriptors are given back")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"op":"get","key":"\xff"}', "bad_json"),
        (b'{"op":"put","key":"k","value":NaN}', "bad_json"),
        (b'{"op":"put","key":"k","value":"\\ud800"}', "bad_json"),
        (b'{"op":"put","key":"k"', "bad_json"),
        (b'{"op":"put","key":"k","value":1}}', "bad_json"),
        (b'{"op":"put","key":"k","value":' + b"[" * 129 + b"]" * 129 + b"}", "too_deep"),
        (b'{"op":"put","key":"k","value":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
        (b'{"op":"put","key":"","value":1}', "bad_request"),
        (b'{"op":"put","key":"k","value":1,"vaule":2}', "bad_request"),
        (b'{"op":"put","key":7,"value":1}', "bad_request"),
        (b'{"op":"put","key":"k"}', "bad_request"),
        (b'{"key":"k"}', "bad_request"),
        (b'{"op":"drop","key":"k"}', "unknown_op"),
    ],
)
def test_a_bad_request_is_an_error_before_any_effect(steady: Cluster, line: bytes, code: str) -> None:
    node = steady.nodes[0]
    assert node.ask({"op": "delete", "key": "k"})["ok"]
    error, ping = exchange(node.port, line + b"\nping\n")
    assert error["error"]["code"] == code
    assert error["error"]["message"]
    assert error["error"]["hint"]
    assert ping["ok"]
    assert node.get("k")["rev"] == 0


def test_conditions_hold_through_any_node(steady: Cluster) -> None:
    first, second, third = (node.port for node in steady.nodes)
    (made,) = exchange(first, b'{"op":"put","key":"condition","value":1,"if_rev":0}\n')
    assert made["ok"]
    (again,) = exchange(second, b'{"op":"put","key":"condition","value":2,"if_rev":0}\n')
    assert again["error"]["code"] == "conflict"
    assert (again["error"]["rev"], again["error"]["value"]) == (made["rev"], 1)
    assert again["error"]["applied"] == "no"
    (deleted,) = exchange(third, b'{"op":"delete","key":"condition","if_rev":%d}\n' % made["rev"])
    assert deleted["deleted"] == 1
    (missing,) = exchange(first, b'{"op":"get","key":"condition"}\n')
    assert (missing["value"], missing["rev"], missing["created"], missing["version"]) == (None, 0, 0, 0)


def test_not_forwarded_a_write_names_the_leader(steady: Cluster) -> None:
    leader, follower = steady.leader(), steady.followers()[0]
    error = follower.ask({"op": "put", "key": "k", "value": 1, "forward": False})["error"]
    assert (error["code"], error["applied"]) == ("not_leader", "no")
    assert f"{HOST}:{leader.port}" in json.dumps(error)
    assert leader.ask({"op": "put", "key": "k", "value": 1, "forward": False})["ok"]
