"""The rules of one `[generators.X]` table that need no schema library: names, argv templates, code globs. Pure.

A code glob is a git pathspec with `glob` magic: `*`, `?` and `[…]` stay within one folder, `**` between slashes
is any number of folders. Its files are copied relative to its wildcard-free folder.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from regen_vcs.errors import InvalidError
from regen_vcs.model.paths import check_input, fold

# Built-in generators that run no code but our own and read nothing but params: a table of theirs needs no trust.
HARMLESS = frozenset({"texture", "tone"})

# Keys of a table that cannot change what comes out. They are left out of `definition`, so that a longer timeout
# or another server does not make every asset stale.
NOT_IN_DEFINITION = frozenset({"timeout", "servers", "auth_env", "paid", "cost", "params"})

# An input whose bytes are instructions to the program that reads it. By suffix, in lower case; trust covers these.
EXECUTABLE_SUFFIXES = frozenset((
    # programs and scripts
    ".bash", ".bat", ".bin", ".cjs", ".cmd", ".com", ".dll", ".dylib", ".exe", ".fish", ".jar", ".js", ".jsx",
    ".ksh", ".lua", ".mjs", ".out", ".php", ".pl", ".ps1", ".psm1", ".py", ".pyc", ".pyd", ".pyo", ".pyw",
    ".pyz", ".r", ".rb", ".run", ".sh", ".so", ".tcl", ".ts", ".vbs", ".wasm", ".zsh",
    # scenes and graphs that carry scripts, or name nodes to run
    ".blend", ".hda", ".hip", ".hiplc", ".hipnc", ".json", ".ma", ".max", ".mb", ".mel", ".nk", ".otl",
    ".toe",
    # pickles
    ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth",
))
_BLEND_BACKUP = re.compile(r"\.blend[0-9]+\Z")

# Bounds on what a hook does for a repository that nobody has trusted yet.
MAX_CODE_GLOBS = 64
MAX_CODE_FILES = 4096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PLACEHOLDER = re.compile(r"\{[A-Za-z_][^{}\s\"':,]*\}")
_WHOLE = re.compile(r"\{(?:output|(?:params|inputs)\.[A-Za-z0-9_][A-Za-z0-9_-]*)\}\Z")
_WILD = re.compile(r"[*?\[]")


def split_generator(name: str) -> tuple[str, str | None]:
    """("command", "upscale") of "command:upscale"; ("texture", None) of "texture". InvalidError for a bad name."""
    kind, colon, alias = name.partition(":")
    if not _NAME.match(kind) or (colon and not _NAME.match(alias)):
        raise InvalidError(f"{name!r} is not the name of a generator", 'as in "texture" or "command:upscale"')
    return kind, alias if colon else None


def check_alias(name: str) -> None:
    """InvalidError for a table name that could not be said in a recipe."""
    if not _NAME.match(name):
        raise InvalidError(f"{name!r} is not a name: letters, digits, '.', '_' and '-' only")


def check_argv(argv: Any) -> None:
    """InvalidError unless `argv` is a command's template by the rules of docs/configuration.md.

    The program is literal; `{output}`, `{params.x}` and `{inputs.x}` are whole elements; `{code}` may begin one.
    """
    if not isinstance(argv, list) or not argv or not all(isinstance(part, str) for part in argv):
        raise InvalidError("argv is a list of strings, the program first", "there is no shell: split it by hand")
    if not argv[0].strip() or _PLACEHOLDER.search(argv[0]):
        raise InvalidError(f"argv: the program is literal, not {argv[0]!r}", 'as in ["python3", "{code}/tool.py"]')
    for part in argv:
        if "\0" in part:
            raise InvalidError("argv: an element holds a NUL character")
    for part in argv[1:]:
        _check_argument(part)


def _check_argument(part: str) -> None:
    rest = part.removeprefix("{code}")
    if rest != part and rest and not rest.startswith("/"):
        raise InvalidError(f'argv: {part!r}: what follows "{{code}}" starts with "/"')
    if any(piece == ".." for piece in rest.split("/")) and rest != part:
        raise InvalidError(f"argv: {part!r} leaves the folder of the code")
    found = _PLACEHOLDER.search(rest)
    if found and not _WHOLE.match(part):
        raise InvalidError(
            f"argv: {part!r}: {found.group()} is not a placeholder that can stand there",
            "{params.NAME}, {inputs.NAME} and {output} are whole elements, {code} may begin one",
        )


def check_env_names(names: Any) -> None:
    """InvalidError unless `env` is a list of plain variable names; values never stand in regen.toml."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidError("env is a list of names")
    for name in names:
        if not _ENV_NAME.match(name):
            # Only the name is repeated: what follows a "=" may be a secret.
            raise InvalidError(
                f"env: {name.partition('=')[0]!r} is not a plain variable name",
                "names only: the value comes from the environment of whoever runs it",
            )


def check_code_glob(glob: Any) -> None:
    """InvalidError for a glob that could reach outside the worktree or into `.git`."""
    if not isinstance(glob, str) or not glob:
        raise InvalidError("code is a list of paths or globs")
    if glob.startswith("/") or re.match(r"[A-Za-z]:", glob):
        raise InvalidError(f"code: {glob!r} is an absolute path", "give it relative to the repository's root")
    if "\\" in glob or "\0" in glob or glob.startswith((":", "!", "~")):
        raise InvalidError(f"code: {glob!r} is not a plain path or glob")
    if any(part in ("", ".", "..") for part in glob.split("/")):
        raise InvalidError(f"code: {glob!r} has an empty, '.' or '..' component")
    try:
        check_input(f"./{glob}" if glob.startswith("@") else glob)
    except InvalidError as error:
        raise InvalidError(f"code: {error.what}", error.hint) from None


def check_workflow(path: Any) -> None:
    """InvalidError unless `workflow` names one file of the repository."""
    check_code_glob(path)
    if _WILD.search(path):
        raise InvalidError(f"workflow: {path!r} holds a wildcard", "name one file")


def code_globs(table: Mapping[str, Any]) -> list[str]:
    """The paths and globs of everything of the repository that a table's generator reads: `code`, and `workflow`."""
    return [*table.get("code", []), *([table["workflow"]] if "workflow" in table else [])]


def workflow_destination(path: str) -> str:
    """The name below `{code}` under which a job finds the workflow of its table."""
    return path.rpartition("/")[2]


def is_code_path(path: str) -> bool:
    """Whether a path of the repository may be code at all: never one in `.git`, however that is spelt."""
    try:
        check_code_glob(path)
    except InvalidError:
        return False
    return True


def glob_base(glob: str) -> str:
    """The wildcard-free folder of a glob, "" for the root: "tools" of "tools/*.py" and of "tools/upscale.py"."""
    folders = glob.split("/")[:-1]
    plain = []
    for folder in folders:
        if _WILD.search(folder):
            break
        plain.append(folder)
    return "/".join(plain)


def glob_matches(glob: str, path: str) -> bool:
    """Whether a repository path is matched by a code glob. `glob` is one that check_code_glob let pass.

    `**/` is any folders or none, a closing `/**` everything below. The time is at most the product of both
    lengths: a hostile glob must not hang a hook, so no regular expression is made of it.
    """
    if not _WILD.search(glob):
        return glob == path
    wanted, parts = glob.split("/"), path.split("/")
    if wanted[-1] == "**":
        wanted[-1:] = ["**", "*"]
    return _match_run(wanted, parts, "**", _component_matches)


def _component_matches(pattern: str, name: str) -> bool:
    return _match_run(_tokens(pattern), name, "*", _token_matches)


def _match_run(pattern: Sequence[str], items: Sequence[str], star: str, matches: Callable[[str, str], bool]) -> bool:
    """Wildcard match in which `star` stands for any run of items; going back to the last star is enough."""
    at = p = 0
    star_p, star_at = -1, 0
    while at < len(items):
        if p < len(pattern) and pattern[p] == star:
            star_p, star_at = p, at
            p += 1
        elif p < len(pattern) and matches(pattern[p], items[at]):
            p, at = p + 1, at + 1
        elif star_p >= 0:
            star_at += 1
            p, at = star_p + 1, star_at
        else:
            return False
    return all(token == star for token in pattern[p:])


@functools.lru_cache(maxsize=256)
def _tokens(pattern: str) -> tuple[str, ...]:
    """"a*[0-9]" as ("a", "*", "[0-9"): a class keeps its opening bracket, so that it is told from a plain one."""
    tokens, at = [], 0
    while at < len(pattern):
        end = -1
        if pattern[at] == "[":
            end = pattern.find("]", at + 2 + (pattern[at + 1 : at + 2] in ("!", "^")))
        if end != -1:
            tokens.append(pattern[at:end])
            at = end + 1
        else:
            tokens.append(pattern[at])
            at += 1
    return tuple(tokens)


def _token_matches(token: str, char: str) -> bool:
    if len(token) == 1:
        return token == "?" or token == char
    negated = token[1] in "!^"
    return _in_class(token[1 + negated :], char) != negated


def _in_class(body: str, char: str) -> bool:
    at = 0
    while at < len(body):
        if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
            if body[at] <= char <= body[at + 2]:
                return True
            at += 3
        else:
            if body[at] == char:
                return True
            at += 1
    return False


def code_destinations(globs: Iterable[str], paths: Iterable[str]) -> dict[str, str]:
    """{name below `{code}`: repository path} of what the globs match among `paths`.

    InvalidError where a glob matches nothing, or two files come out under one name (or under two that some file
    systems take for one).
    """
    globs = list(globs)
    if len(globs) > MAX_CODE_GLOBS:
        raise InvalidError(f"code: more than {MAX_CODE_GLOBS} globs")
    placed: dict[str, str] = {}
    seen: dict[str, str] = {}
    candidates = sorted(set(paths))
    for glob in globs:
        base = glob_base(glob)
        matched = [path for path in candidates if glob_matches(glob, path)]
        if not matched:
            raise InvalidError(f"code: {glob!r} matches no file", "git add what it names, or mend the path")
        for path in matched:
            dest = path[len(base) + 1:] if base else path
            other = seen.setdefault(fold(dest), path)
            if other != path:
                raise InvalidError(f"code: {other} and {path} would both be {{code}}/{dest}", "rename one of them")
            placed[dest] = path
    if len(placed) > MAX_CODE_FILES:
        raise InvalidError(f"code: {len(placed)} files, more than {MAX_CODE_FILES}", "name only what the program runs")
    return placed


def definition_table(table: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a generator's table that stands in its `definition`: what can change the bytes it makes."""
    return {key: value for key, value in table.items() if key not in NOT_IN_DEFINITION}


def can_run_code(table: Mapping[str, Any]) -> bool:
    """Whether a generator's table could make this machine run or contact something."""
    return table.get("uses") not in HARMLESS


def is_executable_input(path: str) -> bool:
    """Whether an input's bytes may be instructions: by suffix; a name without one is taken for a script."""
    name = path.rpartition("/")[2].lower().rstrip(". ")
    stem, dot, suffix = name.rpartition(".")
    if not dot or not stem:
        return True
    return f".{suffix}" in EXECUTABLE_SUFFIXES or _BLEND_BACKUP.search(name) is not None
