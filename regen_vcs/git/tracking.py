"""What is media here: patterns in our managed block of the root `.gitignore`, for everybody who clones."""

from __future__ import annotations

import re
from collections.abc import Iterable

from regen_vcs.errors import UsageError
from regen_vcs.git.managed_block import block_lines, drop_block, put_block, read_file, replace_file
from regen_vcs.git.repo import Repo

_SIDECARS_STAY = "!*.regen.json"


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
