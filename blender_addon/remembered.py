"""What a .blend remembers of its assets between two sessions: path, accepted hash and state of each, packed. Nothing here knows Blender."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .vault import VaultDamaged, decode, encode

MAX_ASSETS = 200_000


class Remembered(NamedTuple):
    """One asset as it was at the last save. hash: "blake3:…" or "" for one that was never made."""

    path: str
    hash: str
    state: str


def pack(assets: Iterable[Remembered]) -> str:
    """One piece of text, about 50 bytes an asset: hashes do not compress as hex, paths do."""
    ordered = sorted(asset for asset in assets if "\n" not in asset.path and "\t" not in asset.path)
    lines = "\n".join(f"{asset.path}\t{asset.state}" for asset in ordered)
    digests = b"".join(_digest(asset.hash) for asset in ordered)
    return encode(lines.encode("utf-8", "surrogateescape") + b"\0" + digests) if ordered else ""


def unpack(text: str) -> list[Remembered]:
    """[] for "" and for what is damaged: the project itself knows better."""
    if not text:
        return []
    try:
        lines, _, digests = decode(text).partition(b"\0")
        names = lines.decode("utf-8", "surrogateescape").split("\n")
    except (VaultDamaged, ValueError):
        return []
    if len(digests) != 32 * len(names) or len(names) > MAX_ASSETS:
        return []
    found = []
    for index, line in enumerate(names):
        path, _, state = line.partition("\t")
        if path.startswith(("/", "\\")) or ".." in path.split("/"):
            continue
        digest = digests[32 * index : 32 * index + 32]
        found.append(Remembered(path, f"blake3:{digest.hex()}" if any(digest) else "", state))
    return found


def _digest(hash_: str) -> bytes:
    try:
        digest = bytes.fromhex(hash_.rpartition(":")[2])
    except ValueError:
        digest = b""
    return digest if len(digest) == 32 else bytes(32)
