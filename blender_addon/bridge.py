"""Finds `regen-vcs` and talks with it: a command line goes out, JSON or a `RegenError` comes back.

The addon imports nothing of regen-vcs: it would bring its libraries into Blender's process. Nothing here knows Blender.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .children import Drain, Feed, end_tree, start

# Of regen-vcs: older ones lack commands that the addon calls.
MINIMUM = (0, 1, 0)
INSTALL_HINT = "install it (pipx install regen-vcs), or name it in the addon's preferences"
# Bytes that are kept of an answer. `status --json` of 5,000 assets has 3 MB.
ANSWER_LIMIT = 256 << 20
TROUBLE_LIMIT = 64 << 10

_WINDOWS = sys.platform == "win32"
_PROGRAM = "regen-vcs.exe" if _WINDOWS else "regen-vcs"
# Who the user is and how they log in is theirs; anything else of git's would be about another repository.
_GIT_KEPT = {
    "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS",
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY",
}  # fmt: skip


class RegenError(Exception):
    """What regen-vcs (or git) answered instead of a result.

    kind: its machine-readable word ("usage", "invalid", "not_trusted", …), or of ours "absent", "timeout", "cancelled", "failed", "garbled", "too_old";
    what: one line for the user; hint: what to do, may be empty; exit_code: None where the program never ended by itself;
    document: all that was answered, where the error stood beside something else (`trust --json` shows what is not trusted).
    """

    def __init__(self, kind: str, what: str, hint: str = "", exit_code: int | None = None, document: Mapping[str, Any] | None = None):
        super().__init__(what)
        self.kind, self.what, self.hint, self.exit_code = kind, what, hint, exit_code
        self.document = document or {}


class Absent(RegenError):
    """There is no regen-vcs to run."""

    def __init__(self, what: str, hint: str = INSTALL_HINT):
        super().__init__("absent", what, hint)


class Command(NamedTuple):
    """How to run a program. argv: its first words, the program absolute; environ: all of its environment."""

    argv: tuple[str, ...]
    environ: dict[str, str]


# ----------------------------------------------------------------------------------------------------------- finding it


def find_command(
    preference: str = "", bundled: Sequence[str] | None = None, environ: Mapping[str, str] | None = None, *,
    project: str | None = None, folders: Sequence[str] = (),
) -> Command:  # fmt: skip
    """The regen-vcs to run: the one of the preferences, else of PATH and the usual places, else the bundled one.

    preference: a program, or a folder (a virtual environment) that holds it; bundled: (Python, folder of packages), see
    `find_bundled`; project: nothing inside this folder is run, for a repository may bring a program of that name; folders: put at the end
    of the child's PATH (Blender's own: the generator `blender` looks for it there). Absent if there is none.
    """
    environ = child_environ(os.environ if environ is None else environ, folders)
    if preference.strip():
        return Command((_preferred(preference.strip(), environ),), environ)
    for folder in _search_folders(environ):
        program = os.path.join(folder, _PROGRAM)
        if _is_program(program) and not _is_inside(program, project):
            return Command((program,), environ)
    if bundled:
        return _bundled_command(bundled, environ)
    raise Absent("regen-vcs is not installed")


def _preferred(preference: str, environ: Mapping[str, str]) -> str:
    """A preference that does not hold is told, and never passed over for another version."""
    path = os.path.expanduser(preference)
    if not os.path.isabs(path):
        raise Absent(f"{preference} is not a full path", "name regen-vcs by its full path in the addon's preferences")
    inside = (os.path.join(path, *parts) for parts in ((_PROGRAM,), ("bin", _PROGRAM), ("Scripts", _PROGRAM)))
    found = next((each for each in (path, *inside) if _is_program(each)), None)
    if found is None:
        raise Absent(f"there is no regen-vcs at {preference}", "mend its path in the addon's preferences, or empty it to search")
    return found


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _is_inside(path: str, folder: str | None) -> bool:
    if not folder:
        return False
    top = os.path.normcase(os.path.realpath(folder)).rstrip(os.sep) + os.sep
    # Where it lies and where it leads: a link of the repository may lead out of it, and one outside may lead in.
    lies = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return any(os.path.normcase(each).startswith(top) for each in (lies, os.path.realpath(path)))


def _search_folders(environ: Mapping[str, str]) -> list[str]:
    """PATH without its relative entries, then where installers put programs: a desktop starts Blender with a short PATH."""
    folders = environ.get("PATH", "").split(os.pathsep)
    return [each for each in dict.fromkeys([*folders, *_usual_folders(environ)]) if each and os.path.isabs(each)]


def _usual_folders(environ: Mapping[str, str]) -> list[str]:
    home = environ.get("USERPROFILE" if _WINDOWS else "HOME", "")
    places = [os.path.join(home, ".local", "bin")] if home else []
    if not _WINDOWS:
        return [*places, "/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/bin"]
    for name, *parts in (("APPDATA", "Python"), ("LOCALAPPDATA", "Programs", "Python")):
        if environ.get(name):
            base = os.path.join(environ[name], *parts)
            places += sorted((os.path.join(base, each, "Scripts") for each in _names_in(base)), reverse=True)
    return places


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def find_bundled(addon: str | None = None) -> tuple[str, str] | None:
    """(Python, folder of packages) of the regen-vcs that came with the addon's zip; None if none came, or none for this Python.

    The folder is the addon's own and never on Blender's module path: its libraries are others than those Blender has.
    """
    name = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    folder = os.path.join(addon or os.path.dirname(os.path.abspath(__file__)), "bundled", name)
    return (sys.executable, folder) if os.path.isfile(_entry(folder)) and _is_program(sys.executable) else None


def _entry(folder: str) -> str:
    return os.path.join(folder, "regen_vcs", "__main__.py")


def _bundled_command(bundled: Sequence[str], environ: dict[str, str]) -> Command:
    """By its file: that puts its own folder on the module path, so that `-I` can keep everything else off it."""
    python, folder = bundled
    if not os.path.isfile(_entry(folder)):
        raise Absent("the addon's own regen-vcs is damaged", "install the addon again")
    return Command((python, "-I", _entry(folder)), environ)


def child_environ(environ: Mapping[str, str], more_folders: Sequence[str] = ()) -> dict[str, str]:
    """The environment for a child: without what is about another repository or about Blender's own Python.

    Nobody could answer a question on a terminal that is not there; a desktop's short PATH gets the usual places at its end; and what git
    says is read, so it speaks English.
    """
    kept = {name: value for name, value in environ.items() if _is_kept(name)}
    folders = [each for each in kept.get("PATH", "").split(os.pathsep) if each]
    usual = () if _WINDOWS else _usual_folders(kept)
    extra = [each for each in dict.fromkeys((*usual, *more_folders)) if each not in folders]
    return {
        **kept, "PATH": os.pathsep.join([*folders, *extra]), "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8",
        "GIT_TERMINAL_PROMPT": "0", "NO_COLOR": "1", "LANGUAGE": "C",
    }  # fmt: skip


def _is_kept(name: str) -> bool:
    upper = name.upper()
    if upper.startswith("GIT_"):
        return upper in _GIT_KEPT
    return not upper.startswith("PYTHON") and upper not in ("REGEN_ACTIVE", "_PRE_COMMIT_SKIP_POST_CHECKOUT", "__PYVENV_LAUNCHER__")


def find_root(path: str) -> str | None:
    """The top of the git worktree that holds `path` (a file or folder, it need not exist); None if none does."""
    if not path:
        return None
    folder = os.path.abspath(path)
    for start_at in dict.fromkeys((folder, os.path.realpath(folder))):
        current = start_at
        while True:
            if _is_worktree_top(current):
                return current
            parent = os.path.dirname(current)
            if parent == current:
                break
            current = parent
    return None


def _is_worktree_top(folder: str) -> bool:
    place = os.path.join(folder, ".git")
    if os.path.isdir(place):
        return os.path.isfile(os.path.join(place, "HEAD"))
    try:
        with open(place, "rb") as file:
            return file.read(7) == b"gitdir:"
    except OSError:
        return False


# -------------------------------------------------------------------------------------------------------- talking to it


class Bridge:
    """regen-vcs in one project. Short questions go through `run`; what may take long goes through `jobs.Jobs`.

    root: the folder commands run in, absolute; None: outside any project.
    """

    def __init__(self, command: Command, root: str | None = None):
        self.command, self.root = command, root

    @property
    def environ(self) -> dict[str, str]:
        return self.command.environ

    def argv(self, *args: str) -> list[str]:
        return [*self.command.argv, *args]

    def json_argv(self, *args: str) -> list[str]:
        """The argv of `regen-vcs ARGS --json`, the option before a `--` that ends options. Put `--` before paths of unknown shape."""
        at = args.index("--") if "--" in args else len(args)
        return self.argv(*args[:at], "--json", *args[at:])

    def run(self, *args: str, timeout: float = 30, stdin: bytes | None = None) -> Any:
        """What `regen-vcs ARGS --json` answers. RegenError for its errors, and where it hangs, dies, or answers nonsense."""
        code, out, err = run_child(self.json_argv(*args), cwd=self.root, environ=self.environ, timeout=timeout, stdin=stdin)
        return parse_answer(code, out, err)

    def git(self, *args: str, timeout: float = 60) -> str:
        """What `git ARGS` prints, in the project's folder. RegenError with git's own words if it fails."""
        code, out, err = run_child(git_argv(self.environ, *args, project=self.root), cwd=self.root, environ=self.environ, timeout=timeout)
        if code != 0:
            raise failure(code, b"", err, program="git")
        return out.decode("utf-8", "surrogateescape")

    def version(self) -> tuple[int, ...]:
        """The numbers of its version. RegenError `garbled` if it is not regen-vcs at all, `too_old` below MINIMUM."""
        code, out, err = run_child(self.argv("--version"), cwd=None, environ=self.environ, timeout=30)
        found = re.fullmatch(r"regen-vcs (\d{1,6}(?:\.\d{1,6}){1,3})\S{0,64}", out.decode("utf-8", "replace").strip())
        if code != 0 or not found:
            raise RegenError("garbled", f"{self.command.argv[0]} is not regen-vcs: {_last_lines(out + err) or f'exit code {code}'}", INSTALL_HINT, code)
        version = tuple(int(part) for part in found[1].split("."))
        if version < MINIMUM:
            wanted = ".".join(map(str, MINIMUM))
            raise RegenError("too_old", f"regen-vcs {found[1]} is too old for this addon", f"it needs {wanted} or newer: pipx upgrade regen-vcs")
        return version


def git_argv(environ: Mapping[str, str], *args: str, project: str | None = None) -> list[str]:
    """The argv of `git ARGS`, git taken from absolute entries of PATH outside `project`. RegenError `absent` if it is not there."""
    name = "git.exe" if _WINDOWS else "git"
    folders = _search_folders(environ)
    if _WINDOWS:
        folders += [os.path.join(environ[each], "Git", "cmd") for each in ("PROGRAMFILES", "LOCALAPPDATA") if environ.get(each)]
    found = next((path for path in (os.path.join(folder, name) for folder in folders) if _is_program(path) and not _is_inside(path, project)), None)
    if found is None:
        raise RegenError("absent", "git is not installed", "install it from git-scm.com, and start Blender again")
    return [found, "--no-pager", *args]


def run_child(
    argv: Sequence[str], *, cwd: str | None, environ: Mapping[str, str], timeout: float, stdin: bytes | None = None
) -> tuple[int, bytes, bytes]:
    """(exit code, stdout, the end of stderr). RegenError `absent`, `timeout`, or `garbled` where it answers without end."""
    proc = start_child(argv, cwd=cwd, environ=environ, with_input=stdin is not None)
    out, err = Drain(proc.stdout, ANSWER_LIMIT), Drain(proc.stderr, TROUBLE_LIMIT, keep_end=True)  # type: ignore[arg-type]
    if stdin is not None:
        Feed(proc.stdin, stdin)  # type: ignore[arg-type]
    try:
        proc.wait(timeout)
    except subprocess.TimeoutExpired:
        end_tree(proc, stop_grace=0.5, end_grace=0.5)
        raise RegenError("timeout", f"{_name(argv)} did not answer within {timeout:g} s", "try again; see: regen-vcs doctor") from None
    except BaseException:
        end_tree(proc, stop_grace=0.5, end_grace=0.5)
        raise
    # Someone it started in the background may hold the pipes open: what it said itself is there by now.
    for drain in (out, err):
        drain.join(2)
    if out.overflowed:
        raise RegenError("garbled", f"{_name(argv)} answered more than {ANSWER_LIMIT >> 20} MiB", exit_code=proc.returncode)
    return proc.returncode, out.data, err.data


def start_child(argv: Sequence[str], *, cwd: str | None, environ: Mapping[str, str], with_input: bool) -> subprocess.Popen[bytes]:
    """`children.start`, its OSErrors in the user's words."""
    try:
        return start(argv, cwd=cwd, environ=environ, with_input=with_input)
    except FileNotFoundError:
        if cwd and not os.path.isdir(cwd):
            raise RegenError("absent", f"the folder {cwd} is not there any more", "open the project again") from None
        raise Absent(f"{argv[0]} is not there any more") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        raise Absent(f"{argv[0]} cannot be started: {getattr(error, 'strerror', None) or error}") from None


def parse_answer(code: int, out: bytes, err: bytes) -> Any:
    """The JSON document that a command with `--json` wrote. RegenError for `{"error": …}`, and for anything that is no document."""
    try:
        document = json.loads(out.decode("utf-8", "surrogateescape"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        if code == 0 and out.strip():
            raise RegenError("garbled", f"regen-vcs answered what is not JSON: {_last_lines(out)}", "is it another version? see its path in the preferences", code) from None
        raise failure(code, out, err) from None
    if isinstance(document, dict) and isinstance(document.get("error"), dict):
        raise _error_of(document, code)
    if code < 0:
        raise failure(code, b"", err)
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _error_of(document: Mapping[str, Any], code: int) -> RegenError:
    kind, what, hint = (document["error"].get(name) for name in ("kind", "what", "hint"))
    return RegenError(_text(kind) or "failed", _text(what) or "regen-vcs failed and did not say why", _text(hint), code, document)


def _text(value: Any) -> str:
    return value[:4000] if isinstance(value, str) else ""


def failure(code: int, out: bytes, err: bytes, *, program: str = "regen-vcs") -> RegenError:
    """A RegenError out of what a program that failed wrote: its `error:` and `hint:` lines, else its last words."""
    text = err.decode("utf-8", "replace")
    what = re.findall(r"^(?:error|fatal): (.+)$", text, re.MULTILINE)
    hint = re.findall(r"^\s*hint: (.+)$", text, re.MULTILINE)
    if code < 0:
        return RegenError("failed", f"{program} was ended by signal {-code}", _last_lines(err), code)
    if code == 0 and not out.strip():
        return RegenError("garbled", f"{program} answered nothing", _last_lines(err), code)
    said = (what[-1].strip() if what else "") or _last_lines(err) or _last_lines(out)
    return RegenError("failed", (said or f"{program} failed with exit code {code}")[:4000], hint[-1].strip()[:4000] if hint else "", code)


def _last_lines(data: bytes, count: int = 3) -> str:
    text = "".join(char if char.isprintable() or char == "\n" else " " for char in data[-4000:].decode("utf-8", "replace"))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return " / ".join(lines[-count:])[:500]


def _name(argv: Sequence[str]) -> str:
    """What to call a command in a message: `regen-vcs status`."""
    words = [word for word in argv[1:] if not word.startswith("-") and not word.endswith("__main__.py")]
    program = "git" if os.path.basename(argv[0]).startswith("git") else "regen-vcs"
    return f"{program} {words[0]}" if words else program
