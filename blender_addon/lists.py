"""The list of assets. Filtering and sorting are done once for each change, not once for each drawing."""

import bpy

from . import props, state
from .listing import filter_rows, human_duration, human_size, sort_rows, state_of

# Drawn in red.
_ALARMING = {"failed", "invalid", "missing"}
# Pixels of a sidebar, unscaled, from which on there is room for more columns.
_WIDE = 420


class Arranged:
    """What the list shows. The order is computed when rows or their order have changed, what is shown when the search has; else both are as they were."""

    def __init__(self):
        self._sorted = self._asked = None
        self.shown, self.places, self.count = [], [], 0

    def update(self, session, regen, flag):
        """flag: what UIList wants to see at an item that is shown."""
        version = (id(session), session.revision)
        order = (version, regen.sort, regen.descending)
        if order != self._sorted:
            self._sorted = order
            self.places = [0] * len(session.rows)
            for place, index in enumerate(sort_rows(session.rows, regen.sort, descending=regen.descending)):
                self.places[index] = place
        asked = (version, regen.search, regen.only, flag)
        if asked != self._asked:
            self._asked = asked
            states = {"ALL": (), "OPEN": {row.state for row in session.rows} - {"ok"} or {"none"}}.get(regen.only, {regen.only})
            found = filter_rows(session.rows, regen.search, states)
            self.shown, self.count = [0] * len(session.rows), len(found)
            for index in found:
                self.shown[index] = flag
        return self


arranged = Arranged()


class REGEN_UL_assets(bpy.types.UIList):
    """One line an asset: state, name, size or what is to be done; where there is room also what makes it, and how long that takes."""

    bl_idname = "REGEN_UL_assets"

    def draw_item(self, context, layout, _data, item, _icon, _active_data, _active_property, index=0, _flags=0):
        session = state.get()
        row = session.by_path.get(item.name)
        if row is None:
            layout.label(text=item.name)
            return
        # The queue is looked at more often than everything.
        job = session.batch.progress_of(row.path) if row.state in ("running", "queued") else None
        making = job is not None and job.state == "running"
        shown = state_of("running" if making else row.state)
        line = layout.row(align=True)
        line.alert = row.state in _ALARMING
        line.label(text=session.short_names.get(row.path, row.name), icon=shown.icon)
        if getattr(getattr(context, "region", None), "width", 0) > _WIDE * context.preferences.system.ui_scale:
            self.draw_more(line, row)
        side = line.row(align=True)
        side.alignment = "RIGHT"
        side.active = row.state in _ALARMING
        if making:
            side.label(text=f"{round(job.progress * 100)} %")
        elif row.state == "ok":
            side.label(text=human_size(row.size))
        else:
            took = human_duration(row.seconds)
            side.label(text=f"{shown.word}, {took}" if row.state == "missing" and took else shown.word)

    @staticmethod
    def draw_more(line, row):
        made_by = line.row(align=True)
        made_by.active = False
        made_by.label(text=f"{row.generator} {row.models}".strip())
        took = line.row(align=True)
        took.active, took.alignment = False, "RIGHT"
        took.label(text=human_duration(row.seconds))

    def draw_filter(self, _context, _layout):
        """Search, filter and order stand above the list, where they are seen."""

    def filter_items(self, _context, data, propname):
        session, regen = state.get(), props.window_properties()
        found = arranged.update(session, regen, self.bitflag_filter_item)
        if len(found.shown) != len(getattr(data, propname)):
            return [], []  # the rows are newer than the items: for one drawing
        return found.shown, found.places


def register():
    bpy.utils.register_class(REGEN_UL_assets)


def unregister():
    bpy.utils.unregister_class(REGEN_UL_assets)
