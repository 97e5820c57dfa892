"""The names of everything in a remote, and back. The layout's MUST words are in docs/spec/remote-layout.md."""

from __future__ import annotations

import re
from collections.abc import Iterator

from regen_vcs.errors import InvalidError, NewerFormat
from regen_vcs.model.canonical import parse_json, pretty_bytes

FORMAT = 1
MARK = "regen-remote.json"
OBJECTS = "v1/objects/"
RESULTS = "v1/results/"
RECIPES = "v1/recipes/"

_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_FOLDER = re.compile(r"(?:objects|results|recipes|[0-9a-f]{2}|[0-9a-f]{64})\Z")
_OBJECT = re.compile(r"v1/objects/([0-9a-f]{2})/([0-9a-f]{62})\Z")
_RECORD = re.compile(r"v1/results/([0-9a-f]{2})/([0-9a-f]{64})/([0-9a-f]{64})/([0-9a-f]{64})\.json\Z")


def object_name(hash: str) -> str:
    return f"{OBJECTS}{_checked(hash)[:2]}/{hash[2:]}"


def record_name(key: str, output_hash: str, record: str) -> str:
    return f"{records_prefix(key)}{_checked(output_hash)}/{_checked(record)}.json"


def records_prefix(key: str) -> str:
    return f"{RESULTS}{_checked(key)[:2]}/{key}/"


def recipe_name(key: str) -> str:
    return f"{RECIPES}{_checked(key)[:2]}/{key}.json"


def parse_object_name(name: str) -> str | None:
    """The hash that an object's name spells; None for a name that is not an object's."""
    match = _OBJECT.match(name)
    return match[1] + match[2] if match else None


def parse_record_name(name: str, key: str) -> tuple[str, str] | None:
    """(output hash, record hash) of a record of that key; None for any other name."""
    match = _RECORD.match(name)
    return (match[3], match[4]) if match and match[2] == key and match[1] == key[:2] else None


def is_folder(name: str) -> bool:
    """Whether a folder of that name can be one of the layout's: nobody walks through others."""
    return _FOLDER.match(name) is not None


def mark_bytes() -> bytes:
    """The small file that says: this place is a remote, and which layout it has."""
    return pretty_bytes({"regen-remote": FORMAT})


def check_mark(data: bytes, where: str) -> None:
    """InvalidError for what is no mark; NewerFormat for one of a later layout."""
    try:
        mark = parse_json(data)
    except InvalidError:
        mark = None
    number = mark.get("regen-remote") if isinstance(mark, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise InvalidError(f"{where}: {MARK} is not a remote's mark", "choose another prefix, or remove that file if it is not needed")
    if number > FORMAT:
        raise NewerFormat(f"{where} was made by a newer regen-vcs (layout {number}, this one knows {FORMAT})", "upgrade regen-vcs")


def shards() -> Iterator[str]:
    """The 256 folders that objects can lie in, each with its final slash."""
    return (f"{OBJECTS}{number:02x}/" for number in range(256))


def _checked(hash: str) -> str:
    if not _HEX64.match(hash):
        raise InvalidError(f"{hash!r}: not a BLAKE3 hash of 64 hexadecimal digits")
    return hash
