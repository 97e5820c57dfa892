"""Regen: generated media follow git recipes. The panels of regen-vcs in Blender.

Registering only: `state.py` has the live session, `handlers.py` says when it opens, docs/addon.md how it is used.
"""

bl_info = {
    "name": "Regen",
    "author": "The regen-vcs authors",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "Sidebar > Regen, in the 3D Viewport, Sequencer, Image and Node Editors",
    "description": "Generated media follow your git recipes",
    "doc_url": "",
    "category": "System",
}

from . import (  # noqa: E402
    handlers,
    lists,
    nodes,
    ops_assets,
    ops_generate,
    ops_project,
    ops_references,
    ops_remove,
    ops_storage,
    ops_trust,
    ops_versions,
    panels,
    panels_more,
    prefs,
    props,
    stand_ins,
    status_bar,
    thumbnails,
    timers,
    working_set,
)

# In this order; taken back in the reverse one. Timers and handlers come last, when all they call is there.
_PARTS = (
    prefs, props, ops_project, ops_trust, ops_assets, ops_generate, ops_versions, ops_references, ops_remove, ops_storage, working_set,
    thumbnails, lists, nodes, panels, panels_more, status_bar, stand_ins, handlers, timers,
)  # fmt: skip


def register():
    done = []
    try:
        for part in _PARTS:
            part.register()
            done.append(part)
    except Exception:
        # Half an addon would leave handlers behind that nobody takes back.
        for part in reversed(done):
            part.unregister()
        raise


def unregister():
    for part in reversed(_PARTS):
        part.unregister()
