"""Further panels: the files of this .blend, its version, the working set, and storage."""

import bpy

from . import props, references, state
from .listing import human_duration, human_size
from .ops_storage import saving
from .panels import columns_of, make_panels, wrapped


def draw_version(layout, _context):
    session, regen = state.get(), props.window_properties()
    column = layout.column(align=True)
    column.label(text=session.branch or "no snapshot yet", icon="BOOKMARKS")
    column.prop(regen, "message", text="", icon="GREASEPENCIL")
    column.operator("regen.snapshot", text="Snapshot", icon="FILE_TICK")
    column.separator()
    column.operator("regen.switch_version", text="Switch Version…", icon="FILE_REFRESH")
    column.separator()
    column.operator("regen.adopt_file", text="Adopt File…", icon="FILE_NEW")
    column.operator("regen.restore_sidecars", text="Restore Recipes…", icon="RECOVER_LAST")


def draw_files(layout, context):
    session = state.get()
    found = session.documents.get("references")
    column = layout.column(align=True)
    column.operator("regen.check_references", text="Check", icon="VIEWZOOM")
    column.operator("regen.make_relative", text="Make Paths Relative", icon="LINKED")
    if found is None:
        return
    counts = {}
    for _key, finding in found:
        counts[finding.status] = counts.get(finding.status, 0) + 1
    words = {references.MATCHED: "assets", references.MISSING: "missing", references.BROKEN: "broken", references.PLAIN: "other files", references.OUTSIDE: "outside"}
    layout.label(text=", ".join(f"{counts[name]} {word}" for name, word in words.items() if name in counts) or "This .blend uses no files")
    broken = [finding for _key, finding in found if finding.status == references.BROKEN]
    column = layout.column(align=True)
    for finding in broken[:10]:
        row = column.row(align=True)
        row.label(text=finding.use.owner, icon="UNLINKED")
        if finding.repair:
            row.operator("regen.repair_references", text=finding.asset.rpartition("/")[2], icon="LINKED").owner = finding.use.owner
        for line in wrapped(finding.reason, columns_of(context))[:2]:
            part = column.row()
            part.active = False
            part.label(text=line, icon="BLANK1")
    if any(finding.repair for finding in broken):
        layout.operator("regen.repair_references", text="Repair All", icon="TOOL_SETTINGS").owner = ""


def draw_working_set(layout, _context):
    session, regen = state.get(), props.window_properties()
    document = session.documents.get("workset")
    if isinstance(document, dict) and not document.get("everything", True):
        inside, outside = document.get("inside", {}), document.get("outside", {})
        layout.label(text=f"{inside.get('assets', 0)} held here, {outside.get('assets', 0)} as recipes only", icon="HIDE_OFF")
    row = layout.row(align=True)
    row.operator("regen.set_working_set", text="Hold Only…", icon="RESTRICT_SELECT_OFF")
    row.operator("regen.hold_everything", text="Everything", icon="WORLD")
    layout.prop(regen, "lazy", text="First what is near")


def draw_storage(layout, _context):
    session = state.get()
    layout.operator("regen.look_at_storage", text="Look", icon="VIEWZOOM")
    document = session.documents.get("du")
    if isinstance(document, dict):
        _draw_usage(layout, document)
    bytes_saved = saving(session)
    if bytes_saved is not None:
        row = layout.row()
        row.enabled = bytes_saved > 0
        row.operator("regen.clean_storage", text=f"Clean Up {human_size(bytes_saved)}…" if bytes_saved else "Nothing to Clean Up", icon="TRASH")


def _draw_usage(layout, document):
    total, stores, cache = (document.get(name) if isinstance(document.get(name), dict) else {} for name in ("total", "stores", "cache"))
    column = layout.column(align=True)
    lines = [
        ("In this folder", human_size(total.get("on_disk"))), ("Can be made again", human_size(stores.get("cache"))),
        ("Cannot be made again", human_size(stores.get("keep"))), ("Trash", human_size(stores.get("trash"))),
        ("Time saved", human_duration(cache.get("seconds_saved"))),
    ]  # fmt: skip
    for title, value in lines:
        row = column.row()
        row.label(text=title)
        part = row.row()
        part.alignment = "RIGHT"
        part.label(text=value or "0")


PARTS = (
    ("version", "Versions", draw_version, True),
    ("files", "Files of this .blend", draw_files, True),
    ("workset", "Working Set", draw_working_set, True),
    ("storage", "Storage", draw_storage, True),
)
_CLASSES = make_panels(PARTS, 20)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
