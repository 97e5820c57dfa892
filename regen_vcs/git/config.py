"""git's configuration: our settings in it with their origin, and writing single values."""

from __future__ import annotations

from collections import namedtuple

from regen_vcs.git.repo import Repo
from regen_vcs.git.run import Git, GitError


class ConfigValue(namedtuple("_ConfigValue", ("value", "origin", "scope"))):
    """value: str ("true" where the file names the key alone). origin: `file:.git/config`, `command line:`, …
    scope: system, global, local, worktree or command.
    """

    __slots__ = ()


def read_config(repo: Repo | Git, prefix: str = "regen") -> dict[str, ConfigValue]:
    """Every `<prefix>.*` of git's configuration: {name: value}; of several values of one name the last, as git reads it.

    Names are as git prints them: section and key in lower case, a subsection as it is spelt.
    """
    return {name: value for name, value in read_config_list(repo, prefix)}


def read_config_list(repo: Repo | Git, prefix: str = "regen") -> list[tuple[str, ConfigValue]]:
    """As `read_config`, with every value of a name that has several, in git's order."""
    pattern = "^" + prefix.replace(".", r"\.") + r"\."
    result = _git(repo).result("config", "--show-scope", "--show-origin", "-z", "--get-regexp", pattern)
    if result.status == 1:
        return []
    if result.status:
        raise GitError(("config", "--get-regexp"), result.status, result.stderr)
    fields = result.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [_parse(*fields[at : at + 3]) for at in range(0, len(fields) - 1, 3)]


def _parse(scope: str, origin: str, entry: str) -> tuple[str, ConfigValue]:
    name, line_break, value = entry.partition("\n")
    return name, ConfigValue(value if line_break else "true", origin, scope)


def normalize_name(name: str) -> str:
    """`regen.cacheDir` → `regen.cachedir`, `regen.Studio.pushUrl` → `regen.Studio.pushurl`: as git prints it."""
    section, _, rest = name.partition(".")
    subsection, dot, key = rest.rpartition(".")
    return f"{section.lower()}.{subsection}{dot}{key.lower()}"


def set_local(repo: Repo | Git, name: str, value: str) -> None:
    """Set one value in the repository's own configuration, in place of all it has for this name."""
    _write(repo, "--local", "--replace-all", name, value)


def unset_local(repo: Repo | Git, name: str) -> bool:
    """Take every value of `name` out of the repository's configuration; False where there was none."""
    return _unset(repo, "--local", name)


def values_in(repo: Repo | Git, scope: str, name: str) -> list[str]:
    """All values of `name` in one file. scope: "local" or "global"."""
    result = _git(repo).result("config", f"--{scope}", "-z", "--get-all", name)
    if result.status == 1:
        return []
    if result.status:
        raise GitError(("config", f"--{scope}"), result.status, result.stderr)
    return result.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


def set_values(repo: Repo | Git, scope: str, name: str, values: list[str]) -> None:
    """Make `values` all that the scope's file says of `name`; an empty list takes it out."""
    if not values:
        _unset(repo, f"--{scope}", name)
        return
    _write(repo, f"--{scope}", "--replace-all", name, values[0])
    for value in values[1:]:
        _write(repo, f"--{scope}", "--add", name, value)


def _unset(repo: Repo | Git, scope_option: str, name: str) -> bool:
    result = _git(repo).write_result("config", scope_option, "--unset-all", name)
    if result.status not in (0, 5):  # 5: there was nothing to unset
        raise GitError(("config", "--unset-all"), result.status, result.stderr)
    return result.status == 0


def _write(repo: Repo | Git, *argv: str) -> None:
    _git(repo).write("config", *argv)


def _git(repo: Repo | Git) -> Git:
    return repo if isinstance(repo, Git) else repo.git
