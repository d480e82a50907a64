"""Nodes listed by name: a name has several addresses, the first of which is useless."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from ..helpers.processes import HOST, Cluster, eventually

FIRST = "::1"
"""An address that a resolver puts before 127.0.0.1."""
NAMES = ("first", "second", "third")


def with_hosts(folder: Path) -> list[str]:
    """The command that runs another one in which the nodes' names have two addresses; skip the test without it."""
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} {' '.join(NAMES)}\n" for address in (HOST, FIRST)))
    mount = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    wrapper = ["unshare", "-m", "sh", "-c", mount, "sh"]
    found = subprocess.run([*wrapper, "getent", "ahosts", NAMES[0]], capture_output=True, text=True, timeout=20)
    if not found.stdout.startswith(FIRST):
        pytest.skip(f"names cannot be given to a process alone: {found.stdout} {found.stderr}")
    return wrapper


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root gives names to a process alone")
@pytest.mark.parametrize("backlog", [pytest.param(0, id="deaf"), pytest.param(1000, id="mute", marks=pytest.mark.slow)])
def test_nodes_reach_each_other_though_the_first_address_of_their_names_is_silent(tmp_path: Path, backlog: int) -> None:
    with Cluster(tmp_path) as cluster, contextlib.ExitStack() as stack:
        wrapper = with_hosts(tmp_path)
        for node in cluster.nodes:
            node.wrapper = wrapper
            node.options = ["--listen", f"{HOST}:{node.port}"]
            listener = stack.enter_context(socket.socket(socket.AF_INET6))
            listener.bind((FIRST, node.port))
            listener.listen(backlog)
            if not backlog:
                stack.enter_context(socket.create_connection(listener.getsockname()[:2]))
        lines = [f"{name}:{node.port}\n" for node, name in zip(cluster.nodes, NAMES, strict=True)]
        cluster.servers.write_text("".join(lines))
        cluster.start()
        cluster.leader(15.0)
        assert cluster.nodes[0].put("k", 1)["ok"]
        eventually(lambda: all(node.get("k").get("value") == 1 for node in cluster.nodes), "it is read everywhere")
