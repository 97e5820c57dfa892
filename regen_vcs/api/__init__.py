"""The Python API: what the command line does, for pipeline tools and agents (docs/api.md).

    import regen_vcs

    with regen_vcs.open("film") as project:
        results = project.regenerate(stale=True)

A voice, as cli/ is: it reads the environment of the process. It never prints. Names are imported when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regen_vcs.api.following import CancelToken, Progress
    from regen_vcs.api.project import Project
    from regen_vcs.api.queue import RegenerationQueue, RegenerationTask
    from regen_vcs.api.results import AssetStatus, RegenerationPriority, Result, Selection, SyncReport
    from regen_vcs.errors import (
        CorruptionError,
        Interrupted,
        InvalidError,
        NotTrusted,
        RegenerationError,
        RegenError,
        RemoteError,
        UsageError,
    )
    from regen_vcs.model.dependency_graph import Affected, Edge, Graph, Node
    from regen_vcs.model.plan import Plan, Step

_HOMES = {
    "regen_vcs.api.following": ("CancelToken", "Progress"),
    "regen_vcs.api.project": ("Project",),
    "regen_vcs.api.queue": ("RegenerationQueue", "RegenerationTask"),
    "regen_vcs.api.results": ("AssetStatus", "RegenerationPriority", "Result", "Selection", "SyncReport"),
    "regen_vcs.errors": (
        "CorruptionError", "Interrupted", "InvalidError", "NotTrusted", "RegenError", "RegenerationError", "RemoteError", "UsageError",
    ),
    "regen_vcs.model.dependency_graph": ("Affected", "Edge", "Graph", "Node"),
    "regen_vcs.model.plan": ("Plan", "Step"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Affected", "AssetStatus", "CancelToken", "CorruptionError", "Edge", "Graph", "Interrupted", "InvalidError", "Node",
    "NotTrusted", "Plan", "Progress", "Project", "RegenError", "RegenerationError", "RegenerationPriority",
    "RegenerationQueue", "RegenerationTask", "RemoteError", "Result", "Selection", "Step", "SyncReport", "UsageError",
]  # fmt: skip


def open(path: str | os.PathLike[str] = ".", *, environ: Mapping[str, str] | None = None) -> Project:
    """The project whose repository `path` lies in. UsageError outside of one.

    environ: instead of this process's environment; git, generators and settings see nothing else.
    """
    from regen_vcs.api.project import Project

    return Project(path, environ=environ)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'regen_vcs.api' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
