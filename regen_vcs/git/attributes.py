"""`.gitattributes` of the worktree's root: our managed block in it, and what others say there."""

from __future__ import annotations

import io
import re
from collections import namedtuple
from collections.abc import Iterable

from dulwich.attrs import Pattern, parse_git_attributes

from regen_vcs.errors import InvalidError
from regen_vcs.git.managed_block import block_lines, drop_block, put_block, read_file, replace_file
from regen_vcs.git.repo import Repo

SIDECAR_LINE = "*.regen.json filter=regen merge=regen diff=regen text eol=lf"
IN_PLACE_ATTRIBUTES = "filter=regen-inplace merge=regen diff=regen -text"
_WANTED = {"filter": "regen", "merge": "regen", "diff": "regen", "text": "set", "eol": "lf"}


class ForeignRule(namedtuple("_ForeignRule", ("pattern", "attribute", "value"))):
    """A line outside our block that says something else of sidecars. value: str, True, False or None (`!attr`)."""

    __slots__ = ()


# --- .gitattributes -------------------------------------------------------------------------------


def write_attributes(repo: Repo, in_place: Iterable[str] = ()) -> bool:
    """Put our lines into `.gitattributes`; False where they stand there already. in_place: patterns whose assets
    are themselves the document in git (the second layout)."""
    path = f"{repo.root}/.gitattributes"
    lines = [SIDECAR_LINE, *(f"{_quote_pattern(pattern)} {IN_PLACE_ATTRIBUTES}" for pattern in in_place)]
    return replace_file(path, put_block(read_file(path), lines))


def drop_attributes(repo: Repo) -> bool:
    path = f"{repo.root}/.gitattributes"
    return replace_file(path, drop_block(read_file(path)))


def in_place_patterns(repo: Repo) -> list[str]:
    """The patterns of the second layout, as `write_attributes` was given them."""
    lines = block_lines(read_file(f"{repo.root}/.gitattributes")) or []
    ending = " " + IN_PLACE_ATTRIBUTES
    return [_unquote_pattern(line.removesuffix(ending)) for line in lines if line.endswith(ending)]


def _quote_pattern(pattern: str) -> str:
    """A pattern as gitattributes takes it: in double quotes, C style, where a blank would end it."""
    if not any(char in pattern for char in ' \t"'):
        return pattern
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'


def _unquote_pattern(word: str) -> str:
    if not word.startswith('"'):
        return word
    return re.sub(r"\\(.)", lambda found: {"t": "\t"}.get(found[1], found[1]), word[1:-1])


def effective_attributes(repo: Repo, path: str) -> dict[str, str]:
    """What git takes for a path's filter, merge, diff, text and eol: a value, "set", "unset" or "unspecified"."""
    fields = repo.git.lines0("check-attr", "-z", *_WANTED, "--", path)
    words = [field.decode("utf-8", "surrogateescape") for field in fields]
    return dict(zip(words[1::3], words[2::3], strict=True))


def attribute_problems(repo: Repo, sidecar_path: str) -> dict[str, tuple[str, str]]:
    """{attribute: (wanted, what git takes)} where they differ for this sidecar; {} if all is well."""
    actual = effective_attributes(repo, sidecar_path)
    return {name: (value, actual[name]) for name, value in _WANTED.items() if actual[name] != value}


def foreign_rules(text: bytes, sidecar_path: str = "x.regen.json") -> list[ForeignRule]:
    """Lines outside our block that set an attribute of this sidecar otherwise, in the file's order."""
    rules = []
    for raw_pattern, attributes in _parse_attributes(drop_block(text) or b""):
        if not Pattern(raw_pattern).match(sidecar_path.encode("utf-8", "surrogateescape")):
            continue
        for name, value in attributes.items():
            found = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            wanted = _WANTED.get(name.decode("utf-8", "replace"))
            if wanted is not None and found != (True if wanted == "set" else wanted):
                rules.append(ForeignRule(raw_pattern.decode("utf-8", "replace"), name.decode(), found))
    return rules


def _parse_attributes(text: bytes) -> list[tuple[bytes, dict]]:
    try:
        return list(parse_git_attributes(io.BytesIO(text.replace(b"\r\n", b"\n"))))
    except ValueError as error:
        raise InvalidError(f".gitattributes: {error}") from error
