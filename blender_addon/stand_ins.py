"""While an asset is missing, what shows it shows a stand-in: a blurred picture with a note. Never in a saved file, never in the project.

The true path stays in a custom property of the datablock for as long as the stand-in does, so that even a file that Blender saved
by itself (auto-save, crash) gives it back when it is opened.
"""

import bpy
from bpy.app.handlers import persistent

from . import blend_uses, references, reloading, state
from .blend_uses import TRUTH
from .prefs import preferences

# {key of the holder: asset} of what shows a stand-in now; {asset: file of its stand-in}.
_shown: dict[tuple, str] = {}
_files: dict[str, str] = {}
# Assets that this .blend uses and that are not on disk, as of the last look.
_lacking: list[str] = []


def follow(session):
    """When the rows are new: true paths where assets have arrived, stand-ins where they are missing."""
    swapped = list(_swapped())
    # An undo takes a stand-in away, too, and then it has to be shown anew.
    for key in _shown.keys() - {key for key, _block in swapped}:
        del _shown[key]
    for key, block in swapped:
        row = session.by_path.get(_shown.get(key, ""))
        # One that nobody knows of came back with an undo.
        if row is None or row.on_disk:
            _shown.pop(key, None)
            blend_uses.put_truth(block)
            reloading.reload_block(key[0], block)
    _lacking[:] = sorted(set(missing_holders(session).values()))
    # Without a window nobody looks, and a render on a farm shall rather lack a picture than show a blurred one.
    if preferences().stand_ins and not bpy.app.background:
        ask(session)


def ask(session):
    """Show stand-ins for what is missing, as soon as regen-vcs has made them."""
    wanted = [asset for asset in _lacking if asset not in _files]
    if wanted and not session.questions.is_asking("stand-in"):
        session.questions.ask("stand-in", "stand-in", "--", *wanted[:200], on_done=lambda document: _take(session, document))
    elif not wanted:
        put_in(session)


def missing_holders(session):
    """{key of the holder: asset} of what leads to an asset that is not on disk."""
    if not session.root or not session.looked:
        return {}
    catalogue = references.Catalogue(references.Asset(row.path) for row in session.rows if not row.on_disk)
    found = {}
    for holder in blend_uses.holders():
        inside = references.repository_path(references.absolute_of(holder.path, holder.folder), session.root)
        asset = catalogue.at(inside) if inside else None
        if asset:
            found[holder.key] = asset
    return found


def _take(session, document):
    entries = document.get("stand_ins") if isinstance(document, dict) else None
    for entry in entries or ():
        if isinstance(entry, dict) and isinstance(entry.get("path"), str) and isinstance(entry.get("file"), str):
            _files[entry["path"]] = entry["file"]
    put_in(session)


def put_in(session):
    """Show a stand-in wherever one is there for a missing asset; how many are shown."""
    for key, asset in missing_holders(session).items():
        if asset in _files and key not in _shown and _swap(key, _files[asset]):
            _shown[key] = asset
    return len(_shown)


def _swap(key, file):
    block = blend_uses.block_of(key)
    # What somebody paints on is left alone.
    if block is None or (key[0] != "strip" and block.library) or getattr(block, "is_dirty", False) or getattr(block, "packed_file", None):
        return False
    # A copy of one that was swapped shows it already.
    if not blend_uses.truth_of(block):
        blend_uses.show(block, file)
    return True


def _swapped():
    """(key, datablock or strip) of all that was made to show a stand-in."""
    for holder in blend_uses.holders():
        block = blend_uses.block_of(holder.key)
        if block is not None and TRUTH in block:
            yield holder.key, block


def take_out():
    """The true paths, before a file is saved."""
    for _key, block in list(_swapped()):
        blend_uses.put_truth(block)
    _shown.clear()


def put_back_leftovers():
    """When a file is opened: it may have been written while stand-ins were shown."""
    take_out()
    _files.clear()
    _lacking.clear()


@persistent
def _on_undo(*_args):
    """Undo and redo bring back what was shown then: for an asset that is there by now, or none for one that is missing."""
    session = state.get()
    if session.looked:
        follow(session)


@persistent
def _on_render(*_args):
    """A final render with assets missing says so. It may run beside the main thread, so nothing of Blender is touched."""
    if _lacking:
        state.get().note("WARNING", f"This render lacks {len(_lacking)} asset{'s' if len(_lacking) > 1 else ''}", ", ".join(_lacking[:3]))


_HANDLERS = (("render_init", _on_render), ("undo_post", _on_undo), ("redo_post", _on_undo))


def register():
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)


def unregister():
    for name, handler in _HANDLERS:
        if handler in getattr(bpy.app.handlers, name):
            getattr(bpy.app.handlers, name).remove(handler)
    _shown.clear()
    _files.clear()
