"""The server that tests run the tool from must outlive whoever dies while asking it: all of a worker's tests use the one."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from tests.fork_server import ForkServer


@pytest.fixture
def server(tmp_path):
    server = ForkServer(str(tmp_path / "socket"))
    yield server
    server.close()


@pytest.mark.parametrize("head", [b"", (1000).to_bytes(8, "big"), (1000).to_bytes(8, "big") + b'{"argv": ['], ids=["nothing", "a length", "a part"])
def test_a_caller_that_dies_while_it_asks_holds_nobody_up(server, tmp_path, head):
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "socket"))
        if head:
            socket.send_fds(caller, [head], [0, 1, 2])
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    done = server.run(["--version"], cwd=str(tmp_path), env=env, stdin=subprocess.DEVNULL, timeout=30)
    assert done.returncode == 0 and done.stdout.startswith(b"regen-vcs ")
