"""Which assets git must not see: patterns for them, and the block they stand in, in `.git/info/exclude`.

On the way of every sync, so it is light and writes only what changed. The worktrees of a repository share the
one file; each has a block of its own in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from regen_vcs.git.managed_block import drop_block, labels_in, put_block, read_file, replace_file
from regen_vcs.git.repo import Repo
from regen_vcs.model.paths import Sequence, parse_sequence
from regen_vcs.platform.files import FileLock

# A line break cannot stand in a line: the narrowest class that holds it can (from TAB to VT).
_SPECIAL = str.maketrans({char: "\\" + char for char in "\\*?["} | {"\n": "[\t-\v]"})
# Frames with more digits than the padding: Blender's last frame has seven.
_MOST_DIGITS = 7


def ignore_patterns(paths: Iterable[str], *, exists: Callable[[str], Iterable[str]]) -> list[str]:
    """As few gitignore patterns as are safe that ignore these assets, sorted.

    paths: asset paths; one that ends in `/` is a directory asset, `sky.####.exr` a sequence. exists: names of
    what lies in a folder ("" is the root), asked only for folders where a pattern could stand for several.
    `/shots/010/*.png` is safe where every `.png` there is one of `paths`; else each asset has its own line.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    lines = []
    for path in dict.fromkeys(paths):
        folder, _, name = path.rstrip("/").rpartition("/")
        if path.endswith("/"):
            lines.append(_line(folder, _escape(name, last=False) + "/"))
        elif sequence := parse_sequence(path):
            lines += [_line(folder, pattern) for pattern in _frames(sequence)]
        else:
            groups.setdefault((folder, _suffix(name)), []).append(name)
    for (folder, suffix), names in groups.items():
        if len(names) > 1 and suffix and _all_ours(suffix, names, exists(folder)):
            lines.append(_line(folder, "*" + _escape(suffix)))
        else:
            lines += [_line(folder, _escape(name)) for name in names]
    return sorted(lines)


def _suffix(name: str) -> str:
    """`.png`; "" where a pattern by suffix is out of the question: no suffix, or sidecars have it too."""
    suffix = os.path.splitext(name)[1]
    return "" if suffix.lower() == ".json" else suffix


def _all_ours(suffix: str, names: list[str], present: Iterable[str]) -> bool:
    """Whether every file of this suffix is an asset. Case counts for nothing: git may ignore it too."""
    ours, suffix = set(names), suffix.lower()
    return all(name in ours for name in present if name.lower().endswith(suffix))


def _frames(sequence: Sequence) -> list[str]:
    """`sky.####.exr` → `sky.[0-9][0-9][0-9][0-9].exr`, and the same for numbers that outgrow the padding."""
    prefix, suffix = _escape(sequence.prefix, last=False), _escape(sequence.suffix)
    longer = ["[1-9]" + "[0-9]" * count for count in range(sequence.digits, _MOST_DIGITS)]
    return [prefix + digits + suffix for digits in ("[0-9]" * sequence.digits, *longer)]


def _line(folder: str, pattern: str) -> str:
    """Anchored at the root, so a leading `!` or `#` of a name is never first in its line."""
    return f"/{_escape(folder, last=False)}/{pattern}" if folder else f"/{pattern}"


def _escape(name: str, *, last: bool = True) -> str:
    """`name` taken literally by gitignore; `last`: it ends the line."""
    escaped = name.translate(_SPECIAL)
    if not last:
        return escaped
    if escaped.endswith("\r"):
        return escaped[:-1] + "[\r]"  # git takes it for part of the line's end
    bare = escaped.rstrip(" ")  # git strips what it takes for stray blanks at the end
    return bare + "\\ " * (len(escaped) - len(bare))


def write_exclude(repo: Repo, patterns: Iterable[str]) -> bool:
    """Make `patterns` what this worktree's block in `info/exclude` says; False where it said so already.

    Blocks of worktrees that are gone are taken out on the way.
    """
    label = _label(repo)
    patterns = list(patterns)
    with _exclude_lock(repo):
        path = os.path.realpath(repo.exclude_path)
        before = read_file(path)
        text = put_block(before, patterns, label)
        for other in labels_in(text):
            if other and other != label and not os.path.isdir(f"{repo.common_dir}/worktrees/{other}"):
                text = drop_block(text, other)
        return text != before and replace_file(path, text)


def drop_exclude(repo: Repo) -> bool:
    """Take every block of ours out of `info/exclude`: the file as it was before we came."""
    with _exclude_lock(repo):
        path = os.path.realpath(repo.exclude_path)
        text = before = read_file(path)
        for label in reversed(labels_in(text)):
            text = drop_block(text, label)
        return text != before and replace_file(path, text)


def _label(repo: Repo) -> str:
    return os.path.basename(repo.git_dir) if repo.is_linked else ""


def _exclude_lock(repo: Repo) -> FileLock:
    os.makedirs(repo.shared_dir, exist_ok=True)
    return FileLock(f"{repo.shared_dir}/exclude.lock")
