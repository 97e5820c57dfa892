"""Operators on storage: what it holds, and what cleaning would give back. Cleaning asks first."""

import bpy

from . import state
from .listing import human_size
from .ops_assets import finish

# The panel in which what these have to say stands too.
PART = "storage"


def saving(session):
    """Bytes that `gc` said it would give back; None while nobody has asked."""
    document = session.documents.get("gc")
    summary = document.get("summary", {}) if isinstance(document, dict) else None
    if summary is None:
        return None
    return sum(part.get("bytes", 0) for name, part in summary.items() if name in ("swept", "emptied", "evicted") and isinstance(part, dict))


class REGEN_OT_look_at_storage(bpy.types.Operator):
    bl_idname = "regen.look_at_storage"
    bl_label = "Look"
    bl_description = "Count what assets and stores hold, and what cleaning would give back"

    @classmethod
    def poll(cls, _context):
        return state.get().usable

    def execute(self, _context):
        session = state.get()

        def keep(name):
            def take(document):
                session.documents[name] = document
                session.tell("queue")

            return take

        def fail(error):
            session.note("ERROR", error.what, error.hint, PART)

        session.questions.ask("du", "du", on_done=keep("du"), on_error=fail)
        session.questions.ask("gc", "gc", "--dry-run", on_done=keep("gc"), on_error=fail)
        if bpy.app.background:
            session.wait()
        return {"FINISHED"}


class REGEN_OT_clean_storage(bpy.types.Operator):
    bl_idname = "regen.clean_storage"
    bl_label = "Clean Up"
    bl_description = "Remove what nobody needs, or what comes back by itself. It goes to a trash first"

    @classmethod
    def poll(cls, _context):
        return state.get().usable and saving(state.get()) is not None

    def invoke(self, context, _event):
        return context.window_manager.invoke_props_dialog(self, width=360)

    def draw(self, _context):
        session = state.get()
        column = self.layout.column(align=True)
        column.label(text=f"Gives back {human_size(saving(session))}.", icon="TRASH")
        column.label(text="Only what provably comes back, or nobody ever accepted,")
        column.label(text="in every project that uses these stores.")
        column.label(text="It goes to the trash first: regen-vcs gc --undo")

    def execute(self, _context):
        session = state.get()
        errors = []

        def then(document):
            failed = document.get("failed") if isinstance(document, dict) else None
            session.documents["gc"] = {"summary": {}}
            session.note("INFO" if not failed else "WARNING", "Storage cleaned" if not failed else f"{len(failed)} could not be moved", part=PART)
            session.questions.ask("du", "du", on_done=lambda answer: session.documents.__setitem__("du", answer))

        def fail(error):
            session.note("ERROR", error.what, error.hint, PART)
            errors.append(error)

        session.do("Cleaning up", "gc", then=then, otherwise=fail, as_json=True)
        return finish(self, errors)


_CLASSES = (REGEN_OT_look_at_storage, REGEN_OT_clean_storage)


def register():
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister():
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
