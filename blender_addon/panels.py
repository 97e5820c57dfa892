"""The panel "Regen" in the sidebars. Drawing reads the session and the properties; it asks nobody and computes nothing."""

import bpy

from . import props, standing, state, thumbnails
from .form_drawing import draw_form
from .listing import human_duration, human_size, human_time, state_of
from .panel_text import columns_of, wrapped
from .placing import kind_of
from .status_bar import draw_progress

# (space, the end of a panel's identifier).
SPACES = (("VIEW_3D", "view"), ("SEQUENCE_EDITOR", "sequencer"), ("IMAGE_EDITOR", "image"), ("NODE_EDITOR", "node"))
NOTICE_ICONS = {"INFO": "INFO", "WARNING": "ERROR", "ERROR": "CANCEL"}


def draw_message(layout, message, width):
    box = layout.box().column(align=True)
    lines = [part for line in message.lines for part in wrapped(line, width)]
    for number, line in enumerate(lines):
        box.label(text=line, icon=(message.icon if message.operator else "SORTTIME") if number == 0 else "BLANK1")
    if message.operator:
        box.separator()
        button = box.row()
        button.scale_y = 1.3
        properties = button.operator(message.operator, text=message.label, icon=message.icon)
        for name, value in message.settings:
            setattr(properties, name, value)


def draw_notices(layout, session, width):
    if not session.notices:
        return
    box = layout.box()
    row = box.row(align=True)
    column = row.column(align=True)
    for notice in session.notices[-3:]:
        lines = wrapped(notice.text, width - 3)
        for number, line in enumerate(lines):
            column.label(text=line, icon=NOTICE_ICONS.get(notice.level, "INFO") if number == 0 else "BLANK1")
        for line in wrapped(notice.hint, width - 3)[:3]:
            part = column.row()
            part.active = False
            part.label(text=line, icon="BLANK1")
    side = row.column()
    side.operator("regen.dismiss", text="", icon="X", emboss=False)


def draw_work(layout, session):
    """What is being made: one bar in all, one for each that runs."""
    batch = session.batch
    if not (batch.jobs or session.deeds):
        return
    box = layout.box().column(align=True)
    if batch.jobs:
        row = box.row(align=True)
        draw_progress(row, 0, batch.words())
        row.operator("regen.cancel", text="", icon="X").asset_id = ""
        for number, job in enumerate(batch.running[: props.BARS - 1], start=1):
            row = box.row(align=True)
            draw_progress(row, number, job.path.rpartition("/")[2])
            row.operator("regen.cancel", text="", icon="X").asset_id = job.path
    else:
        row = box.row(align=True)
        row.label(text=session.deeds[0].title + "…", icon="SORTTIME")
        row.operator("regen.cancel", text="", icon="X").asset_id = ""


def draw_main(layout, context):
    session, width = state.get(), columns_of(context)
    message = session.message
    if message:
        draw_message(layout, message, width)
        if session.remembered and message.kind in ("no_repository", "not_set_up"):
            layout.operator("regen.restore_sidecars", text="Restore Recipes…", icon="RECOVER_LAST")
    again = standing.set_up_again(session)
    if again:
        draw_message(layout, again, width)
    draw_notices(layout, session, width)
    if session.usable:
        row = layout.row(align=True)
        row.scale_y = 1.2
        row.operator("regen.generate", icon="ADD")
        row.operator("regen.refresh", text="", icon="FILE_REFRESH")
        missing = len(session.missing_paths)
        column = layout.column(align=True)
        if missing:
            column.operator("movie_director.regenerate_missing", text=f"Regenerate {missing} Missing", icon="IMPORT")
            column.operator("regen.fetch", text="Only Fetch", icon="TRIA_DOWN_BAR").everything = True
        outdated = session.outdated_count
        if outdated:
            column.operator("regen.regenerate_stale", text=f"Bring {outdated} up to Date", icon="FILE_REFRESH")
        draw_work(layout, session)


def draw_assets(layout, _context):
    session, regen = state.get(), props.window_properties()
    row = layout.row(align=True)
    row.prop(regen, "search", text="", icon="VIEWZOOM")
    row.prop(regen, "only", text="")
    row = layout.row(align=True)
    row.prop(regen, "sort", text="", icon="SORTALPHA")
    row.prop(regen, "descending", text="", icon="SORT_DESC" if regen.descending else "SORT_ASC")
    layout.template_list("REGEN_UL_assets", "", regen, "assets", regen, "active", rows=6, maxrows=12, sort_lock=True)
    row = layout.row()
    row.active = False
    row.label(text=(session.counts or "No assets yet: Generate… makes the first") if session.usable else "As this .blend remembers them")


def draw_selected(layout, context):
    session, width = state.get(), columns_of(context)
    row = session.by_path.get(session.selected)
    if row is None:
        layout.label(text="Select an asset", icon="INFO")
        return
    detail = session.details.get(row.path)
    if not session.usable:
        layout.label(text=row.name, icon="QUESTION")
        for line in wrapped("Whether it is there is known once the project is set up on this machine.", width):
            layout.label(text=line, icon="BLANK1")
        return
    _draw_head(layout, row, width)
    _draw_buttons(layout, session, row)
    if detail is None:
        layout.label(text="Looking…", icon="SORTTIME")
        return
    for line in (part for text in detail.log[-4:] if row.state == "failed" for part in wrapped(text, width)[:2]):
        layout.label(text=line, icon="BLANK1")


def _draw_head(layout, row, width):
    shown = state_of(row.state)
    column = layout.column(align=True)
    column.label(text=row.name, icon=shown.icon)
    told = row.reason if row.state in ("failed", "invalid", "stale") else ""
    lines = [f"{shown.word}: {told or shown.meaning}"]
    took = human_duration(row.seconds)
    facts = (human_size(row.size or None), f"{took} to make" if took else "")
    lines += [row.generator or "a source, nothing makes it", row.models, " · ".join(filter(None, facts))]
    if "/" in row.path:
        lines.append(row.path.rpartition("/")[0] + "/")
    part = column.column(align=True)
    part.active = False
    for line in lines:
        for each in wrapped(line, width)[:3]:
            part.label(text=each, icon="BLANK1")


def _draw_buttons(layout, session, row):
    column = layout.column(align=True)
    at_work = row.state in ("running", "queued")
    if row.state in ("drifted", "proposed", "modified"):
        line = column.row(align=True)
        line.operator("regen.accept", text="Accept", icon="CHECKMARK").asset_id = row.path
        if row.state != "proposed":
            line.operator("regen.fetch", text="Take Back", icon="LOOP_BACK").asset_id = row.path
    elif row.state in ("missing", "skipped"):
        column.operator("regen.fetch", text="Fetch", icon="TRIA_DOWN_BAR").asset_id = row.path
    line = column.row(align=True)
    line.enabled = row.can_regenerate or at_work
    if at_work:
        line.operator("regen.cancel", text="Cancel", icon="X").asset_id = row.path
    else:
        line.operator("movie_director.regenerate_asset", text="Regenerate", icon="FILE_REFRESH").asset_id = row.path
        if session.dependants(row.path):
            line = column.row(align=True)
            line.enabled = row.can_regenerate
            more = line.operator("movie_director.regenerate_asset", text="With Dependants", icon="OUTLINER")
            more.asset_id, more.with_dependants = row.path, True
    if row.path in session.outdated_models and not at_work:
        newer = column.operator("movie_director.regenerate_asset", text="With Newer Model", icon="SOLO_ON")
        newer.asset_id, newer.use_latest_model = row.path, True
    line = column.row(align=True)
    if row.on_disk and kind_of(row.path):
        line.operator_menu_enum("regen.add_to_scene", "way", text="Add to Scene", icon="PLUS")
        line.operator("regen.open_folder", text="", icon="FILE_FOLDER").asset_id = row.path
    else:
        line.operator("regen.open_folder", text="Folder", icon="FILE_FOLDER").asset_id = row.path
    line.operator("regen.remove", text="", icon="TRASH").asset_id = row.path


def draw_recipe(layout, _context):
    session, regen = state.get(), props.window_properties()
    row = session.by_path.get(session.selected)
    if row is None or not props.form_shows(session, row.path):
        layout.label(text="No recipe shown", icon="INFO")
        return
    if not row.generator:
        layout.label(text="A source: it has no recipe", icon="INFO")
        return
    if any(item.touched for item in regen.form):
        line = layout.row(align=True)
        line.operator("regen.apply_params", text="Apply and Make", icon="PLAY").make = True
        line.operator("regen.apply_params", text="Apply", icon="CHECKMARK").make = False
        line.operator("regen.reset_params", text="", icon="LOOP_BACK")
    hidden = draw_form(layout, regen.form, "edit", everything=regen.all_params)
    if hidden or regen.all_params:
        layout.prop(regen, "all_params", text=f"{hidden} more" if hidden else "All shown", toggle=True)


def draw_relations(layout, _context):
    session = state.get()
    row = session.by_path.get(session.selected)
    if row is None:
        return
    detail = session.details.get(row.path)
    inputs = [(each.name, each.path, each.state) for each in detail.inputs] if detail else []
    for title, entries in (("Made from", inputs), ("Used by", [("", path, session.by_path[path].state) for path in session.dependants(row.path) if path in session.by_path])):
        column = layout.column(align=True)
        column.label(text=title if entries else f"{title}: nothing")
        for name, path, its_state in entries[:12]:
            line = column.row(align=True)
            text = f"{name}: {path.rpartition('/')[2]}" if name else path.rpartition("/")[2]
            if path in session.by_path:
                line.operator("regen.select_asset", text=text, icon=state_of(its_state).icon, emboss=False).asset_id = path
            else:
                line.label(text=f"{text} ({its_state})", icon="FILE")
        if len(entries) > 12:
            column.label(text=f"and {len(entries) - 12} more", icon="BLANK1")


def draw_takes(layout, context):
    session, width = state.get(), columns_of(context)
    detail = session.details.get(session.selected)
    if detail is None or not detail.takes:
        layout.label(text="No takes yet", icon="INFO")
        return
    grid = layout.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
    scale = min(10.0, max(4.0, width / 7))
    # The accepted one and the newest of the others: what one chooses among.
    chosen = sorted(detail.takes, key=lambda take: (take.accepted, take.current, take.created), reverse=True)[:8]
    for take in chosen:
        box = grid.box().column(align=True)
        icon = thumbnails.icon_of(take.thumbnail)
        if icon:
            box.template_icon(icon_value=icon, scale=scale)
        mark = "CHECKMARK" if take.accepted else "HIDE_OFF" if take.on_disk else "BLANK1"
        box.label(text=take.name or "…", icon=mark)
        part = box.row()
        part.active = False
        part.label(text=human_time(take.created) if take.current else "earlier recipe")
        if take.can_be_accepted:
            accept = box.operator("regen.accept", text="Accept", icon="CHECKMARK")
            accept.asset_id, accept.take = detail.path, take.hash
        elif take.can_come_with_its_recipe:
            accept = box.operator("regen.accept", text="Use Again", icon="LOOP_BACK")
            accept.asset_id, accept.take, accept.with_recipe = detail.path, take.hash, True
    if len(detail.takes) > 8:
        layout.label(text=f"and {len(detail.takes) - 8} others", icon="BLANK1")


# (identifier, title, draw, closed at first, whether it needs the project's rows)
PARTS = (
    ("assets", "Assets", draw_assets, False),
    ("selected", "Selected", draw_selected, False),
    ("recipe", "Recipe", draw_recipe, False),
    ("takes", "Takes", draw_takes, False),
    ("relations", "Made From, Used By", draw_relations, True),
)


def make_panels(parts, order, *, needs_rows=True):
    """A panel class for each part in each space, below the main one of that space. needs_rows: not shown before there is an asset."""
    made = []
    for space, word in SPACES:
        for number, (name, title, draw, closed) in enumerate(parts):
            made.append(_panel(f"REGEN_PT_{name}_{word}", title, space, draw, order + number, f"REGEN_PT_main_{word}", closed, needs_rows))
    return made


def _panel(identifier, title, space, draw, order, parent, closed, needs_rows=True):
    def draw_it(self, context):
        draw(self.layout, context)

    def poll(_cls, _context):
        session = state.get()
        return bool(session.rows) or (session.usable and not needs_rows)

    members = {
        "bl_idname": identifier, "bl_label": title, "bl_space_type": space, "bl_region_type": "UI", "bl_category": "Regen", "bl_order": order,
        "draw": draw_it,
    }  # fmt: skip
    if parent:
        members |= {"bl_parent_id": parent, "bl_options": {"DEFAULT_CLOSED"} if closed else set(), "poll": classmethod(poll)}
    return type(identifier, (bpy.types.Panel,), members)


_CLASSES = [_panel(f"REGEN_PT_main_{word}", "Regen", space, draw_main, 0, "", False) for space, word in SPACES]
_CLASSES += make_panels(PARTS, 1)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
