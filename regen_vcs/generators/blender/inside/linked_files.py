"""Runs inside Blender: which files outside of it the open .blend names, and pointing it at others.

One `Reference` is one place in the file that names a file, a numbered run of files, UDIM tiles, or a folder of caches.
Blender 3.4 to 5.x; needs nothing but bpy and the standard library.
"""

from __future__ import annotations

import os
import re

import bpy

FILE, SEQUENCE, TILES, FOLDER, STRIP = "file", "sequence", "tiles", "folder", "strip"

_LAST_NUMBER = re.compile(r"(\d+)(?=\D*\Z)")
_TOKENS = ("<UDIM>", "<UVTILE>")


class Reference:
    """A place that names files.

    kind: "image", "library", …      owner: the name of what holds it     form: FILE, SEQUENCE, TILES, FOLDER or STRIP
    holder, attribute: where the path is written; holder None: Blender knows of it, but it cannot be changed from here
    library: what `//` is relative to; None: the open file                parts: tile numbers, or names in a folder
    used: False for what nothing renders
    """

    def __init__(self, kind, owner, holder, attribute, *, form=FILE, library=None, parts=(), used=True, path=None):
        self.kind, self.owner, self.holder, self.attribute = kind, owner, holder, attribute
        self.form, self.library, self.parts, self.used = form, library, list(parts), used
        self._fixed = path

    @property
    def stored(self):
        """The path as the file has it."""
        return self._fixed if self.holder is None else getattr(self.holder, self.attribute)

    @property
    def path(self):
        """Absolute; of tiles with their token, of a strip its folder."""
        return absolute(self.stored, self.library)

    def wanted(self):
        """The files it needs, absolute, whether they exist or not; of a run of files those that exist."""
        if self.form == TILES:
            return [_tile_path(self.path, number) for number in self.parts]
        if self.form == STRIP:
            return [os.path.join(self.path, name) for name in self.parts]
        if self.form == FOLDER:
            return sorted(os.path.join(folder, name) for folder, _, names in os.walk(self.path) for name in names)
        if self.form == SEQUENCE:
            return _siblings(self.path) or [self.path]
        return [self.path]

    def point_to(self, path):
        """Name another file (absolute; of tiles with the token, of a strip the folder)."""
        if self.holder is None:
            raise RuntimeError(f"{self.kind} {self.owner}: its path {self.path} cannot be changed")
        setattr(self.holder, self.attribute, path)
        if self.kind in ("image", "library"):
            self.holder.reload()


def absolute(path, library=None):
    """An absolute path of what a .blend says: `//` resolved, separators of this system."""
    found = bpy.path.abspath(path.replace("\\", "/") if os.sep == "/" else path, library=library)
    return os.path.normpath(found)


def numberless(path):
    """A path with the last number in its name replaced by "#": equal for all files of one run."""
    folder, name = os.path.split(path)
    return os.path.join(folder, _LAST_NUMBER.sub("#", name))


def libraries():
    """Of every library, also those that libraries link; Blender keeps their paths relative to the open file."""
    return [
        Reference("library", each.name, each, "filepath")
        for each in bpy.data.libraries
        if each.packed_file is None and each.filepath
    ]


def references():
    """Everything the open file names. What is packed into it is not outside."""
    found = libraries()
    for list_some in (_images, _clips, _sounds, _fonts, _caches, _volumes, _texts, _nodes, _modifiers, _point_caches, _strips):
        found += list_some()
    found += _others(found)
    return [each for each in found if each.used]


def _is_used(block):
    return block.users - int(block.use_fake_user) > 0


def _images():
    for image in bpy.data.images:
        form = {"FILE": FILE, "MOVIE": FILE, "SEQUENCE": SEQUENCE, "TILED": TILES}.get(image.source)
        if form is None or not image.filepath or image.packed_file is not None or len(image.packed_files):
            continue
        tiles = [tile.number for tile in image.tiles] if form == TILES else ()
        if form == TILES and not any(token in image.filepath for token in _TOKENS):
            form = FILE
        yield Reference(
            "image", image.name, image, "filepath", form=form, library=image.library, parts=tiles, used=_is_used(image)
        )


def _clips():
    for clip in bpy.data.movieclips:
        form = SEQUENCE if clip.source == "SEQUENCE" else FILE
        yield Reference("movie clip", clip.name, clip, "filepath", form=form, library=clip.library, used=_is_used(clip))


def _sounds():
    for sound in bpy.data.sounds:
        if sound.packed_file is None and sound.filepath:
            yield Reference("sound", sound.name, sound, "filepath", library=sound.library, used=_is_used(sound))


def _fonts():
    for font in bpy.data.fonts:
        if font.packed_file is None and font.filepath != "<builtin>":
            yield Reference("font", font.name, font, "filepath", library=font.library, used=_is_used(font))


def _caches():
    for cache in bpy.data.cache_files:
        form = SEQUENCE if cache.is_sequence else FILE
        yield Reference("cache", cache.name, cache, "filepath", form=form, library=cache.library, used=_is_used(cache))
        for layer in getattr(cache, "layers", ()):
            yield Reference("cache layer", cache.name, layer, "filepath", library=cache.library, used=_is_used(cache))


def _volumes():
    for volume in getattr(bpy.data, "volumes", ()):
        if volume.packed_file is None and volume.filepath:
            form = SEQUENCE if volume.is_sequence else FILE
            yield Reference("volume", volume.name, volume, "filepath", form=form, library=volume.library, used=_is_used(volume))


def _texts():
    """Scripts and notes beside the file; only what something in it reads (a shader, a line style) counts."""
    for text in bpy.data.texts:
        if text.filepath and not text.is_in_memory:
            yield Reference("text", text.name, text, "filepath", library=text.library, used=_is_used(text))


def _nodes():
    """Lamps' IES profiles and OSL shaders that lie in files of their own."""
    trees = [(block, block.node_tree) for kind in ("materials", "worlds", "lights") for block in getattr(bpy.data, kind)]
    for owner, tree in [*trees, *((group, group) for group in bpy.data.node_groups)]:
        for node in tree.nodes if tree else ():
            if node.bl_idname in ("ShaderNodeTexIES", "ShaderNodeScript") and node.mode == "EXTERNAL" and node.filepath:
                yield Reference("shader", f"{owner.name}/{node.name}", node, "filepath", library=owner.library)


def _modifiers():
    for thing in bpy.data.objects:
        for modifier in thing.modifiers:
            owner = f"{thing.name}/{modifier.name}"
            if modifier.type == "MESH_CACHE" and modifier.filepath:
                yield Reference("mesh cache", owner, modifier, "filepath", library=thing.library)
            elif modifier.type == "OCEAN" and modifier.is_cached and modifier.filepath:
                yield Reference("ocean cache", owner, modifier, "filepath", form=FOLDER, library=thing.library)
            elif modifier.type == "MULTIRES" and modifier.is_external and modifier.filepath:
                yield Reference("multires", owner, modifier, "filepath", library=thing.library)
            elif modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
                domain = modifier.domain_settings
                yield Reference("fluid cache", owner, domain, "cache_directory", form=FOLDER, library=thing.library)
            elif modifier.type == "NODES" and getattr(modifier, "bake_directory", ""):
                yield Reference("simulation bake", owner, modifier, "bake_directory", form=FOLDER, library=thing.library)


def _point_caches():
    """Caches of cloth, hair, particles and rigid bodies that lie on disk."""
    for thing in bpy.data.objects:
        caches = [modifier.point_cache for modifier in thing.modifiers if hasattr(modifier, "point_cache")]
        caches += [system.point_cache for system in thing.particle_systems]
        for cache in caches:
            if cache.use_external and cache.filepath:
                yield Reference("point cache", thing.name, cache, "filepath", form=FOLDER, library=thing.library)
            elif cache.use_disk_cache and bpy.data.filepath:
                folder, name = os.path.split(absolute(thing.library.filepath) if thing.library else bpy.data.filepath)
                path = os.path.join(folder, "blendcache_" + os.path.splitext(name)[0])
                yield Reference("point cache", thing.name, None, None, form=FOLDER, path=path)


def strips_of(scene):
    """All strips of a scene, also those inside of meta strips."""
    editor = scene.sequence_editor
    if editor is None:
        return ()
    # An empty collection is false, so no `or` here: the names changed with 4.4.
    found = getattr(editor, "strips_all", None)
    return editor.sequences_all if found is None else found


def _strips():
    for scene in bpy.data.scenes:
        for strip in strips_of(scene):
            owner = f"{scene.name}/{strip.name}"
            if strip.type == "IMAGE":
                names = dict.fromkeys(element.filename for element in strip.elements)
                yield Reference("image strip", owner, strip, "directory", form=STRIP, library=scene.library, parts=names)
            elif strip.type == "MOVIE":
                yield Reference("movie strip", owner, strip, "filepath", library=scene.library)


def _others(known):
    """What Blender lists beyond all that, as far as it exists: kinds of files that a later Blender may have."""
    covered = set()
    for each in known:
        covered.update((each.path, os.path.dirname(each.path) if each.form == STRIP else each.path))
        covered.update(each.wanted())
    for path in dict.fromkeys(bpy.utils.blend_paths(absolute=True, packed=False, local=False)):
        found = os.path.normpath(path)
        if found not in covered and os.path.isfile(found):
            yield Reference("file", os.path.basename(found), None, None, path=found)


def _tile_path(path, number):
    """UDIM tile 1001 is u1_v1, ten tiles a row."""
    row, column = divmod(number - 1001, 10)
    return path.replace("<UDIM>", str(number)).replace("<UVTILE>", f"u{column + 1}_v{row + 1}")


def _siblings(path):
    """The files of the run that `path` belongs to: equal but for the last number in the name."""
    folder, name = os.path.split(path)
    if not _LAST_NUMBER.search(name) or not os.path.isdir(folder):
        return [path] if os.path.isfile(path) else []
    pattern = numberless(path)
    found = (os.path.join(folder, each) for each in sorted(os.listdir(folder)))
    return [each for each in found if numberless(each) == pattern and os.path.isfile(each)]
