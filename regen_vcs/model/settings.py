"""Every setting there is, in one table: name, kind, default, and where it may be set. Pure, and quick to import.

A name is `key` or `section.key`. From it follow all the spellings:

    checkout.wait     [checkout] wait = "30s"     in regen.toml and in the user's config.toml
                      regen.checkoutWait          in git config (which ignores case)
                      REGEN_CHECKOUT_WAIT         in the environment
"""

from __future__ import annotations

import sys
from collections import namedtuple

from regen_vcs.errors import UsageError
from regen_vcs.model.quantities import (
    DURATION_WORDS,
    SIZE_WORDS,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from typing import Any

_FIELDS = (
    "name",
    "kind",  # duration | size | bool | count | money | path | paths | argv | choice | text
    "default",  # already typed; None: computed or not set
    "about",
    "choices",
    "project",  # whether a repository's regen.toml may set it; everybody else always may
)

class Setting(namedtuple("_Setting", _FIELDS, defaults=((), False))):
    """One setting."""

    __slots__ = ()

    @property
    def section(self) -> str | None:
        return self.name.partition(".")[0] if "." in self.name else None

    @property
    def key(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def git_key(self) -> str:
        """`regen.checkoutWait`: as we write it. git compares it without case."""
        head, _, tail = self.name.partition(".")
        return f"regen.{head}{tail[:1].upper()}{tail[1:]}"

    @property
    def env_name(self) -> str:
        words = "".join(f"_{c}" if c.isupper() else c for c in self.name.replace(".", "_"))
        return f"REGEN_{words.upper()}"


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("cacheDir", "path", None, "Folder of the objects that can be made or fetched again."),
        Setting("keepDir", "path", None, "Folder of the objects that nothing can make again."),
        Setting("link", "choice", "copy",
                "How a media file comes out of a store where the file system has no reflinks. A hardlink shares its "
                "bytes with the store and is read-only; 'hardlink!' does so even as root, whom read-only does not stop.",
                ("copy", "hardlink", "hardlink!")),
        Setting("spare.limit", "size", 4 << 30,
                "Bytes of unmodified media that left the worktree and are kept aside for a quick way back; 0: none."),
        Setting("checkout.missing", "choice", "regenerate",
                "What a checkout does for accepted media that no local store has: make it again or fetch it, only "
                "fetch it, or leave it missing.", ("regenerate", "fetch", "leave"), project=True),
        Setting("checkout.wait", "duration", 30.0,
                "The longest estimate for which a hook regenerates in the foreground.", project=True),
        Setting("checkout.background", "bool", True,
                "Whether what a checkout misses and would take longer is queued, for a worker in the background."),
        Setting("workset.fill", "choice", "set",
                "What a worker with nothing else to do brings: what the working set misses, all assets (those outside of the "
                "set into the stores only), or nothing.", ("set", "all", "off")),
        Setting("jobs", "count", 1, "How many regenerations run at once."),
        Setting("budget", "money", None,
                "The most that paid generators may cost in one command or worker, in dollars; not set: no limit."),
        Setting("executor", "argv", None,
                "A program that runs jobs elsewhere (a farm): its argv, in which {job} and {result} stand for the job "
                "file and the place of its result, {key} and {name} for what they say. Not set: jobs run here."),
        Setting("push.auto", "bool", True, "Whether git push uploads what the pushed commits accept."),
        Setting("remote.trustResults", "choice", "mine", "Whose takes from a remote may stand in.",
                ("mine", "signed", "all")),
        Setting("gc.auto", "bool", False, "Whether a worker collects garbage by itself."),
        Setting("gc.grace", "duration", 30 * 86400.0, "How long a take that nothing names is kept."),
        Setting("gc.keepTakes", "count", 0, "How many of the newest unaccepted takes of a key outlive the grace."),
        Setting("gc.budget", "size", None, "What keep and cache together may hold after gc; not set: no limit."),
        Setting("modelPath", "paths", (), "Folders in which models are looked for, the first first."),
        Setting("modelDownload", "choice", "never",
                "Whether a generator may download a model that this machine lacks. Only for what you start yourself: "
                "hooks and workers never do.", ("never", "allow")),
        Setting("defaults.generator", "text", None, "The generator of `generate` without --generator.", project=True),
    )
}

GIT_KEYS: dict[str, Setting] = {setting.git_key.lower(): setting for setting in SETTINGS.values()}

PATH_SEPARATOR = ";" if sys.platform == "win32" else ":"  # os.pathsep, without os

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def allowed_words(setting: Setting) -> str:
    """What the setting takes, for an error: `one of copy, hardlink, hardlink!`."""
    if setting.kind == "choice":
        return "one of " + ", ".join(setting.choices)
    return {
        "duration": DURATION_WORDS,
        "size": SIZE_WORDS,
        "bool": "true or false",
        "count": "a whole number",
        "money": 'an amount in dollars such as "2.50"',
        "path": "an absolute path (~ is your home)",
        "paths": "absolute paths, a list of them or joined as PATH is (~ is your home)",
        "argv": "a program and its arguments, with {job} and {result} among them as words of their own",
        "text": "text",
    }[setting.kind]


def parse_setting(setting: Setting, value: Any) -> Any:
    """The typed value: duration → float seconds, size → int bytes, money → float, path → str with `~` as is,
    paths → a tuple of such, argv → a tuple of str.

    `value` is a str (git config, environment, command line) or what TOML had. UsageError where it does not fit.
    """
    if isinstance(value, bool) and setting.kind != "bool":
        raise _unfit(setting, value)
    if not isinstance(value, str | int | float) and not (setting.kind in ("paths", "argv") and isinstance(value, list | tuple)):
        raise _unfit(setting, value)
    try:
        return _PARSERS[setting.kind](setting, value)
    except (ValueError, OverflowError, UsageError):
        raise _unfit(setting, value) from None


def format_setting(setting: Setting, value: Any) -> str:
    """A typed value as one would write it; `""` for a value that is not set."""
    if value is None:
        return ""
    if setting.kind == "duration":
        return format_duration(value)
    if setting.kind == "size":
        return format_size(value)
    if setting.kind == "bool":
        return "true" if value else "false"
    if setting.kind == "paths":
        return PATH_SEPARATOR.join(value)
    if setting.kind == "argv":
        from shlex import join  # a hook never formats one

        return join(value)
    return f"{value:.2f}" if setting.kind == "money" else str(value)


def _unfit(setting: Setting, value: Any) -> UsageError:
    return UsageError(f"{value!r} is not {allowed_words(setting)}")


def _parse_bool(setting: Setting, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _TRUE + _FALSE:
        raise _unfit(setting, value)
    return word in _TRUE


def _parse_count(setting: Setting, value: Any) -> int:
    if isinstance(value, float):
        raise _unfit(setting, value)
    count = int(value)
    if not (0 if setting.default == 0 else 1) <= count <= 1_000_000:
        raise _unfit(setting, value)
    return count


def _parse_money(setting: Setting, value: Any) -> float:
    amount = float(value.strip().removeprefix("$")) if isinstance(value, str) else float(value)
    if not 0 <= amount < 1e9:  # also refuses nan
        raise _unfit(setting, value)
    return amount


def _parse_path(setting: Setting, value: Any) -> str:
    """Relative paths are refused: a hook and a command in a subfolder would each mean another place."""
    if not isinstance(value, str) or "\0" in value:
        raise _unfit(setting, value)
    absolute = value.startswith(("/", "~/")) or value == "~" or (value[1:3] in (":/", ":\\") and value[0].isalpha())
    if not absolute:
        raise _unfit(setting, value)
    return value


def _parse_paths(setting: Setting, value: Any) -> tuple[str, ...]:
    """A TOML list, or as PATH has it."""
    parts = [part for part in value.split(PATH_SEPARATOR) if part] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise _unfit(setting, value)
    return tuple(_parse_path(setting, part) for part in parts)


_ARGV_WORDS = ("{job}", "{result}", "{key}", "{name}")


def _parse_argv(setting: Setting, value: Any) -> tuple[str, ...]:
    """A TOML list, or words as a shell would split them. No shell ever sees them."""
    if isinstance(value, str):
        from shlex import split  # a hook never parses one

        value = split(value)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(part, str) and "\0" not in part for part in value):
        raise _unfit(setting, value)
    program, rest = value[0], value[1:]
    # A relative path would mean another program in every folder.
    if not program or "{" in program or ("/" in program and not program.startswith("/")):
        raise _unfit(setting, value)
    placeholders = [part for part in rest if any(word in part for word in _ARGV_WORDS)]
    if not {"{job}", "{result}"} <= set(rest) or not set(placeholders) <= set(_ARGV_WORDS):
        raise _unfit(setting, value)
    return tuple(value)


def _parse_choice(setting: Setting, value: Any) -> str:
    if value not in setting.choices:
        raise _unfit(setting, value)
    return str(value)


def _parse_text(setting: Setting, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _unfit(setting, value)
    return value


def _parse_duration(setting: Setting, value: Any) -> float:
    return parse_duration(str(value))


def _parse_size(setting: Setting, value: Any) -> int:
    return parse_size(str(value))


_PARSERS = {
    "duration": _parse_duration,
    "size": _parse_size,
    "bool": _parse_bool,
    "count": _parse_count,
    "money": _parse_money,
    "path": _parse_path,
    "paths": _parse_paths,
    "argv": _parse_argv,
    "choice": _parse_choice,
    "text": _parse_text,
}
