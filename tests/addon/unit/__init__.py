"""The addon's modules that know nothing of Blender, tested without it.

The package's own `__init__.py` is Blender's business and imports bpy, so its folder becomes a package of another name here.
"""

import sys
import types
from pathlib import Path

ADDON = Path(__file__).resolve().parents[3] / "blender_addon"

pure = types.ModuleType("addon_parts")
pure.__path__ = [str(ADDON)]  # type: ignore[attr-defined]
sys.modules.setdefault("addon_parts", pure)
