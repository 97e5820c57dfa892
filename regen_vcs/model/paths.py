"""Names and paths of assets, sidecars, inputs and frames: which are refused, and how one follows from another.

All paths are POSIX `str`. Asset, sidecar and input paths are relative to the repository's root; an input's
*value* is what a sidecar says: relative to the sidecar's folder, or `@root/…`. Pure: what needs a look at
the disk or the index (symlinks, tracked paths, assets inside assets) is checked where those are known.
"""

from __future__ import annotations

import re
import unicodedata
from collections import namedtuple
from collections.abc import Iterable, Mapping

from regen_vcs.errors import InvalidError

SIDECAR_SUFFIX = ".regen.json"
MAX_NAME_BYTES = 255  # of one component, on every file system in use

# What nothing of ours may be written to: git's own, and what says which programs run.
_PROTECTED = {
    ".git": "is git's own folder",
    ".gitattributes": "is git's own file",
    ".gitignore": "is git's own file",
    ".gitmodules": "is git's own file",
    "regen.toml": "is this repository's configuration",
}
# Code points that HFS+ ignores when it compares names.
_HFS_IGNORED = dict.fromkeys((*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))

# The 8.3 names NTFS gives the protected ones: six letters and `~1`, or after several of those two letters,
# four digits of a hash, and `~1`. (The hashes of .gitattributes, .gitignore and .gitmodules are fixed.)
_SHORT_DOTGIT = re.compile(r"git~[0-9]+")
_SHORT_HASHED = "|".join(short[:length] for short in ("gi7d29", "gi250a", "gi7eba") for length in range(2, 7))
_SHORT_GIT_FILE = re.compile(rf"(?:gitatt|gitign|gitmod)~[0-9]+|(?=.{{8}}\Z)(?:{_SHORT_HASHED})~[1-9][0-9]*")
_SHORT_REGEN = re.compile(r".*~[0-9]+\.(?:tom|jso)", re.DOTALL)

# Names that need no closer look: plain letters, none that begins a protected name.
_PLAIN_INPUT = re.compile(r"(?:\.\./)*(?:[A-Za-z0-9_-][A-Za-z0-9_. -]*/)*[A-Za-z0-9_-][A-Za-z0-9_. -]*")
_PLAIN_ASSET = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_. -]*/)*[A-Za-z0-9_-][A-Za-z0-9_. -]*")
_PLAIN_ASSET_LENGTH = 200  # so that no name in it can be too long
_ROOT_INPUT = re.compile(r"@[A-Za-z0-9_][A-Za-z0-9_.-]*/(.+)", re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:")
# Two or more: one `#` is an odd name ("take #1.wav", "C#.flac"), not a numbered sequence.
_NUMBER_SIGNS = re.compile(r"##+")
_FRAME_RANGE = re.compile(r"(0|[1-9][0-9]{0,9})(?:-([1-9][0-9]{0,9}))?")

_WINDOWS_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
_WINDOWS_REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def _shown(text: str) -> str:
    """A name as errors show it: quoted, on one line, not too long."""
    shown = repr(text)
    return shown if len(shown) <= 200 else f"{shown[:120]}…{shown[-40:]}"


# ---------------------------------------------------------------- asset and sidecar


def asset_of(sidecar_path: str) -> str:
    """The asset a sidecar stands for. InvalidError if the path is no sidecar's, or names no asset."""
    asset_path = sidecar_path.removesuffix(SIDECAR_SUFFIX)
    if asset_path == sidecar_path:
        raise InvalidError(f"{_shown(sidecar_path)}: not a sidecar, whose name ends in {SIDECAR_SUFFIX}")
    if not asset_path or asset_path.endswith("/"):
        raise InvalidError(f"{_shown(sidecar_path)}: names no asset before {SIDECAR_SUFFIX}")
    return asset_path


def sidecar_of(asset_path: str) -> str:
    return asset_path + SIDECAR_SUFFIX


def fold(path: str) -> str:
    """What a case-insensitive, normalising file system makes of a path: equal folds collide there."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


# ---------------------------------------------------------------- refused names


def check_asset_path(path: str) -> None:
    """InvalidError if no asset may have this path (relative to the root)."""
    if len(path) <= _PLAIN_ASSET_LENGTH and _PLAIN_ASSET.fullmatch(path) and "regen." not in path.lower():
        return  # nearly all: none of the names below looks like that
    _check_path(path)
    name = path.rsplit("/", 1)[-1]
    if len(name.encode()) + len(SIDECAR_SUFFIX) > MAX_NAME_BYTES:
        raise InvalidError(
            f"{_shown(path)}: name leaves no room for {SIDECAR_SUFFIX} in {MAX_NAME_BYTES} bytes"
        )


def check_member_name(name: str) -> None:
    """InvalidError if no file in a directory asset or sequence may have this name (relative to the asset)."""
    _check_path(name)


def _check_path(path: str) -> None:
    if not path:
        raise InvalidError("'': a path must not be empty")
    if path.startswith("/"):
        raise InvalidError(f"{_shown(path)}: must be relative to the repository, not absolute")
    for name in path.split("/"):
        problem = _name_problem(name) or _protected_problem(name)
        if problem:
            raise InvalidError(
                f"{_shown(path)}: {_shown(name)} {problem}" if name != path else f"{_shown(path)} {problem}"
            )


def _name_problem(name: str) -> str | None:
    """What keeps `name` from being a file's name anywhere, or None."""
    if name in ("", ".", ".."):
        return "is not a name"
    if _DRIVE.fullmatch(name):
        return "is a drive"
    if "\\" in name:
        return "has a backslash"
    if "\0" in name:
        return "has a NUL"
    try:
        size = len(name) if name.isascii() else len(name.encode())
    except UnicodeEncodeError:
        return "is not Unicode"
    return f"is over {MAX_NAME_BYTES} bytes" if size > MAX_NAME_BYTES else None


def _protected_problem(name: str) -> str | None:
    """What makes `name`, on some file system, one that nothing may be written to; or None."""
    seen = _seen_as(name)
    if seen in _PROTECTED:
        return _PROTECTED[seen]
    if seen.endswith(SIDECAR_SUFFIX):
        return "is a sidecar's name"
    if "~" not in seen:
        return None
    if _is_short_dotgit(seen):
        return _PROTECTED[".git"]
    if _SHORT_GIT_FILE.fullmatch(seen):
        return _PROTECTED[".gitattributes"]
    return "may be a short name of a protected file" if _SHORT_REGEN.fullmatch(seen) else None


def _seen_as(name: str) -> str:
    """The name as the laxest file systems take it: no case, no ignorables, no stream, no trailing dots."""
    folded = name.lower() if name.isascii() else name.translate(_HFS_IGNORED).casefold()
    return folded.split(":", 1)[0].rstrip(" .")


def _is_short_dotgit(seen: str) -> bool:
    return _SHORT_DOTGIT.fullmatch(seen) is not None


def _is_dotgit(name: str) -> bool:
    seen = _seen_as(name)
    return seen == ".git" or _is_short_dotgit(seen)


def windows_problem(name: str) -> str | None:
    """Why Windows cannot have a file of this name (one component), or None."""
    refused = _WINDOWS_REFUSED.search(name)
    if refused:
        return f"has {refused.group()!r}"
    if name[-1:] in (" ", "."):
        return "ends in a dot or a space"
    if _WINDOWS_DEVICES.fullmatch(name.split(".", 1)[0].rstrip(" ")):
        return "is a device's name"
    return None


# ---------------------------------------------------------------- inputs


def check_input(value: str) -> None:
    """InvalidError if `value` is not how a sidecar spells an input.

    `a/b.png` and `../a/b.png` (relative to the sidecar, `..` only in front), `@root/a/b.png` (a named
    root), and `./@a/b.png` where a folder's own name begins with `@`.
    """
    if len(value) <= MAX_NAME_BYTES and _PLAIN_INPUT.fullmatch(value):
        return
    problem = _input_problem(value)
    if problem:
        raise InvalidError(f"{_shown(value)}: {problem}")


def _input_problem(value: str) -> str | None:
    if not value:
        return "a path must not be empty"
    if value.startswith("/"):
        return "must be relative to the sidecar, not absolute"
    if value.startswith("@"):
        named = _ROOT_INPUT.fullmatch(value)
        return _parts_problem(named.group(1).split("/")) if named else "is not @root/path"
    if value.startswith("./") and not value.startswith("./@"):
        return f"must be spelt {value[2:]!r}, without './'"
    parts = value.removeprefix("./").split("/")
    while len(parts) > 1 and parts[0] == "..":
        del parts[0]
    return _parts_problem(parts)


def _parts_problem(parts: list[str]) -> str | None:
    for name in parts:
        problem = _name_problem(name)
        if not problem and _is_dotgit(name):
            problem = _PROTECTED[".git"]
        if problem:
            return f"{_shown(name)} {problem}"
    return None


def resolve_input(sidecar_path: str, value: str) -> str:
    """The path, from the repository's root, of the input that a sidecar spells `value`; `@root/…` as is.

    InvalidError if it is not well spelt or leaves the repository.
    """
    check_input(value)
    if value.startswith("@"):
        return value
    folders = sidecar_path.split("/")[:-1]
    parts = value.removeprefix("./").split("/")
    while parts[0] == "..":
        if not folders:
            raise InvalidError(f"{_shown(value)}: leaves the repository")
        del parts[0], folders[-1]
    path = "/".join(folders + parts)
    _check_not_root(path)
    return path


def relative_input(sidecar_path: str, target: str) -> str:
    """How the sidecar spells the input `target`, a path from the repository's root, or `@root/…` as is.

    InvalidError for what no input may be.
    """
    if target.startswith("@"):
        check_input(target)
        return target
    parts = target.split("/")
    problem = _parts_problem(parts)
    if problem:
        raise InvalidError(f"{_shown(target)}: {problem}")
    return _relative(sidecar_path.split("/")[:-1], parts)


def moved_inputs(inputs: Mapping[str, str], source: str, target: str) -> dict[str, str]:
    """The inputs that the document `source` spells, as the document `target` spells them. InvalidError for what no input may be."""
    return {
        name: value if value.startswith("@") else relative_input(target, resolve_input(source, value)) for name, value in inputs.items()
    }


def _relative(folders: list[str], parts: list[str]) -> str:
    shared = 0
    while shared < min(len(folders), len(parts) - 1) and folders[shared] == parts[shared]:
        shared += 1
    value = "/".join([".."] * (len(folders) - shared) + parts[shared:])
    return "./" + value if value.startswith("@") else value


def _check_not_root(path: str) -> None:
    # `@plates/x` from the root is the named root; a folder of that name could not be told from it.
    if path.startswith("@"):
        raise InvalidError(
            f"{_shown(path)}: a name that begins with @ at the repository's root cannot be an input"
        )


# ---------------------------------------------------------------- numbered sequences


class Sequence(namedtuple("_Sequence", ("directory", "prefix", "digits", "suffix"))):
    """`shots/sky.####.exr`: directory "shots", prefix "sky.", digits 4, suffix ".exr"."""

    __slots__ = ()


def parse_sequence(asset_path: str) -> Sequence | None:
    """The numbered sequence an asset path names: exactly one run of two or more `#` in its name; else None."""
    if "##" not in asset_path:
        return None
    directory, _, name = asset_path.rpartition("/")
    runs = _NUMBER_SIGNS.findall(name)
    if len(runs) != 1:
        return None
    prefix, _, suffix = name.partition(runs[0])
    return Sequence(directory, prefix, len(runs[0]), suffix)


def frame_of(sequence: Sequence, name: str) -> int | None:
    """The number of the frame that a file of this name (in the sequence's folder) is; None for another file.

    Padding is at least the number of `#`: frame 10000 of a four-digit sequence has five digits.
    """
    if not (name.startswith(sequence.prefix) and name.endswith(sequence.suffix)):
        return None
    digits = name[len(sequence.prefix) : len(name) - len(sequence.suffix)]
    if not (digits.isascii() and digits.isdigit()):
        return None
    padded = len(digits) == sequence.digits or (len(digits) > sequence.digits and digits[0] != "0")
    return int(digits) if padded else None


def frame_path(sequence: Sequence, number: int) -> str:
    """The path of one frame; a number with more digits than the padding is written in full."""
    if number < 0:
        raise InvalidError(f"frame {number}: frames are numbered from 0")
    name = f"{sequence.prefix}{number:0{sequence.digits}d}{sequence.suffix}"
    return f"{sequence.directory}/{name}" if sequence.directory else name


def parse_frames(text: str) -> tuple[tuple[int, int], ...]:
    """The ranges, both ends included, of `1-24,30,40-48`: ascending, apart, in one spelling; InvalidError."""
    ranges: list[tuple[int, int]] = []
    for part in text.split(","):
        match = _FRAME_RANGE.fullmatch(part)
        if not match:
            raise InvalidError(f"{_shown(text)}: frames are written like 1-24,30,40-48")
        first = int(match.group(1))
        last = int(match.group(2) or first)
        if (match.group(2) and last <= first) or (ranges and first <= ranges[-1][1] + 1):
            raise InvalidError(f"{_shown(text)}: frame ranges must rise and stand apart")
        ranges.append((first, last))
    return tuple(ranges)


def frames_text(numbers: Iterable[int]) -> str:
    """The one spelling of a set of frame numbers: [1, 2, 3, 7] → `1-3,7`."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in ranges)
