"""Words of the command line that several commands share: K=V parameters, ROLE=ALIAS models, NAME=PATH inputs."""

from __future__ import annotations

import os

from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import UsageError

_FILE_LIMIT = 1 << 20
_EXAMPLES = {"K=V": "seed=42", "ROLE=ALIAS": "checkpoint=sdxl", "NAME=PATH": "image=shots/010/sky.png"}


def pairs(words: tuple[str, ...], option: str, form: str) -> dict[str, str]:
    """{left: right} of `left=right` words; UsageError for one that is not, or is there twice.

    option: where they were said, "" for plain arguments.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {word}: wants {form}".lstrip(), f"as in: {option} {_EXAMPLES[form]}".replace("  ", " "))
        if name in found:
            raise UsageError(f"{option} {name}: given twice".lstrip(), "say it once")
        found[name] = value
    return found


def param_texts(words: tuple[str, ...], option: str = "--param") -> dict[str, str]:
    """Parameters as text; `k=@file` is the file's text."""
    return {name: _file_text(value[1:]) if value.startswith("@") else value
            for name, value in pairs(words, option, "K=V").items()}


def _file_text(name: str) -> str:
    try:
        with open(name, encoding="utf-8") as file:
            text = file.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}", "to say a value that starts with @, put it in a file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not UTF-8 text") from None
    if len(text) > _FILE_LIMIT:
        raise UsageError(f"{name}: larger than 1 MiB")
    return text


def input_targets(ws: Workspace, words: tuple[str, ...]) -> dict[str, str]:
    return {name: value if value.startswith("@") else ws.asset_arg(value, os.getcwd())
            for name, value in pairs(words, "--input", "NAME=PATH").items()}
