"""What happens when a file is opened or saved. Handlers are persistent: Blender drops the others when a file is opened."""

import os

import bpy
from bpy.app.handlers import persistent

from . import blend_vault, nodes, placing, props, reloading, stand_ins, state, timers
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
    stand_ins.put_back_leftovers()
    blend_vault.forget()
    placing.forget_waiting()
    session.open(bpy.data.filepath, preferences().executable)
    session.remembered = blend_vault.remembered_assets()
    session.vault_reader = blend_vault.read_or_none
    if session.message and session.remembered:
        session.show_remembered()
    timers.note_change()


@persistent
def _on_load(*_args):
    open_project()


@persistent
def _on_save_pre(*_args):
    stand_ins.take_out()
    nodes.empty_graphs()
    # Whatever is wrong with the project must not keep anybody from saving.
    try:
        blend_vault.write(state.get())
    except Exception as error:
        import traceback

        traceback.print_exc()
        state.get().note("ERROR", "The recipes could not be stored in the .blend", str(error))


@persistent
def _on_save_post(*_args):
    session = state.get()
    if bpy.data.filepath != session.blend:
        open_project()
        return
    stand_ins.put_in(session)
    nodes.fill_graphs_later()
    session.refresh()


def tell_what_moved():
    """Listener of "looked", once after a file was opened: what is missing, what differs from what this file remembers."""
    session = state.get()
    _tell_vault(session)
    missing = session.missing()
    if missing:
        session.note("WARNING", f"{len(missing)} asset{'s are' if len(missing) > 1 else ' is'} missing", "Regenerate Missing brings them")
    changed = [each.path for each in session.remembered if each.hash and each.path in session.by_path and session.by_path[each.path].output != each.hash]
    gone = [each.path for each in session.remembered if each.path not in session.by_path]
    if changed:
        session.note("INFO", f"{len(changed)} changed since this file was saved", _some(changed))
    if gone:
        session.note("WARNING", f"{len(gone)} no longer in the project", f"{_some(gone)}. Restore Sidecars brings recipes back")
    session.ask("outdated", "models", "--outdated", on_done=_tell_models)
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
    session.hear("looked", tell_what_moved)
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
    stand_ins.take_out()
    for name, handler in (*_HANDLERS.items(), ("load_factory_startup_post", _on_load)):
        handlers = getattr(bpy.app.handlers, name)
        if handler in handlers:
            handlers.remove(handler)
    state.stop()
