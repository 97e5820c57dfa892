"""What a .blend uses, as a selector of the working set: asked of Blender, else of the recipes that are made from it."""

from __future__ import annotations

import os
from collections import namedtuple

from regen_vcs.engine.discovery import asset_for
from regen_vcs.engine.in_place_snapshot import look_at_both
from regen_vcs.engine.snapshot import Snapshot
from regen_vcs.engine.trust import TrustItem, open_store, store_path
from regen_vcs.engine.workset import Selector
from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import InvalidError, NotTrusted, RegenError, UsageError
from regen_vcs.generators import registry
from regen_vcs.stores.digest import hash_file

BLENDER = "blender"

# files: how many files of the .blend are no assets of this repository (git's own, or elsewhere). asked: "Blender" or "recipes".
Used = namedtuple("Used", ("selector", "files", "asked"))


def uses_selector(ws: Workspace, blend: str, *, trust: bool = False) -> Used:
    """The assets that a .blend of this repository uses, and itself where it is one; whether or not they are on disk.

    blend: its path from the root. Blender opens it with scripts off, if its bytes are trusted; trust: they are from now on.
    Where no Blender is installed, what the recipes that are made from it name. NotTrusted, UsageError, RegenError.
    """
    snapshot = look_at_both(ws)
    try:
        digest = hash_file(f"{ws.root}/{blend}")[0] if _is_inside(ws, blend) else None
    except (OSError, InvalidError):
        digest = None
    if digest is None and blend in snapshot.assets:
        raise RegenError(f"{blend}: is not on disk, so nobody can look into it", f"regen-vcs fetch {blend}")
    if digest is None:
        raise UsageError(f"{blend}: no such file in this repository", "name a .blend, relative to the folder you are in")
    try:
        _require_trust(ws, blend, digest, trust)
        targets, asked, of = _ask_blender(ws, blend), "Blender", digest
    except _NoBlender as error:
        targets, asked, of = _recorded(snapshot, blend, error), "recipes", None
    found = {asset_for(snapshot, target) for target in targets} | {blend}
    assets = sorted(found & snapshot.assets.keys())
    return Used(Selector(True, "uses", (blend,), tuple(assets), of), len(found - {blend}) - len(set(assets) - {blend}), asked)


def is_out_of_date(ws: Workspace, selector: Selector) -> bool:
    """Whether the .blend has other bytes than when it was looked into."""
    try:
        return selector.of is not None and hash_file(f"{ws.root}/{selector.values[0]}")[0] != selector.of
    except (OSError, InvalidError):
        return False  # not there: what it used then still counts


class _NoBlender(RegenError):
    """There is nothing here to ask."""


def _is_inside(ws: Workspace, path: str) -> bool:
    return os.path.realpath(f"{ws.root}/{path}") == os.path.join(os.path.realpath(ws.root), *path.split("/"))


def _require_trust(ws: Workspace, blend: str, digest: str, trust: bool) -> None:
    """As for a render of it: a .blend is a program's input that can itself be instructions."""
    if not registry.is_installed(BLENDER) or not _has_program():
        raise _NoBlender(f"{blend}: no Blender is installed here to look into it")
    item = TrustItem("input", blend, digest)
    store = open_store(store_path(ws.environ, ws.uuid))
    if store.untrusted([item]):
        if not trust:
            hint = f"if it is yours: regen-vcs workset add --uses {blend} --yes"
            raise NotTrusted(f"{blend}: not trusted, so Blender does not open it here", hint)
        store.add([item])


def _has_program() -> bool:
    from regen_vcs.generators.blender.process import find_program

    try:
        return bool(find_program(BLENDER))
    except RegenError:
        return False


def _ask_blender(ws: Workspace, blend: str) -> list[str]:
    try:
        return registry.load(BLENDER, None).used_files(f"{ws.root}/{blend}", ws.root, ws.settings.roots())
    except RegenError as error:
        raise RegenError(f"{blend}: {error.what}", error.hint) from None


def _recorded(snapshot: Snapshot, blend: str, error: RegenError) -> list[str]:
    """What the recipes that have it among their inputs are made from besides."""
    found: list[str] | None = None
    for desired in snapshot.assets.values():
        try:
            targets = list(snapshot.inputs.targets(desired).values()) if desired.facts.inputs else []
        except InvalidError:
            continue
        if blend in targets:
            found = (found or []) + targets
    if found is None:
        raise RegenError(error.what + ", and no recipe is made from it", "install Blender, or name what it uses: regen-vcs workset add PATH…")
    return found
