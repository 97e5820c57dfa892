"""Runs the tool as `python -I -m regen_vcs` does, in a process of its own, but forked from one that has imported it already.

Thousands of tests call the tool several times each, and most of a short call is Python importing what the last call
imported. Here a server imports it once and forks for every call: arguments, directory, environment, file descriptors and exit
status are the caller's, and nothing of one call is left for the next one. Hooks, filters, workers and generators are started by
git and by the tool as ever. For any other environment than the tests' usual locale the fork becomes a new Python.

As a program: the server, on the socket that is its standard input; with the name of a socket as argument it listens there too, for
the `regen-vcs` of fork_client.py.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading

_LENGTH = 8  # bytes before a request that say how long it is
# What Python or the C library reads when it starts, which a fork would not see.
_READ_AT_START = {"LC_ALL", "LC_CTYPE", "TZ", "MALLOC_ARENA_MAX", "LD_PRELOAD"}


class ForkServer:
    """The server's other side. `run` may be called from several threads."""

    def __init__(self, address: str | None = None) -> None:
        """address: of a socket to make and to listen on; it is there when this returns."""
        self._socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        argv = [sys.executable, "-I", os.path.abspath(__file__), *([address] if address else [])]
        self._server = subprocess.Popen(argv, stdin=theirs, env={"LANG": "C.UTF-8", "PATH": os.environ["PATH"]})
        theirs.close()
        if address:
            self._socket.recv(1)

    def run(self, argv: list[str], *, cwd: str, env: dict[str, str], stdin: int, timeout: float) -> subprocess.CompletedProcess:
        """The tool with these arguments; its output in bytes. subprocess.TimeoutExpired after that many seconds: it is killed."""
        pipes = [os.pipe() for _ in range(2)]
        try:
            pid, told = self.start(argv, cwd=cwd, env=env, stdin=stdin, stdout=pipes[0][1], stderr=pipes[1][1])
        finally:
            for _read, write in pipes:
                os.close(write)
        said = {"out": b"", "err": b"", "status": b""}
        readers = [threading.Thread(target=_drain, args=(fd, said, name)) for fd, name in ((pipes[0][0], "out"), (pipes[1][0], "err"), (told, "status"))]
        for reader in readers:
            reader.start()
        readers[2].join(timeout)
        expired = readers[2].is_alive()
        if expired:
            os.kill(pid, signal.SIGKILL)
        for reader in readers:
            reader.join()
        if expired:
            raise subprocess.TimeoutExpired(["regen-vcs", *argv], timeout, said["out"], said["err"])
        return subprocess.CompletedProcess(["regen-vcs", *argv], int(said["status"]), said["out"], said["err"])

    def start(self, argv: list[str], *, cwd: str, env: dict[str, str], stdin: int, stdout: int, stderr: int) -> tuple[int, int]:
        """(process id, a descriptor that its exit status can be read from, in decimal, once it has ended)."""
        told, tell = os.pipe()
        source = os.open(os.devnull, os.O_RDONLY) if stdin == subprocess.DEVNULL else os.dup(stdin)
        try:
            self._ask({"argv": argv, "cwd": cwd, "env": env}, [source, stdout, stderr, tell])
        finally:
            os.close(source)
            os.close(tell)
        return int(os.read(told, 16)), told  # its first word; its second is the status

    def close(self) -> None:
        self._socket.close()
        self._server.wait(10)

    def _ask(self, request: dict, fds: list[int]) -> None:
        data = json.dumps(request).encode()
        with self._lock:
            socket.send_fds(self._socket, [len(data).to_bytes(_LENGTH, "big")], fds)
            self._socket.sendall(data)


def _drain(fd: int, said: dict[str, bytes], name: str) -> None:
    with open(fd, "rb") as pipe:
        said[name] = pipe.read()


# -- the server ------------------------------------------------------------------------------------------------------------


def serve(address: str | None = None) -> None:
    """Fork for each request until the other side is gone. What is imported here starts no thread: a fork would lose it."""
    asked = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    import regen_vcs.cli.commands as commands

    for module in {f"regen_vcs.cli.{module}" for module, _help in commands.COMMANDS.values()}:
        __import__(module)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # or NumPy starts some
    for module in ("cli.plumbing", "engine.making", "generators.texture", "generators.tone", "media.content", "media.preview", "media.thumbhash"):
        __import__(f"regen_vcs.{module}")
    assert threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1
    gc.collect()
    gc.freeze()  # a collection in a fork would write to, and so copy, every page of what is imported
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever waits for a command is a child that nobody waits for
    doors = [asked]
    if address:
        doors.append(socket.socket(socket.AF_UNIX))
        doors[1].bind(address)
        doors[1].listen(64)
        asked.send(b"!")
    while True:
        door = select.select(doors, [], [])[0][0]
        caller = None if door is asked else door.accept()[0]
        request = _next(caller or asked)
        if request is None and caller is None:
            return
        if request is not None and os.fork() == 0:
            for each in doors:
                each.close()
            _attend(*request, caller)
        for fd in request[1] if request else ():
            os.close(fd)
        if caller:
            caller.close()


def _next(asked: socket.socket) -> tuple[dict, list[int]] | None:
    head, fds, _flags, _address = socket.recv_fds(asked, _LENGTH, 4)
    if not head:
        return None
    length, data = int.from_bytes(head, "big"), bytearray()
    while len(data) < length:
        chunk = asked.recv(length - len(data))
        if not chunk:  # killed while it asked
            for fd in fds:
                os.close(fd)
            return None
        data += chunk
    return json.loads(data), list(fds)


def _attend(request: dict, fds: list[int], caller: socket.socket | None) -> None:
    """Run one command in another child, and tell its pid and its status. Should `caller` hang up, it is killed with all of its group."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told = fds.pop()
    os.set_inheritable(told, False)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        if caller:
            caller.close()
            os.setsid()
        _become(request, fds)
    for fd in (*fds, 0, 1, 2):
        os.close(fd)
    os.write(told, b"%16d" % pid)
    if caller and caller in select.select([os.pidfd_open(pid), caller], [], [])[0]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    os.write(told, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _become(request: dict, fds: list[int]) -> None:
    """Everything that a new Python would have from its parent; then the module's own front door."""
    import runpy

    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    for fd in fds:
        os.close(fd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    if request["env"].keys() & _READ_AT_START or request["env"].get("LANG") != "C.UTF-8":
        os.execve(sys.executable, [sys.executable, "-I", "-m", "regen_vcs", *request["argv"]], request["env"])
    os.environ.clear()
    os.environ.update(request["env"])
    # As Python opens them in the locale C.UTF-8.
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["regen_vcs", *request["argv"]]
    for name in ("regen_vcs.__main__", "__main__"):
        sys.modules.pop(name, None)
    try:
        runpy.run_module("regen_vcs", run_name="__main__", alter_sys=True)
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    serve(*sys.argv[1:2])
