"""`.gitattributes` and `.gitignore` of the worktree's root: our managed blocks in them, and what others say there."""

from __future__ import annotations

import io
import re
from collections import namedtuple
from collections.abc import Iterable

from dulwich.attrs import Pattern, parse_git_attributes

from regen_vcs.errors import InvalidError, UsageError
from regen_vcs.git.managed_block import block_lines, drop_block, put_block, read_file, replace_file
from regen_vcs.git.repo import Repo

SIDECAR_LINE = "*.regen.json filter=regen merge=regen diff=regen text eol=lf"
IN_PLACE_ATTRIBUTES = "filter=regen-inplace merge=regen diff=regen -text"
_SIDECARS_STAY = "!*.regen.json"
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


# --- .gitignore -----------------------------------------------------------------------------------


def track_lines(patterns: Iterable[str]) -> list[str]:
    """gitignore lines that ignore media of these patterns and no sidecar.

    `media/**` needs `!media/**/` too: without it the folders below are ignored, and every sidecar in them.
    """
    lines: list[str] = []
    for pattern in patterns:
        lines.append(pattern)
        if pattern.endswith("/**"):
            lines.append(f"!{pattern}/")
    return [*lines, _SIDECARS_STAY] if lines else []


def tracked_patterns(repo: Repo) -> list[str]:
    """The patterns given to `track_pattern`, in order."""
    lines = block_lines(read_file(f"{repo.root}/.gitignore")) or []
    return [line for line in lines if not line.startswith("!")]


def track_pattern(repo: Repo, pattern: str) -> bool:
    """Have git ignore media of this pattern, for everybody who clones; False where it does already.

    Checked with `git check-ignore`: UsageError, and nothing changed, for a pattern that would also hide sidecars.
    """
    _check_pattern(pattern)
    known = tracked_patterns(repo)
    if pattern in known:
        return False
    path = f"{repo.root}/.gitignore"
    before = read_file(path)
    replace_file(path, put_block(before, track_lines([*known, pattern])))
    try:
        _check_effect(repo, pattern)
    except BaseException:
        replace_file(path, before)
        raise
    return True


def untrack_pattern(repo: Repo, pattern: str) -> bool:
    """The reverse of `track_pattern`; False for a pattern that is not there."""
    known = tracked_patterns(repo)
    if pattern not in known:
        return False
    path = f"{repo.root}/.gitignore"
    known.remove(pattern)
    return replace_file(path, put_block(read_file(path), track_lines(known)))


def drop_ignores(repo: Repo) -> bool:
    path = f"{repo.root}/.gitignore"
    return replace_file(path, drop_block(read_file(path)))


def media_files(repo: Repo) -> list[str]:
    """Untracked files that the tracked patterns ignore: media, with or without a sidecar. Paths from the root."""
    lines = track_lines(tracked_patterns(repo))
    if not lines:
        return []
    options = [f"--exclude={line}" for line in lines]
    names = repo.git.lines0("ls-files", "-z", "--others", "--ignored", *options)
    return [name.decode("utf-8", "surrogateescape") for name in names]


def _check_pattern(pattern: str) -> None:
    if not pattern.strip() or "\n" in pattern or pattern[0] in "!#" or pattern != pattern.strip():
        raise UsageError(f"{pattern!r} is not a pattern of media", "for example: regen-vcs track 'media/**'")


def _check_effect(repo: Repo, pattern: str) -> None:
    sample = _sample_of(pattern)
    sidecars = [f"{sample}.regen.json"]
    if not re.search(r"[*?.\[]", pattern.rstrip("/").rpartition("/")[2]):
        sidecars.append(f"{sample}/x.regen.json")  # `renders` is most likely a folder
    hidden = any(repo.git.ok("check-ignore", "--no-index", "-q", "--", path) for path in sidecars)
    if hidden or _hidden_sidecars(repo, pattern):
        is_plain = not re.search(r"[*?\[]", pattern)
        hint = f"regen-vcs track '{pattern.rstrip('/')}/**'" if is_plain else "name the files, or a folder as in 'media/**'"
        raise UsageError(f"{pattern!r} would make git ignore sidecars too", hint)
    if not repo.git.ok("check-ignore", "--no-index", "-q", "--", sample):
        raise UsageError(f"{pattern!r} ignores no media that git would see", "check the pattern with git check-ignore -v")


def _hidden_sidecars(repo: Repo, pattern: str) -> bool:
    """Whether a sidecar that is here now would be ignored."""
    options = [f"--exclude={line}" for line in track_lines([pattern])]
    return bool(repo.git.out("ls-files", "-z", "-c", "-o", "-i", *options, "--", "*.regen.json"))


def _sample_of(pattern: str) -> str:
    """A path that the pattern matches: `media/**` → `media/a/b`, `*.[pj]ng` → `x.png`."""
    sample = pattern.lstrip("/").replace("**", "a/b")
    sample = re.sub(r"\[([^!\]^\\])[^\]]*\]", r"\1", sample).replace("*", "x").replace("?", "x")
    sample = re.sub(r"\\(.)", r"\1", sample)
    return sample + "x" if sample.endswith("/") else sample
