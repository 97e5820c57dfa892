"""The only module that starts git.

Every call is made with a scrubbed environment: what a hook or a filter inherits from git (`GIT_INDEX_FILE`
of a one-entry index, `GIT_PREFIX`, quarantine directories, …) would make git answer about something else than
the repository in front of us. Reading calls also switch our own filter and the file-system monitor off, so
that nothing run under a filter can start that filter again.

On POSIX git is started with `posix_spawn` and its pipes are served with `poll`: `import subprocess` alone
would cost a hook about as much as all the git commands it runs.
"""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping

from regen_vcs.errors import RegenError

_POSIX = hasattr(os, "posix_spawn")
if _POSIX:
    import _signal  # `signal` builds enums at import; the two numbers below are all we need
    import errno
    import select
else:
    import subprocess

# `git rev-parse --local-env-vars`, all versions up to 2.55 (tests compare it with the installed git).
LOCAL_ENV_VARS = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_COUNT",
        "GIT_OBJECT_DIRECTORY",
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_REPLACE_REF_BASE",
        "GIT_PREFIX",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_COMMON_DIR",
        "GIT_REFERENCE_BACKEND",
    )
)
# What of these still says which repository and which of the user's own `-c` settings are meant.
KEPT_ENV_VARS = frozenset(("GIT_DIR", "GIT_WORK_TREE", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"))
# Not local to a repository in git's eyes, but each turns `*.regen.json` or a literal path into something else.
_PATHSPEC_VARS = frozenset(("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"))
_DROPPED = (LOCAL_ENV_VARS - KEPT_ENV_VARS) | _PATHSPEC_VARS

_NEVER_CONVERT = ("-c", "filter.regen.process=", "-c", "core.fsmonitor=false")
_SIGINT = 2  # `signal` builds enums at import
_PIPE_BYTES = 1 << 16


class Result(namedtuple("_Result", ("status", "stdout", "stderr"))):
    """How a git command ended: exit status (negative: the signal that ended it) and what it wrote, as bytes."""

    __slots__ = ()


class GitError(RegenError):
    """A git command failed. `status` is its exit status; `what` ends with the last line of its stderr."""

    def __init__(self, argv: Iterable[str], status: int, stderr: bytes):
        self.status = status
        lines = stderr.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else f"it ended with status {status}"
        command = " ".join(list(argv)[:2])
        super().__init__(f"git {command}: {last.removeprefix('fatal: ').removeprefix('error: ')}")


class Git:
    """git, in one directory and one scrubbed environment.

    cwd: absolute directory. environ: the caller's environment (never changed).
    keep_index: honour GIT_INDEX_FILE. Only pre-commit wants that: `git commit -a` and `git commit -- PATH`
    name the index that is about to be committed there. For every other hook it names a temporary one.
    """

    def __init__(self, cwd: str, environ: Mapping[str, str], *, keep_index: bool = False):
        self.cwd = cwd
        self.keep_index = keep_index
        self._environ = environ
        self._env = scrub_environ(environ, cwd, keep_index=keep_index)
        self._program = _find_git(environ)
        self._version: tuple[int, ...] | None = None

    def at(self, cwd: str) -> Git:
        """The same git, started in another directory of the same repository."""
        other = Git.__new__(Git)
        other.__dict__.update(self.__dict__, cwd=cwd)
        return other

    def out(self, *argv: str, input: bytes | None = None) -> bytes:
        """What a reading command writes to stdout; GitError unless it exits 0."""
        return self._checked(_NEVER_CONVERT, argv, input)

    def text(self, *argv: str) -> str:
        """`out` as a str without its last line break."""
        return self.out(*argv).decode("utf-8", "surrogateescape").removesuffix("\n")

    def lines0(self, *argv: str, input: bytes | None = None) -> list[bytes]:
        """`out` of a command with NUL-terminated records (`-z`)."""
        records = self.out(*argv, input=input).split(b"\0")
        if not records[-1]:
            records.pop()
        return records

    def ok(self, *argv: str) -> bool:
        """A reading command that answers by its exit status: 0 yes, 1 no; anything else is a GitError."""
        result = self._run(_NEVER_CONVERT, argv, None)
        if result.status in (0, 1):
            return result.status == 0
        raise GitError(argv, result.status, result.stderr)

    def result(self, *argv: str, input: bytes | None = None) -> Result:
        """A reading command, whatever its exit status."""
        return self._run(_NEVER_CONVERT, argv, input)

    def chunks(self, *argv: str, input: bytes | None = None) -> Iterator[bytes]:
        """stdout of a reading command as it comes, for output too big to hold. GitError, at the end, if it failed."""
        stderr: list[bytes] = []
        status = yield from _talk(self._argv(_NEVER_CONVERT, argv), self._env, input, stderr)
        if status:
            raise GitError(argv, status, b"".join(stderr))

    def write(self, *argv: str, input: bytes | None = None) -> bytes:
        """stdout of a command of the user's verbs that may write (`mv`, `rm --cached`, `config`) or convert.

        Our filter stays configured, but sees REGEN_ACTIVE and syncs nothing; nor do our hooks.
        """
        return self._checked((), argv, input)

    def write_result(self, *argv: str, input: bytes | None = None) -> Result:
        """As `write`, whatever the exit status."""
        return self._run((), argv, input)

    @property
    def environ(self) -> dict[str, str]:
        """The environment git is started with (a copy)."""
        return dict(self._env)

    def version(self) -> tuple[int, ...]:
        """(2, 39, 5)."""
        if self._version is None:
            self._version = parse_version(self.text("version"))
        return self._version

    def _checked(self, options: tuple[str, ...], argv: tuple[str, ...], input: bytes | None) -> bytes:
        result = self._run(options, argv, input)
        if result.status:
            raise GitError(argv, result.status, result.stderr)
        return result.stdout

    def _run(self, options: tuple[str, ...], argv: tuple[str, ...], input: bytes | None) -> Result:
        stderr: list[bytes] = []
        talk = _talk(self._argv(options, argv), self._env, input, stderr)
        stdout = []
        while True:
            try:
                stdout.append(next(talk))
            except StopIteration as end:
                return Result(end.value, b"".join(stdout), b"".join(stderr))

    def _argv(self, options: tuple[str, ...], argv: tuple[str, ...]) -> list[bytes]:
        # Encoded here and not by the locale: paths are UTF-8 with surrogateescape whatever LANG says.
        words = (self._program, "-C", self.cwd, *options, *argv)
        return [word.encode("utf-8", "surrogateescape") for word in words]


def scrub_environ(environ: Mapping[str, str], cwd: str, *, keep_index: bool = False) -> dict[str, str]:
    """The environment git is started with. Relative GIT_DIR and the like (hooks get them) become absolute."""
    env = {name: value for name, value in environ.items() if name not in _DROPPED}
    if keep_index and "GIT_INDEX_FILE" in environ:
        env["GIT_INDEX_FILE"] = environ["GIT_INDEX_FILE"]
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        if name in env:
            env[name] = os.path.join(cwd, env[name])
    env["GIT_OPTIONAL_LOCKS"] = "0"
    env["REGEN_ACTIVE"] = "1"
    # Messages in English, but the user's character set: a Python that git starts for us (the filter) and that lies
    # in a folder with an umlaut cannot even import its own packages under LC_ALL=C.
    everything = env.pop("LC_ALL", None)
    if everything:
        env["LC_CTYPE"] = everything
    env.pop("LANGUAGE", None)
    env["LC_MESSAGES"] = "C"
    return env


def parse_version(text: str) -> tuple[int, ...]:
    """`git version 2.39.5 (Apple Git-154)` → (2, 39, 5)."""
    numbers: list[int] = []
    for part in text.removeprefix("git version ").split(" ")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _find_git(environ: Mapping[str, str]) -> str:
    """Absolute path of git. Relative entries of PATH are passed over: a repository must not bring its own git."""
    name = "git" if _POSIX else "git.exe"
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        program = os.path.join(folder, name)
        if os.path.isabs(folder) and os.access(program, os.X_OK) and os.path.isfile(program):
            return program
    raise RegenError("git was not found on PATH", "install git 2.31 or newer")


def _talk(argv: list[bytes], env: dict[str, str], input: bytes | None, stderr: list[bytes]) -> Iterator[bytes]:
    """Start git, feed it `input`, yield stdout in chunks, fill `stderr`; the generator's value is the status.

    All three pipes are served at once, so neither side can wait for the other for ever. A consumer that stops
    early closes git's stdout, which ends it.
    """
    return (_talk_posix if _POSIX else _talk_elsewhere)(argv, env, input, stderr)


def _talk_posix(argv: list[bytes], env: dict[str, str], input: bytes | None, stderr: list[bytes]) -> Iterator[bytes]:
    pid, stdin_fd, stdout_fd, stderr_fd = _spawn(argv, env, with_input=bool(input))
    status = None
    try:
        pending = memoryview(input or b"")
        poll = select.poll()
        poll.register(stdout_fd, select.POLLIN)
        poll.register(stderr_fd, select.POLLIN)
        if stdin_fd >= 0:
            os.set_blocking(stdin_fd, False)
            poll.register(stdin_fd, select.POLLOUT)
        open_outputs = 2
        while open_outputs:
            for fd, _ in poll.poll():
                if fd == stdin_fd:
                    pending = _feed(fd, pending)
                    if not pending:
                        poll.unregister(fd)
                        stdin_fd = -1  # first: a ^C that comes in between must find nothing to close twice
                        os.close(fd)
                    continue
                chunk = os.read(fd, _PIPE_BYTES)
                if not chunk:
                    poll.unregister(fd)
                    open_outputs -= 1
                elif fd == stdout_fd:
                    yield chunk
                else:
                    stderr.append(chunk)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        for fd in (stdin_fd, stdout_fd, stderr_fd):
            if fd >= 0:
                os.close(fd)
        if status is None:
            _reap(pid)
    if status == -_SIGINT:
        raise KeyboardInterrupt  # a terminal's ^C is for us too: git's death is no failure, even if it was told first
    return status


def _reap(pid: int) -> None:
    """Wait for a child, unless that was done already: ^C may strike between its end and our note of it."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def _spawn(argv: list[bytes], env: dict[str, str], *, with_input: bool) -> tuple[int, int, int, int]:
    """(pid, our end of stdin or -1, of stdout, of stderr). The child inherits nothing else."""
    opened: list[int] = []
    try:
        child_in, stdin_fd = _pipe(opened) if with_input else (_above_stdio(os.open(os.devnull, os.O_RDONLY), opened), -1)
        stdout_fd, child_out = _pipe(opened)
        stderr_fd, child_err = _pipe(opened)
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((child_in, child_out, child_err))]
        # Python ignores SIGPIPE and SIGXFSZ; git relies on their defaults.
        pid = os.posix_spawn(
            argv[0], argv, env, file_actions=actions, setsigdef=(_signal.SIGPIPE, _signal.SIGXFSZ)
        )
    except OSError as error:
        for fd in opened:
            os.close(fd)
        raise RegenError(f"git could not be started: {error.strerror}") from error
    for fd in (child_in, child_out, child_err):
        os.close(fd)
    return pid, stdin_fd, stdout_fd, stderr_fd


def _pipe(opened: list[int]) -> tuple[int, int]:
    read_fd, write_fd = os.pipe()
    return _above_stdio(read_fd, opened), _above_stdio(write_fd, opened)


def _above_stdio(fd: int, opened: list[int]) -> int:
    """`fd`, moved off 0, 1 and 2: started with one of these closed, the child's dup2 would overwrite our own pipes."""
    low = []
    while fd <= 2:
        low.append(fd)
        fd = os.dup(fd)
    for each in low:
        os.close(each)
    opened.append(fd)
    return fd


def _feed(fd: int, pending: memoryview) -> memoryview:
    """Write what fits. A git that has closed its stdin wants no more: its exit status tells why."""
    try:
        return pending[os.write(fd, pending[: _PIPE_BYTES]) :]
    except BlockingIOError:
        return pending
    except OSError as error:
        if error.errno == errno.EPIPE:
            return pending[:0]
        raise


def _talk_elsewhere(argv: list[bytes], env: dict[str, str], input: bytes | None, stderr: list[bytes]) -> Iterator[bytes]:
    """The same where there is no posix_spawn: everything is held in memory, as `communicate` does."""
    words = [word.decode("utf-8", "surrogateescape") for word in argv]
    try:
        process = subprocess.Popen(
            words, env=env, stdin=subprocess.PIPE if input else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise RegenError(f"git could not be started: {error.strerror}") from error
    stdout, errors = process.communicate(input)
    stderr.append(errors)
    if stdout:
        yield stdout
    return process.returncode
