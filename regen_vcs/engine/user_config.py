"""Changing the user's config.toml: the `[roots]` table, and nothing else of the file.

The text is edited line by line, so that comments and order stay; what comes out is parsed and compared before it is written.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from regen_vcs.engine.config import Settings, parse_toml
from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.model.paths import check_input
from regen_vcs.platform.files import FileLock, write_atomic, write_error

_TABLE = "roots"
_HEAD = re.compile(r"\s*\[\s*(?:roots|\"roots\"|'roots')\s*\]\s*(?:#.*)?")
_ANY_HEAD = re.compile(r"\s*\[")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def set_root(settings: Settings, name: str, folder: str) -> bool:
    """Map a named root; whether that changed anything. UsageError for a name or folder that cannot be one, InvalidError."""
    check_root_name(name)
    if not os.path.isdir(folder):
        raise UsageError(f"{folder}: there is no such folder", "mount it first, and name it as it is seen here")
    return _edit(settings.user_config_path, name, folder)


def remove_root(settings: Settings, name: str) -> bool:
    """Forget a named root; whether there was one. InvalidError."""
    return _edit(settings.user_config_path, name, None)


def check_root_name(name: str) -> None:
    try:
        check_input(f"@{name}/x")
        if "/" in name:
            raise InvalidError("")
    except InvalidError:
        hint = "letters, digits, _, - and dots; it is written @name/… in recipes"
        raise UsageError(f"{name!r} cannot be the name of a root", hint) from None


def _edit(path: str, name: str, folder: str | None) -> bool:
    lock = FileLock(path + ".lock")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        lock.acquire(timeout=10.0)
        try:
            return _edit_locked(path, name, folder)
        finally:
            lock.release()
    except OSError as error:
        raise write_error(error, f"writing {path}") from error


def _edit_locked(path: str, name: str, folder: str | None) -> bool:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        data = b""
    document = parse_toml(data, path)
    roots = document.get(_TABLE, {})
    if not isinstance(roots, dict):
        raise InvalidError(f"{path}: roots is not a table", "mend it by hand")
    if roots.get(name) == folder:
        return False
    wanted = {key: value for key, value in roots.items() if key != name} | ({name: folder} if folder is not None else {})
    changed = _changed(data.decode("utf-8"), name, folder).encode("utf-8", "surrogateescape")
    _check(path, document, wanted, changed)
    # A symlink (dotfiles kept elsewhere) stays one.
    write_atomic(os.path.realpath(path), changed, durable=True)
    return True


def _changed(text: str, name: str, folder: str | None) -> str:
    lines = text.splitlines(keepends=True)
    head = next((number for number, line in enumerate(lines) if _HEAD.fullmatch(line.rstrip("\r\n"))), None)
    entry = [] if folder is None else [f"{_key(name)} = {_text(folder)}\n"]
    if head is None:
        gap = "" if not text or text.endswith("\n") else "\n"
        return text + gap + ("\n" if text else "") + "".join(["[roots]\n", *entry]) if entry else text
    end = next((number for number in range(head + 1, len(lines)) if _ANY_HEAD.match(lines[number])), len(lines))
    own = re.compile(rf"\s*(?:{re.escape(name)}|\"{re.escape(name)}\"|'{re.escape(name)}')\s*=")
    for number in range(head + 1, end):
        if own.match(lines[number]):
            return "".join(lines[:number] + entry + lines[number + 1 :])
    if not lines[head].endswith("\n"):
        lines[head] += "\n"
    return "".join(lines[: head + 1] + entry + lines[head + 1 :])


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _check(path: str, before: dict[str, Any], roots: dict[str, Any], data: bytes) -> None:
    """InvalidError unless exactly the root is another one: a file written in some other way is for its owner to edit."""
    try:
        after = parse_toml(data, path)
    except InvalidError:
        after = None
    expected = {key: value for key, value in before.items() if key != _TABLE}
    if after is None or after.get(_TABLE, {}) != roots or {k: v for k, v in after.items() if k != _TABLE} != expected:
        raise InvalidError(f"{path}: its roots are written in a way that is not edited here", "edit [roots] in it by hand")
