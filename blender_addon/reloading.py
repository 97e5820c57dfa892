"""When an asset's content has changed on disk: what shows it is read again, and what Blender made of the old content is dropped."""

import bpy

from . import blend_uses, references, state, strips


def follow_changes(paths):
    """Listener of "changed": reload whatever shows one of these assets."""
    reload_assets(state.get(), set(paths))


def reload_assets(session, paths):
    """Read again what shows these assets (paths of the repository); how many datablocks and strips."""
    if not session.root:
        return 0
    catalogue = references.Catalogue(references.Asset(row.path, row.output) for row in session.rows)
    count = 0
    for holder in blend_uses.holders():
        inside = references.repository_path(references.absolute_of(holder.path, holder.folder), session.root)
        if inside and (inside in paths or catalogue.at(inside) in paths):
            block = blend_uses.block_of(holder.key)
            if block is not None and getattr(block, "is_dirty", False):
                session.note("WARNING", f"{block.name} has changed on disk; what you painted on it is kept", "Save it under another name, or reload it yourself")
            elif block is not None:
                reload_block(holder.key[0], block)
                count += 1
    return count


def reload_block(kind, block):
    """Read one datablock or strip again."""
    if kind == "image":
        block.reload()
    elif kind == "clip":
        _touch(block)
    elif kind == "sound":
        _touch(block)
        block.use_memory_cache = block.use_memory_cache
    elif kind == "strip":
        strips.drop_proxy(block)
        reload_strip(block)


def _touch(block):
    """Setting the path of a clip or a sound makes Blender open its file anew; there is no method for it."""
    block.filepath = block.filepath


def reload_strip(strip):
    """Open a strip's file anew, keeping where it is cut. Movies by their path, pictures by their folder: what an artist's Reload does."""
    scene = strip.id_data
    if strip.type == "MOVIE":
        strip.filepath = strip.filepath
    elif strip.type == "IMAGE":
        strip.directory = strip.directory
    if hasattr(strip, "invalidate_cache"):
        strip.invalidate_cache("COMPOSITE")
        strip.invalidate_cache("RAW")
    scene.update_tag() if isinstance(scene, bpy.types.ID) and hasattr(scene, "update_tag") else None
    if bpy.context.view_layer:
        bpy.context.view_layer.update()
