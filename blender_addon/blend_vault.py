"""What is written into the .blend on save, and what it says on load: the vault in two places, and the list of assets.

An export takes regen-vcs a moment, so the last one is kept and made anew by a job whenever recipes have changed: saving waits at
most PATIENCE in Blender's window. What cannot be made anew (no regen-vcs here, no project) stays in the file as it was.
"""

import hashlib
import os
import shutil
import tempfile

import bpy

from . import blend_uses, references, remembered
from .prefs import preferences
from .sidecars import sidecar_path
from .vault import MAX_BYTES, Chosen, VaultDamaged, choose, encode
from .vault_recipes import recipes_in

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
        self._read = ("", frozenset())

    def carried(self):
        """The assets whose recipes the .blend carries now."""
        chosen = read_or_none()
        name = hashlib.sha256(chosen.export).hexdigest() if chosen else ""
        if self._read[0] != name:
            self._read = (name, frozenset(recipes_in(chosen.export)) if chosen else frozenset())
        return self._read[1]


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


def gone(session):
    """Assets that this .blend uses, whose recipes it carries, and which the project has no recipe for any more."""
    lost = {row.path for row in session.rows if row.state == "orphan"}
    places = (references.repository_path(references.absolute_of(use.path, use.folder), session.root) for use in blend_uses.uses())
    wanted = {path for path in places if path and (path in lost or path not in session.by_path)}
    carried = _kept.carried() if wanted else frozenset()
    # A frame or a tile is a part of what bears the name.
    catalogue = references.Catalogue(references.Asset(path) for path in carried)
    return sorted({found for path in wanted if (found := catalogue.at(path)) and (found in lost or found not in session.by_path)})


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
    lost = gone(session)
    paths = scope(session)
    if paths is not None and lost:
        paths = sorted({*paths, *lost})
    sign = (_sign(session, paths), tuple(lost))
    if sign == _kept.sign:
        return True
    if paths == []:
        _kept.export, _kept.sign = b"", sign
        return True

    def take(text):
        # Bytes came through a text: what is no UTF-8 stood in surrogates.
        _kept.export, _kept.sign = text.encode("utf-8", "surrogateescape"), sign

    many = paths is None or sum(map(len, paths)) > _MAX_WORDS
    folder = _put_by(read_or_none()) if lost else None
    earlier = ["--earlier", os.path.join(folder, _EARLIER)] if folder else []
    words = ["export", "--with-inputs", "--max-bytes", EXPORT_LIMIT, *earlier, "--", "-", *([] if many else paths)]

    def tidy(then, value):
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        then(value)

    session.questions.ask_text("export", *words, on_done=lambda text: tidy(take, text), on_error=lambda error: tidy(lambda error: _export_failed(session, error, sign), error))
    return False


_EARLIER = "earlier.regen-export"


def _put_by(chosen):
    """The export that the .blend carries, as a file in a folder of its own; None where there is none."""
    if chosen is None:
        return None
    folder = tempfile.mkdtemp(prefix="regen-vault-")
    with open(os.path.join(folder, _EARLIER), "wb") as out:
        out.write(chosen.export)
    return folder


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
        # What is gone stays remembered, so that the next one to open this file is told.
        have = {each.path for each in known}
        lost = gone(session) if session.usable else ()
        known += [each for each in session.remembered if each.path in lost and each.path not in have]
        scene.regen.assets = remembered.pack(known)
        session.remembered = known


def _relevant(session):
    paths = scope(session)
    return session.rows if paths is None else [session.by_path[path] for path in paths]


# For bytes that are no text: no vault begins so, and whoever reads it finds it damaged.
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


def _text_in(scene, name):
    """A property of ours. Blender fails on bytes that are no UTF-8, which a damaged file may have."""
    try:
        return getattr(scene.regen, name)
    except UnicodeDecodeError:
        return _UNREADABLE


def _text_of(block):
    try:
        return block.as_string()
    except UnicodeDecodeError:
        return _UNREADABLE


def _put(scene, text):
    for each in bpy.data.scenes:
        if each != scene and not each.library and _text_in(each, "vault"):
            each.regen.vault = ""
    if _text_in(scene, "vault") != text:
        scene.regen.vault = text
    block = bpy.data.texts.get(TEXT_NAME)
    if block is None:
        block = bpy.data.texts.new(TEXT_NAME)
    if _text_of(block) != text:
        block.from_string(text)
        block.use_fake_user = True


def _clear():
    for scene in bpy.data.scenes:
        if not scene.library and _text_in(scene, "vault"):
            scene.regen.vault = ""
    block = bpy.data.texts.get(TEXT_NAME)
    if block is not None:
        bpy.data.texts.remove(block)


def copies():
    """The texts of every copy in this .blend."""
    block = bpy.data.texts.get(TEXT_NAME)
    return [*filter(None, (_text_in(scene, "vault") for scene in bpy.data.scenes)), *([_text_of(block)] if block else [])]


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
    packed = next(filter(None, (_text_in(scene, "assets") for scene in bpy.data.scenes)), "")
    return remembered.unpack(packed)
