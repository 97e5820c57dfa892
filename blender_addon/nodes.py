"""The node tree "Regen Graph": a node an asset, coloured by its state; links lead from what is used to what uses it.

Nodes are a picture of the project, so no file keeps them: they are taken out before saving and put back afterwards.
"""

import os

import bpy
from bpy.props import StringProperty

from . import state, timers
from .graph_drawing import MAX_NODES, Drawing, chosen_rows
from .listing import human_duration, state_of

TREE = "REGEN_GRAPH"
TREE_NAME = "Regen Graph"
# Seconds of drawing at one beat.
_PORTION = 0.04

# What needs attention glows, what is ready stays calm. Linear RGB of a node's body.
COLOURS = {
    "ok": (0.10, 0.22, 0.13), "missing": (0.42, 0.13, 0.10), "failed": (0.55, 0.04, 0.05), "invalid": (0.55, 0.04, 0.05),
    "stale": (0.42, 0.28, 0.06), "pending": (0.22, 0.22, 0.26), "proposed": (0.14, 0.22, 0.42), "drifted": (0.32, 0.16, 0.42),
    "modified": (0.10, 0.28, 0.38), "queued": (0.16, 0.20, 0.30), "running": (0.08, 0.28, 0.52), "skipped": (0.12, 0.12, 0.12),
}  # fmt: skip
_PLAIN = (0.17, 0.17, 0.17)

# By names of trees: what is being drawn, what was taken out for a save, what shall be shown as a whole when it is drawn.
_drawings: dict[str, Drawing] = {}
_emptied: set[str] = set()
_to_show: set[str] = set()


class RegenSocket(bpy.types.NodeSocket):
    bl_idname = "REGEN_socket"
    bl_label = "Asset"

    def draw(self, _context, layout, _node, text):
        layout.label(text=text)

    def draw_color(self, _context, _node):
        return (0.75, 0.75, 0.75, 1.0)

    @classmethod
    def draw_color_simple(cls):
        return (0.75, 0.75, 0.75, 1.0)


class RegenGraphTree(bpy.types.NodeTree):
    bl_idname = TREE
    bl_label = TREE_NAME
    bl_icon = "NODETREE"


class RegenAssetNode(bpy.types.Node):
    """`asset`: its path from the project's root."""

    bl_idname = "REGEN_asset_node"
    bl_label = "Asset"
    bl_width_default = 200

    asset: StringProperty()

    @classmethod
    def poll(cls, tree):
        return tree.bl_idname == TREE

    def draw_label(self):
        return self.asset.rpartition("/")[2]

    def draw_buttons(self, _context, layout):
        session = state.get()
        row = session.by_path.get(self.asset)
        if row is None:
            layout.label(text="a file", icon="FILE")
            return
        shown = state_of(row.state)
        job = session.batch.progress_of(self.asset)
        layout.label(text=f"{shown.word} {round(job.progress * 100)} %" if job and job.state == "running" else shown.word, icon=shown.icon)
        line = layout.row(align=True)
        line.active = False
        line.label(text=" · ".join(filter(None, (row.generator or "source", human_duration(row.seconds)))))
        line = layout.row(align=True)
        button = line.row(align=True)
        button.enabled = row.can_regenerate
        button.operator("movie_director.regenerate_asset", text="Regenerate", icon="FILE_REFRESH").asset_id = self.asset
        line.operator("regen.select_asset", text="", icon="RESTRICT_SELECT_OFF").asset_id = self.asset


class REGEN_OT_show_graph(bpy.types.Operator):
    bl_idname = "regen.show_graph"
    bl_label = "Show Graph"
    bl_description = "Draw what is made from what"

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def execute(self, context):
        session = state.get()
        tree = tree_of_project()
        _to_show.add(tree.name)
        fill_later(tree)
        if len(session.rows) > MAX_NODES:
            what = f"what is connected with {os.path.basename(session.selected)}" if session.selected else f"the first {MAX_NODES} assets"
            self.report({"INFO"}, f"Only {what} is drawn: {len(session.rows)} would be too many")
        space = context.space_data
        if space is not None and space.type == "NODE_EDITOR":
            space.tree_type = TREE
            space.node_tree = tree
        return {"FINISHED"}


def tree_of_project():
    found = next((tree for tree in bpy.data.node_groups if tree.bl_idname == TREE), None)
    return found or bpy.data.node_groups.new(TREE_NAME, TREE)


def fill(tree, session):
    """Draw the graph of the rows, assets and the plain files that they are made from, at once."""
    _finish(tree, Drawing(tree, chosen_rows(session.rows, session.selected)))


def _finish(tree, drawing):
    drawing.go_on(float("inf"))
    colour(tree, state.get())


def colour(tree, session):
    """Only what has changed is painted: painting has Blender draw and compute the tree anew."""
    for node in tree.nodes:
        row = session.by_path.get(getattr(node, "asset", ""))
        wanted = COLOURS.get(row.state, _PLAIN) if row else _PLAIN
        if not node.use_custom_color or max(abs(is_ - be) for is_, be in zip(node.color, wanted, strict=True)) > 0.001:
            node.use_custom_color = True
            node.color = wanted


def graphs():
    return [tree for tree in bpy.data.node_groups if tree.bl_idname == TREE]


def note_states(*_args):
    """Listener of "rows" and "queue": the colours follow; a graph of the whole project is drawn anew where assets came or went."""
    session = state.get()
    for tree in graphs():
        drawn = {node.asset for node in tree.nodes if hasattr(node, "asset")}
        if not drawn or tree.name in _drawings:
            continue
        if len(session.rows) > MAX_NODES or {row.path for row in session.rows} <= drawn:
            colour(tree, session)
        else:
            fill_later(tree)


def fill_later(tree):
    """Draw it in portions, so that nobody waits for it. Headless at once."""
    if bpy.app.background:
        fill(tree, state.get())
    else:
        session = state.get()
        _drawings[tree.name] = Drawing(tree, chosen_rows(session.rows, session.selected))


def empty_graphs():
    """Before a file is saved."""
    for tree in graphs():
        if len(tree.nodes):
            _emptied.add(tree.name)
        tree.nodes.clear()
    _drawings.clear()


def fill_graphs_later():
    """After a file was saved."""
    for tree in graphs():
        if tree.name in _emptied:
            fill_later(tree)
    _emptied.clear()


@timers.every_beat
def go_on_drawing():
    for name, drawing in list(_drawings.items()):
        if drawing.go_on(_PORTION):
            del _drawings[name]
            tree = bpy.data.node_groups.get(name)
            if tree is not None:
                colour(tree, state.get())
                _show_all(tree)


def _show_all(tree):
    """Have the editors that it was asked for in show all of it."""
    if tree.name not in _to_show:
        return
    _to_show.discard(tree.name)
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            region = next((each for each in area.regions if each.type == "WINDOW"), None)
            if area.type == "NODE_EDITOR" and area.spaces.active.node_tree == tree and region is not None:
                for node in tree.nodes:
                    node.select = False
                with bpy.context.temp_override(window=window, area=area, region=region):
                    bpy.ops.node.view_all()


class REGEN_PT_graph(bpy.types.Panel):
    bl_idname = "REGEN_PT_graph"
    bl_label = "Graph"
    bl_space_type = "NODE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Regen"
    bl_order = 30

    def draw(self, _context):
        self.layout.operator("regen.show_graph", icon="NODETREE")


def _draw_header(self, context):
    if getattr(context.space_data, "tree_type", "") == TREE:
        self.layout.operator("regen.show_graph", text="Draw Graph", icon="FILE_REFRESH")


_CLASSES = (RegenSocket, RegenGraphTree, RegenAssetNode, REGEN_OT_show_graph, REGEN_PT_graph)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)
    bpy.types.NODE_HT_header.append(_draw_header)


def unregister():
    bpy.types.NODE_HT_header.remove(_draw_header)
    empty_graphs()
    _emptied.clear()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
