"""gc by itself, like git's own: in the background, one at a time, when the disk runs low. Hot path: imports nothing slow."""

from __future__ import annotations

import os
import time

from regen_vcs.engine.workspace import Workspace
from regen_vcs.errors import RegenError

# The disk runs low below this share of it, or this many bytes, whichever is less; gc goes on until half as much again is free.
_LOW_SHARE, _LOW_BYTES = 0.1, 20 << 30
_ENOUGH = 1.5
_NOT_AGAIN = 3600.0  # seconds


def start_if_low(ws: Workspace) -> bool:
    """Start a gc in the background where the user wants that (gc.auto) and room is wanted; whether one was started."""
    if not ws.settings.get("gc.auto") or missing_bytes(ws.stores.keep.root, ws.stores.cache.root) <= 0 or not _is_time(ws):
        return False
    from regen_vcs.engine.background import start_alone  # processes: only where one is started

    folder = ws.repo.shared_dir
    try:
        os.makedirs(folder, exist_ok=True)
        start_alone(ws, ["gc", "--auto"], os.path.join(folder, "gc.log"))
    except OSError:
        return False
    return True


def collect_if_low(ws: Workspace) -> None:
    """What the background does: make room, as much as is missing; nothing that would cost money to have back."""
    from regen_vcs.engine.gc.collecting import Collector, Room
    from regen_vcs.engine.gc.planning import policy_of

    missing = missing_bytes(ws.stores.keep.root, ws.stores.cache.root)
    if missing <= 0 or not _claim(ws):
        return
    room = Room(ws.settings.get("gc.budget"), missing, allow_paid=False)
    Collector(ws.settings, ws.environ, ws).run(policy_of(ws.settings), room)


def missing_bytes(*folders: str) -> int:
    """How much has to be freed until the fullest of these folders' disks has enough; 0 or less where none runs low."""
    return max(_missing_below(folder) for folder in folders)


def _missing_below(folder: str) -> int:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    if not hasattr(os, "statvfs"):
        import shutil

        usage = shutil.disk_usage(folder)
        size, free = usage.total, usage.free
    else:
        disk = os.statvfs(folder)
        size, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    low = min(size * _LOW_SHARE, _LOW_BYTES)
    return int(low * _ENOUGH - free) if free < low else 0


def _stamp(ws: Workspace) -> str:
    return f"{ws.stores.keep.root}/gc/auto"


def _is_time(ws: Workspace) -> bool:
    """Whether none has run within the hour: one that found nothing will not find more at once."""
    try:
        return not 0 <= time.time() - os.stat(_stamp(ws)).st_mtime < _NOT_AGAIN
    except OSError:
        return True


def _claim(ws: Workspace) -> bool:
    if not _is_time(ws):
        return False
    try:
        os.makedirs(os.path.dirname(_stamp(ws)), exist_ok=True)
        with open(_stamp(ws), "wb"):
            pass
        os.utime(_stamp(ws))
    except OSError as error:
        raise RegenError(f"{_stamp(ws)}: {error.strerror}", "is the store writable?") from error
    return True
