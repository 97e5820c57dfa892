"""Settings: one typed value for each name, and where it came from.

Precedence: command line, environment, git config, the user's config.toml, the repository's regen.toml. The last
may set only what `model/settings.py` allows it; anything else there is an error that names the key.

Hot path: a hook that finds its settings in git config or nowhere never parses TOML (tomllib costs 26 ms). A file
is parsed only if the setting's own word occurs in it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.model.settings import GIT_KEYS, SETTINGS, Setting, allowed_words, parse_setting

TYPE_CHECKING = False  # as typing has it: importing that costs a hook 10 ms
if TYPE_CHECKING:
    from typing import Any

APP_NAME = "regen-vcs"
PROJECT_FILE = "regen.toml"
USER_FILE = "config.toml"
MAX_FILE_BYTES = 1 << 20

# Environment names that start like settings but are not: switches of the program itself and of its tests.
OTHER_ENV = frozenset({"REGEN_ACTIVE", "REGEN_CONFIG_DIR", "REGEN_REQUIRE_PROGRAMS"})
# git config keys of ours that are not settings: what `init` and `remote add` write.
OTHER_GIT_KEYS = frozenset({"regen.uuid"})
REMOTE_PREFIX = "regen.remote."

# What only the user may say, beside the settings that are not marked `project`.
_USER_TABLES = ("roots", "remotes", "trust", "credentials")

# Reads a file: its bytes, or None where there is none.
Loader = Callable[[], "bytes | None"]


class Settings:
    """The settings of one command in one repository.

    cli: {name: text or typed value}; None values count as not given.
    environ: the environment, as a mapping.
    git_config: {key: (value, origin, …)} as `git.config.read_config` gives it.
    user_config_path: absolute; by default `config.toml` in the user's configuration folder.
    load_project: returns the bytes of regen.toml, or None where there is none; called at most once, and late.
    """

    def __init__(
        self,
        cli: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        git_config: Mapping[str, tuple[str, ...]] | None = None,
        user_config_path: str | None = None,
        load_project: Loader | None = None,
    ):
        self._cli = {name: value for name, value in (cli or {}).items() if value is not None}
        self._environ = environ or {}
        self._git = dict(git_config or {})
        self._git_folded = {key.lower(): value for key, value in self._git.items()}
        self.user_config_path = user_config_path or os.path.join(config_dir(self._environ), USER_FILE)
        self._user = _TomlFile(lambda: _read_optional(self.user_config_path), self.user_config_path, check_tables)
        self._project = _TomlFile(load_project or _no_file, PROJECT_FILE, check_project_keys)
        self._resolved: dict[str, tuple[Any, str]] = {}
        for name in self._cli:
            _known(name)

    def get(self, name: str) -> Any:
        """The typed value: seconds (float), bytes (int), dollars (float), bool, int, str, or None for not set.

        InvalidError names the place of a value that does not fit. KeyError for a name that is no setting.
        """
        return self._resolve(name)[0]

    def origin(self, name: str) -> str:
        """Where the value came from: `command line`, `REGEN_LINK in the environment`, …, or `default`."""
        return self._resolve(name)[1]

    def all(self) -> list[tuple[str, Any, str]]:
        """(name, typed value, origin) of every setting, sorted by name. Looks at both files, so finds bad keys."""
        self._user.document()
        self._project.document()
        return [(name, *self._resolve(name)) for name in sorted(SETTINGS)]

    def check(self) -> None:
        """Every rule of the schema for both files, for the verbs that show or mend settings. InvalidError."""
        # Here, not above: pydantic takes 200 ms, and nothing else in this module needs it.
        from regen_vcs.model.toml_schema import validate_project, validate_user

        for file, validate in ((self._user, validate_user), (self._project, validate_project)):
            validate(file.document(), file.data or b"", file.where)

    def git_value(self, key: str) -> str | None:
        """A key of git config as it was read at the start, None where it is not set."""
        entry = self._git_folded.get(key.lower())
        return None if entry is None else entry[0]

    def roots(self) -> dict[str, str]:
        """{root name: absolute folder} for `@plates/…` inputs: from the user's config only."""
        table = self._user.table("roots")
        return {name: self._root_path(name, value) for name, value in table.items()}

    def remotes(self) -> dict[str, dict[str, str]]:
        """{remote: {key in lower case: value}}: the active remotes, from git config only.

        Written as `[regen "remote.store"] url = …`, so that the key is `regen.remote.store.url`.
        """
        remotes: dict[str, dict[str, str]] = {}
        for key, (value, *_) in self._git.items():
            if key.lower().startswith(REMOTE_PREFIX):
                name, dot, option = key[len(REMOTE_PREFIX):].rpartition(".")
                if dot and name:
                    remotes.setdefault(name, {})[option.lower()] = value
        return remotes

    def defaults(self, table: str) -> dict[str, Any]:
        """`[defaults.models]` (role → alias) or `[defaults.params]` (generator → table), the user's over the project's."""
        merged = dict(_subtable(self._project.table("defaults"), table, PROJECT_FILE))
        merged.update(_subtable(self._user.table("defaults"), table, self.user_config_path))
        return merged

    def unknown(self) -> list[tuple[str, str]]:
        """(name, origin) of what looks like a setting of ours and is none: for `doctor` and `config`.

        No error: git config and the environment may be written for another version.
        """
        found = [(name, "the environment") for name in self._environ
                 if name.startswith("REGEN_") and name not in OTHER_ENV and name not in _ENV_NAMES]
        for key, (_, origin, *_) in self._git.items():
            folded = key.lower()
            if (folded.startswith("regen.") and folded not in GIT_KEYS and folded not in OTHER_GIT_KEYS
                    and not folded.startswith(REMOTE_PREFIX)):
                found.append((key, f"git config ({origin})"))
        return sorted(found)

    def _resolve(self, name: str) -> tuple[Any, str]:
        if name not in self._resolved:
            setting = SETTINGS[name]
            raw, origin = self._find(setting)
            value = self._computed_default(setting) if raw is None else self._typed(setting, raw, origin)
            self._resolved[name] = value, origin
        return self._resolved[name]

    def _find(self, setting: Setting) -> tuple[Any, str]:
        """The raw value from the first place that has one; (None, "default") where none has."""
        if setting.name in self._cli:
            return self._cli[setting.name], "command line"
        if self._environ.get(setting.env_name):  # set but empty is the usual way to unset
            return self._environ[setting.env_name], f"{setting.env_name} in the environment"
        if (entry := self._git_folded.get(setting.git_key.lower())) is not None:
            return entry[0], f"{setting.git_key} in git config ({entry[1]})"
        for file in (self._user, self._project) if setting.project else (self._user,):
            if (value := file.value(setting)) is not None:
                return value, f"{setting.name} in {file.where}"
        return None, "default"

    def _typed(self, setting: Setting, raw: Any, origin: str) -> Any:
        try:
            value = parse_setting(setting, raw)
        except UsageError:
            what = f"{setting.name} from {origin}" if origin == "command line" else origin
            raise InvalidError(
                f"{what} is {_quoted(raw)}, not {allowed_words(setting)}", "mend or remove it", field=setting.name
            ) from None
        if setting.kind == "paths":
            return tuple(expand_home(each, self._environ) for each in value)
        return expand_home(value, self._environ) if setting.kind == "path" else value

    def _computed_default(self, setting: Setting) -> Any:
        if setting.name == "cacheDir":
            return cache_dir(self._environ)
        if setting.name == "keepDir":
            return data_dir(self._environ)
        return setting.default

    def _root_path(self, name: str, value: Any) -> str:
        path = expand_home(value, self._environ) if isinstance(value, str) else ""
        if not os.path.isabs(path) or "\0" in path:
            raise InvalidError(
                f"roots.{name} in {self.user_config_path} is {_quoted(value)}, not an absolute path (~ is your home)",
                field=f"roots.{name}",
            )
        return path


class _TomlFile:
    """A TOML file that is read when first asked about, and parsed only if it can hold the answer."""

    def __init__(self, load: Loader, where: str, check: Callable[[dict[str, Any], str], None]):
        self._load, self.where, self._check = load, where, check
        self._data: bytes | None = None
        self._loaded = False
        self._document: dict[str, Any] | None = None

    def value(self, setting: Setting) -> Any:
        if not self._mentions(setting.key):
            return None
        if setting.section is None:
            return self.document().get(setting.key)
        return self.table(setting.section).get(setting.key)

    def table(self, name: str) -> dict[str, Any]:
        """The table called `name`, {} where there is none; InvalidError where that is no table."""
        return _subtable(self.document(), name, self.where) if self._mentions(name) else {}

    def document(self) -> dict[str, Any]:
        if self._document is None:
            data = self.data
            self._document = parse_toml(data, self.where) if data is not None else {}
            self._check(self._document, self.where)
        return self._document

    def _mentions(self, word: str) -> bool:
        """False where no key `word` can be in the file: TOML can hide a word only behind a backslash escape."""
        data = self.data
        return data is not None and (word.encode() in data or b"\\" in data)

    @property
    def data(self) -> bytes | None:
        if not self._loaded:
            self._data, self._loaded = self._load(), True
        return self._data


def parse_toml(data: bytes, where: str) -> dict[str, Any]:
    """A TOML document; InvalidError that names `where`, and the line where the parser knows it."""
    if len(data) > MAX_FILE_BYTES:
        raise InvalidError(f"{where}: larger than {MAX_FILE_BYTES >> 20} MiB")
    # Here because its import is slow and most hooks never come this far.
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidError(f"{where}: not UTF-8 at byte {error.start}", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidError(f"{where}: {error}", "see https://toml.io for the syntax") from None
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits, a date that is none
        raise InvalidError(f"{where}: nested too deeply, or a number too long to be one") from None


def check_tables(document: Mapping[str, Any], where: str) -> None:
    """InvalidError where the name of a section of settings is not a table. Unknown keys are for the schema to find."""
    for setting in SETTINGS.values():
        if setting.section is not None:
            _subtable(document, setting.section, where)


def check_project_keys(document: Mapping[str, Any], where: str) -> None:
    """InvalidError for the first key of a regen.toml that only the user may set."""
    check_tables(document, where)
    for key in project_offences(document):
        raise InvalidError(
            f"{where}: {key} is for the user to set, never for a repository", f"remove it from {where}", field=key
        )


def project_offences(document: Mapping[str, Any]) -> list[str]:
    """Dotted keys of a regen.toml that a repository may not set: trust, credentials, stores, links, remotes."""
    found = [table for table in _USER_TABLES if table in document]
    for setting in SETTINGS.values():
        if setting.project:
            continue
        holder = document if setting.section is None else document.get(setting.section)
        if isinstance(holder, Mapping) and setting.key in holder:
            found.append(setting.name)
    return found


def config_dir(environ: Mapping[str, str]) -> str:
    """The user's configuration folder of this program: REGEN_CONFIG_DIR, else the platform's."""
    override = environ.get("REGEN_CONFIG_DIR")
    if override:
        if not os.path.isabs(override):
            raise InvalidError(f"REGEN_CONFIG_DIR in the environment is {_quoted(override)}, not an absolute path")
        return override
    return _platform_dir(environ, "XDG_CONFIG_HOME", ".config", "user_config_dir")


def cache_dir(environ: Mapping[str, str]) -> str:
    return _platform_dir(environ, "XDG_CACHE_HOME", ".cache", "user_cache_dir")


def data_dir(environ: Mapping[str, str]) -> str:
    return _platform_dir(environ, "XDG_DATA_HOME", ".local/share", "user_data_dir")


def expand_home(path: str, environ: Mapping[str, str]) -> str:
    """`~` and `~/…` replaced by the home folder of `environ`; anything else as it is."""
    if path == "~" or path.startswith("~/"):
        return os.path.join(_home(environ), path[2:]).rstrip("/")
    return path


def _platform_dir(environ: Mapping[str, str], variable: str, below_home: str, function: str) -> str:
    """What platformdirs says. By hand where XDG rules, because importing it costs 30 ms."""
    if sys.platform in ("win32", "darwin") or "ANDROID_DATA" in environ:
        import platformdirs

        return str(getattr(platformdirs, function)(APP_NAME, appauthor=False))
    base = environ.get(variable, "")
    if not os.path.isabs(base):  # the XDG rule: a relative path is to be ignored
        base = os.path.join(_home(environ), below_home)
    return os.path.join(base, APP_NAME)


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def _known(name: str) -> Setting:
    if name not in SETTINGS:
        raise UsageError(f"{name} is not a setting", "see regen-vcs config for all of them")
    return SETTINGS[name]


def _subtable(document: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise InvalidError(f"{where}: {name} is {_quoted(table)}, not a table", field=name)
    return table


def _read_optional(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidError(f"{path}: cannot be read: {error.strerror}") from None


def _no_file() -> bytes | None:
    return None


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


_ENV_NAMES = frozenset(setting.env_name for setting in SETTINGS.values())
