"""What happens when a file is opened or saved. Handlers are persistent: Blender drops the others when a file is opened."""

import os

import bpy
from bpy.app.handlers import persistent

from . import (
    blend_vault,
    nodes,
    ops_generate,
    ops_trust,
    placing,
    props,
    reloading,
    stand_ins,
    standing,
    state,
    thumbnails,
    timers,
)
from .film_file import film_file
from .prefs import preferences

_opening = False


def open_project():
    """Begin to follow the project of the open .blend."""
    global _opening
    if _opening:
        return
    _opening = True
    try:
        _open(state.get())
    finally:
        _opening = False


def _open(session):
    film_file.remember(bpy.data.filepath)
    # What is wrong with a file of somebody else's must not keep its project from being opened.
    _guarded(stand_ins.put_back_leftovers, "What this file shows could not be put right")
    blend_vault.forget()
    root = session.root
    session.open(bpy.data.filepath, preferences().executable)
    # A file that is merely saved under another name is still the scene for which things are being made.
    if session.root != root:
        placing.forget("")
    session.remembered = blend_vault.remembered_assets()
    session.vault_reader = blend_vault.read_or_none
    if session.message and session.remembered:
        session.show_remembered()
    timers.note_change()


@persistent
def _on_load(*_args):
    placing.forget("")
    open_project()


@persistent
def _on_save_pre(*_args):
    # Whatever is wrong must not keep anybody from saving.
    _guarded(_keep_the_other, "What lies on disk could not be copied")
    _guarded(stand_ins.take_out, "Stand-ins could not be taken out")
    _guarded(nodes.empty_graphs, "The graph could not be taken out")
    _guarded(ops_trust.forget_text, "A text could not be taken out")
    _guarded(lambda: blend_vault.write(state.get()), "The recipes could not be stored in the .blend")


def _guarded(deed, words):
    try:
        deed()
    except Exception as error:
        import traceback

        traceback.print_exc()
        state.get().note("ERROR", words, str(error))


def _keep_the_other():
    """Somebody has put another file where this one is saved to: git, in a terminal, or a second Blender."""
    if film_file.is_another and not any(deed.git for deed in state.get().deeds):
        kept = film_file.put_aside("other")
        state.get().note("WARNING", f"{os.path.basename(film_file.path)} on disk was another one; it is kept as {os.path.basename(kept)}", kept)


@timers.every_beat
def look_at_film():
    session = state.get()
    if not any(deed.git for deed in session.deeds) and film_file.tell_once():
        session.note("WARNING", f"{os.path.basename(film_file.path)} on disk is another one now", "File > Revert opens it. If you save, it is kept beside yours")


@persistent
def _on_save_post(*_args):
    session = state.get()
    film_file.remember(bpy.data.filepath)
    film_file.saved_meanwhile = any(deed.git for deed in session.deeds)
    if bpy.data.filepath != session.blend:
        open_project()
        return
    stand_ins.put_in(session)
    nodes.fill_graphs_later()
    tell_what_is_wrong(session)
    session.refresh()


def tell_what_is_wrong(session):
    """After every save: which assets that this .blend uses could not be brought back as they are now. Out of what is known; nothing is asked."""
    if not (session.looked and session.usable):
        return
    used = [session.by_path[path] for path in blend_vault.used_assets(session) if path in session.by_path]
    for state_, words in (("invalid", "has a recipe that cannot be read"), ("failed", "could not be made"), ("missing", "is missing")):
        paths = [row.path for row in used if row.state == state_]
        if paths:
            session.note("WARNING", f"Saved, but {_some(paths)} {words}" if len(paths) == 1 else f"Saved, but {len(paths)} assets: each {words}", "" if len(paths) == 1 else _some(paths))


def tell_what_moved():
    """Listener of "looked", once after a file was opened: what is missing, what differs from what this file remembers."""
    session = state.get()
    _tell_vault(session)
    missing = session.missing()
    if missing:
        session.note("WARNING", f"{len(missing)} asset{'s are' if len(missing) > 1 else ' is'} missing", "Regenerate Missing brings them")
    here = {row.path: row for row in session.rows if row.state != "orphan"}
    changed = [each.path for each in session.remembered if each.hash and each.path in here and here[each.path].output != each.hash]
    gone = [each.path for each in session.remembered if each.path not in here]
    if changed:
        session.note("INFO", f"{len(changed)} changed since this file was saved", _some(changed))
    if gone:
        session.note("WARNING", f"{len(gone)} no longer in the project", f"{_some(gone)}. Restore Recipes… brings them back")
    session.questions.ask("outdated", "models", "--outdated", on_done=_tell_models)
    session.refresh_working_set()
    blend_vault.refresh(session)


def _tell_vault(session):
    copies = blend_vault.copies()
    if not copies:
        return
    chosen = blend_vault.read_or_none()
    if chosen is None:
        session.note("ERROR", "The recipes in this .blend are damaged", "saving writes them anew from the project")
    elif chosen.damaged:
        session.note("WARNING", "One copy of the recipes in this .blend is damaged; the other one is sound", "saving mends it")


def _tell_models(document):
    found = document.get("outdated") if isinstance(document, dict) else None
    paths = sorted({path for each in found or () if isinstance(each, dict) for path in each.get("assets", ()) if isinstance(path, str)})
    session = state.get()
    session.outdated_models = paths
    if paths:
        session.note("INFO", f"Newer models are configured than {len(paths)} recipe{'s use' if len(paths) > 1 else ' uses'}", _some(paths))


def _some(paths):
    names = [os.path.basename(path) for path in paths]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def follow_rows():
    """Listener of "rows"."""
    session = state.get()
    props.follow_rows()
    placing.place_arrived(session)
    stand_ins.follow(session)
    if not bpy.app.background:
        blend_vault.refresh(session)


_HANDLERS = {"load_post": _on_load, "save_pre": _on_save_pre, "save_post": _on_save_post}


def register():
    session = state.start(folders=_blender_folder(), opener=open_if_possible if bpy.app.background else None)
    session.hear("rows", follow_rows)
    session.hear("changed", reloading.follow_changes)
    session.hear("detail", props.follow_detail)
    session.hear("detail", thumbnails.make_room)
    session.hear("looked", tell_what_moved)
    session.hear("looked", lambda: standing.ask(state.get()))
    session.hear("rows", lambda: standing.follow_rows(state.get()))
    session.hear("generators", lambda: ops_generate.hear_generators(state.get()))
    session.hear("queue", nodes.note_states)
    session.hear("rows", nodes.note_states)
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.handlers.load_factory_startup_post.append(_on_load)
    open_if_possible()


def open_if_possible():
    """While an addon is being enabled Blender shows it no file: a timer asks again, and headless the first to want the session."""
    if getattr(bpy.data, "filepath", None) is not None:
        open_project()


def _blender_folder():
    """Where this Blender is: generators that need one shall find it."""
    return (os.path.dirname(bpy.app.binary_path),) if bpy.app.binary_path else ()


def unregister():
    placing.forget("")
    stand_ins.take_out()
    for name, handler in (*_HANDLERS.items(), ("load_factory_startup_post", _on_load)):
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:
            handlers.remove(handler)
    state.stop()
