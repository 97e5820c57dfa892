"""The `regen-vcs` of tests that run inside another program: the tool forked from a server, with our descriptors and environment.

    python -I -S fork_client.py ADDRESS [ARGUMENT…]

ADDRESS: of the socket that a `ForkServer` listens on. Signals are passed on; killed without a word, it takes the tool along.
"""

import contextlib
import json
import os
import signal
import socket
import sys


def main(address: str, *argv: str) -> None:
    told, tell = os.pipe()
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    request = json.dumps({"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)}).encode()
    socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2, tell])
    server.sendall(request)
    os.close(tell)
    pid = int(os.read(told, 16))

    def pass_on(number, _frame):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    status = int(os.read(told, 16) or b"-9")
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    os._exit(status)


main(*sys.argv[1:])
