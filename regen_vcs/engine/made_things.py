"""What a captured function returns, put where its output belongs, if it wrote nothing there itself."""

from __future__ import annotations

import os
import shutil
import stat
from typing import Any

from regen_vcs.errors import RegenError
from regen_vcs.model.paths import parse_sequence


def place_result(returned: Any, path: str, function: str) -> None:
    """Make `returned` the file at `path`: bytes, the path of a file, or an object with `save(path)` (a PIL image).

    What was written to `path` goes before anything returned. RegenError where there is neither.
    """
    if _is_there(path):
        return
    if isinstance(returned, bytes | bytearray | memoryview):
        with open(path, "xb") as file:
            file.write(returned)
    elif isinstance(returned, str | os.PathLike):
        _copy(os.fspath(returned), path, function)
    elif callable(getattr(returned, "save", None)):
        returned.save(path)
    else:
        raise _nothing(function, returned)


def _is_there(path: str) -> bool:
    if parse_sequence(os.path.basename(path)):
        return bool(os.listdir(os.path.dirname(path)))
    return os.path.lexists(path)


def _copy(source: str, path: str, function: str) -> None:
    """A copy: what it returned may be its own cache's, or somebody else's file."""
    try:
        mode = os.stat(source).st_mode
    except (OSError, ValueError):
        raise _nothing(function, source) from None
    if stat.S_ISDIR(mode):
        shutil.copytree(source, path)
    elif stat.S_ISREG(mode):
        shutil.copyfile(source, path)
    else:
        raise _nothing(function, source)


def _nothing(function: str, returned: Any) -> RegenError:
    shown = repr(returned)
    shown = shown if len(shown) <= 60 else shown[:59] + "…"
    return RegenError(
        f"{function}: wrote nothing to its output, and returned {shown}",
        "write to the path it is given, or return bytes, a file's path, or an object with save(path)",
    )
