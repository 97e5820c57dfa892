"""`blender`: stills, sequences and movies out of a .blend, rendered without a window."""

from regen_vcs.generators.blender.generator import Blender

__all__ = ["Blender"]
