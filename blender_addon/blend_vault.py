"""What is written into the .blend on save, and what it says on load: the vault in two places, and the list of assets.

An export takes regen-vcs a moment, so the last one is kept and made anew by a job whenever recipes have changed: saving waits at
most PATIENCE in Blender's window. What cannot be made anew (no regen-vcs here, no project) stays in the file as it was.
"""

import os

import bpy

from . import blend_uses, references, remembered
from .prefs import preferences
from .sidecars import sidecar_path
from .vault import MAX_BYTES, Chosen, VaultDamaged, choose, encode

TEXT_NAME = "regen-vcs vault"
PATIENCE = 0.2
HEADLESS_PATIENCE = 60
# Of what regen-vcs puts into an export.
EXPORT_LIMIT = "1MiB"
# Characters of paths on a command line; Windows has little more.
_MAX_WORDS = 20_000



class _Kept:
    """The export of the last answer, and of what it is one."""

    def __init__(self):
        self.export = b""
        self.sign = None


_kept = _Kept()


def forget():
    """Of another project."""
    _kept.__init__()


def used_assets(session):
    """The assets that this .blend uses, sorted."""
    return references.assets_used(findings(session))


def findings(session):
    """references.Finding of everything this .blend uses."""
    if not session.root:
        return []
    catalogue = references.Catalogue(references.Asset(row.path, row.output) for row in session.rows)
    hashes = {each.path: each.hash for each in session.remembered if each.hash}
    return references.match_uses(blend_uses.uses(hashes), catalogue, root=session.root, exists=os.path.exists)


def scope(session):
    """The assets whose recipes belong into the .blend, with what they are made from; None: all of the project."""
    if preferences().vault == "ALL":
        return None
    wanted, found = used_assets(session), set()
    while wanted:
        path = wanted.pop()
        if path not in found and path in session.by_path:
            found.add(path)
            wanted += [source for _role, source in session.by_path[path].inputs]
    return sorted(found)


def _sign(session, paths):
    """Changes whenever a recipe of these does: asks each sidecar for its stat, and nothing else."""
    chosen = [row.path for row in session.rows] if paths is None else paths
    files = [os.path.join(session.root, "regen.toml"), *(sidecar_path(session.absolute(path)) for path in chosen)]
    return (paths is None, tuple((path, *_stat(path)) for path in files))


def _stat(path):
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def refresh(session):
    """Have the export made anew if recipes have changed since. Whether it is up to date already."""
    if preferences().vault == "OFF" or not session.looked or not session.usable:
        return True
    paths = scope(session)
    sign = _sign(session, paths)
    if sign == _kept.sign:
        return True
    if paths == []:
        _kept.export, _kept.sign = b"", sign
        return True

    def take(text):
        # Bytes came through a text: what is no UTF-8 stood in surrogates.
        _kept.export, _kept.sign = text.encode("utf-8", "surrogateescape"), sign

    many = paths is None or sum(map(len, paths)) > _MAX_WORDS
    words = ["export", "--with-inputs", "--max-bytes", EXPORT_LIMIT, "--", "-", *([] if many else paths)]
    session.command("export", *words, on_done=take, on_error=lambda error: _export_failed(session, error, sign))
    return False


def _export_failed(session, error, sign):
    if error.kind != "cancelled":
        _kept.sign = sign
        session.note("WARNING", "The recipes in this .blend are not up to date", error.what)


def write(session):
    """On save: vault and list into the .blend. Never takes anything away for want of something newer."""
    scene = bpy.data.scenes[0]
    if preferences().vault == "OFF":
        _clear()
    elif session.looked and session.usable:
        up_to_date = refresh(session)
        if not up_to_date:
            session.jobs.wait(HEADLESS_PATIENCE if bpy.app.background else PATIENCE)
        if _kept.export and len(_kept.export) <= MAX_BYTES:
            _put(scene, encode(_kept.export))
    if session.looked:
        known = [remembered.Remembered(row.path, row.output, row.state) for row in _relevant(session)]
        scene.regen.assets = remembered.pack(known)
        session.remembered = known


def _relevant(session):
    paths = scope(session)
    return session.rows if paths is None else [session.by_path[path] for path in paths]


def _put(scene, text):
    for each in bpy.data.scenes:
        if each != scene and each.regen.vault and not each.library:
            each.regen.vault = ""
    if scene.regen.vault != text:
        scene.regen.vault = text
    block = bpy.data.texts.get(TEXT_NAME)
    if block is None:
        block = bpy.data.texts.new(TEXT_NAME)
    if block.as_string() != text:
        block.from_string(text)
        block.use_fake_user = True


def _clear():
    for scene in bpy.data.scenes:
        if not scene.library and scene.regen.vault:
            scene.regen.vault = ""
    block = bpy.data.texts.get(TEXT_NAME)
    if block is not None:
        bpy.data.texts.remove(block)


def copies():
    """The texts of every copy in this .blend."""
    texts = [scene.regen.vault for scene in bpy.data.scenes if scene.regen.vault]
    block = bpy.data.texts.get(TEXT_NAME)
    return [*texts, *([block.as_string()] if block else [])]


def read() -> Chosen:
    """The export in this .blend. VaultDamaged if there is none, or no copy is sound."""
    return choose(*copies())


def read_or_none():
    try:
        return read()
    except VaultDamaged:
        return None


def remembered_assets():
    """What this .blend remembers of its assets."""
    packed = next((scene.regen.assets for scene in bpy.data.scenes if scene.regen.assets), "")
    return remembered.unpack(packed)
