"""Further panels: the files of this .blend, its version, the working set, and storage."""

import bpy

from . import props, references, state
from .listing import human_duration, human_size
from .ops_storage import saving
from .panel_text import columns_of, wrapped
from .panels import NOTICE_ICONS, make_panels


def draw_last_notice(layout, context, part):
    """What the last deed of this part had to say, in one line near its button. All of it stands in the main panel."""
    notice = next((each for each in reversed(state.get().notices) if each.part == part), None)
    if notice is None:
        return
    width = columns_of(context)
    row = layout.row()
    row.alert = notice.level == "ERROR"
    row.label(text=notice.text if len(notice.text) <= width else f"{notice.text[: width - 1]}…", icon=NOTICE_ICONS.get(notice.level, "INFO"))


def draw_version(layout, context):
    session, regen = state.get(), props.window_properties()
    column = layout.column(align=True)
    column.label(text=session.branch or ("an older snapshot" if session.branches else "no snapshot yet"), icon="BOOKMARKS")
    column.prop(regen, "message", text="", icon="GREASEPENCIL")
    column.operator("regen.snapshot", text="Snapshot", icon="FILE_TICK")
    draw_last_notice(column, context, "version")
    _draw_warning(layout, session.documents.get("snapshot_warning") or (), columns_of(context))
    column = layout.column(align=True)
    if any(name != session.branch for name in session.branches):
        column.operator("regen.switch_version", text="Switch Version…", icon="FILE_REFRESH")
    elif session.branches:
        column.label(text=f"{session.branch} is the only version so far")
    column.operator("regen.new_version", text="New Version…", icon="ADD")
    column.separator()
    column.operator("regen.adopt_file", text="Adopt File…", icon="FILE_NEW")
    column.operator("regen.restore_sidecars", text="Restore Recipes…", icon="RECOVER_LAST")


def _draw_warning(layout, lines, width):
    """lines: what may keep a snapshot from being taken."""
    if not lines:
        return
    column = layout.column(align=True)
    for number, line in enumerate(part for text in lines for part in wrapped(text, width)):
        column.label(text=line, icon="ERROR" if number == 0 else "BLANK1")


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


def draw_storage(layout, context):
    session = state.get()
    layout.operator("regen.look_at_storage", text="Look", icon="VIEWZOOM")
    draw_last_notice(layout, context, "storage")
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
_CLASSES = make_panels(PARTS, 20, needs_rows=False)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
