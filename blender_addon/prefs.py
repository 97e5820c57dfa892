"""Preferences of this machine. Where the addon is used without being enabled in the preferences (scripts, tests), their defaults hold."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from . import state


def _reopen(_self, _context):
    from .handlers import open_project  # handlers register after preferences, and use them

    open_project()


class RegenPreferences(bpy.types.AddonPreferences):
    bl_idname = __package__

    executable: StringProperty(
        name="regen-vcs",
        description="The program, or the virtual environment that holds it. Empty: the one of PATH, else the one that came with this addon",
        subtype="FILE_PATH",
        update=_reopen,
    )
    poll_interval: FloatProperty(name="Look every", description="Seconds between two looks whether something has changed", default=2.0, min=0.5, max=60.0, subtype="TIME")
    vault: EnumProperty(
        name="Recipes in the .blend",
        description="What is stored in the .blend on save, so that it alone can bring recipes back",
        items=(
            ("USED", "What it uses", "The recipes of the assets this file uses, and of what those are made from"),
            ("ALL", "The whole project", "Every recipe of the project"),
            ("OFF", "Nothing", "No recipes; the file can bring nothing back"),
        ),
        default="USED",
    )
    auto_refresh: BoolProperty(name="Follow changes", description="Look by itself whether git or another program changed something", default=True)
    stand_ins: BoolProperty(name="Stand-ins for missing assets", description="Show a blurred picture with a note while an asset is missing. Never saved", default=True)

    def draw(self, _context):
        layout = self.layout
        layout.use_property_split = True
        column = layout.column()
        column.prop(self, "executable")
        for line in used_program(state.get()):
            column.label(text=line, icon="CONSOLE")
        column.prop(self, "vault")
        column.prop(self, "auto_refresh")
        row = column.row()
        row.active = self.auto_refresh
        row.prop(self, "poll_interval")
        column.prop(self, "stand_ins")
        message = state.get().message
        if message and message.kind == "no_tool":
            for line in message.lines:
                layout.label(text=line, icon="ERROR")


def used_program(session):
    """Which regen-vcs is at work, and of which version; nothing where there is none."""
    if session.bridge is None:
        return []
    argv = session.bridge.command.argv
    ours = argv[-1] if len(argv) > 1 else ""
    where = f"the one that came with this addon: {ours}" if ours else argv[0]
    return [f"Used: {where}", f"Version {session.version}" if session.version else "Its version is known once the file of a project is open"]


class _Defaults:
    executable, poll_interval, vault, auto_refresh, stand_ins = "", 2.0, "USED", True, True


def preferences():
    """The addon's preferences, or objects with the same names and their defaults."""
    entry = bpy.context.preferences.addons.get(__package__)
    return entry.preferences if entry and entry.preferences else _Defaults


def register():
    bpy.utils.register_class(RegenPreferences)


def unregister():
    bpy.utils.unregister_class(RegenPreferences)
