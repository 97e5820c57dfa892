"""A project that is set up once for a module and copied for each test: setting it up costs seconds, a copy milliseconds."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import Home, Project


def copy_of(template: Project, base: Path) -> Project:
    """The same project with its home, stores and configuration below `base`. Stats differ, bytes and times do not."""
    home = Home(base / "copy")
    shutil.copytree(template.user.base, home.base, symlinks=True, dirs_exist_ok=True)
    return Project(home, home.base / template.root.relative_to(template.user.base))
