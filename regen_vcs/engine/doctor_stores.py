"""The stores as `doctor` sees them: where they are, whether they can be written, how media come out of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from regen_vcs.engine.finding import NOTE, OK, PROBLEM, Finding, count
from regen_vcs.engine.workspace import Workspace
from regen_vcs.platform import files
from regen_vcs.stores import durable
from regen_vcs.stores.links import choose_link
from regen_vcs.stores.objects import ObjectStore

LOW_BYTES = 1 << 30  # free: less than this, and the next checkout may fail half way
_NETWORK = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs"))
_PROBE = b"regen-vcs doctor\n"


def examine_stores(ws: Workspace) -> Iterator[Finding]:
    keep, cache = ws.stores.keep, ws.stores.cache
    yield from _examine_store("keep", keep, ws)
    if not ws.stores.is_one:
        yield from _examine_store("cache", cache, ws)
    yield from _examine_places(ws)
    yield from _examine_links(ws)
    yield from _examine_space(ws)
    yield from _examine_quarantine(ws)


def _examine_store(topic: str, store: ObjectStore, ws: Workspace) -> Iterator[Finding]:
    setting = f"{topic}Dir"
    origin = ws.settings.origin(setting)
    place = store.root if origin == "default" else f"{store.root} ({origin})"
    kind = file_system(store.root)
    what = f"{place}{f', on {kind}' if kind else ''}"
    problem = _write_problem(store.root)
    if problem:
        yield Finding(topic, PROBLEM, f"{what}: {problem}", f"mend its permissions, or: git config regen.{setting} FOLDER")
        return
    yield Finding(topic, OK, what)
    if kind in _NETWORK:
        reason = f"{topic} lies on a network file system: gc sweeps nothing unless its locks work, and a slow link slows every checkout"
        yield Finding(topic, NOTE, reason, f"git config regen.{setting} FOLDER, on a local disk")


def _write_problem(root: str) -> str | None:
    """Why nothing can be stored below `root`; None if it can. What is missing is not made, only what is there is tried."""
    folder = _existing(root)
    if not os.path.isdir(folder):
        return f"{folder} is not a folder"
    if folder != root:
        return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written"
    try:
        fd, temp = durable.create_temp(folder)
        os.close(fd)
        files.remove_file(temp)
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None


def _existing(path: str) -> str:
    """The nearest folder above `path` that is there; `path` itself if it is."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def file_system(path: str) -> str | None:
    """The type of the file system a path is, or would be, on: "ext4", "nfs4"; None where that cannot be told."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split(" ") for line in file]
    except OSError:
        return None
    real = os.path.realpath(_existing(path))
    best, kind = "", None
    for _device, raw_point, each, *_rest in mounts:
        point = raw_point.replace("\\040", " ").replace("\\011", "\t").rstrip("/")
        if (real == point or real.startswith(point + "/")) and len(point) >= len(best):
            best, kind = point, each
    return kind


def _examine_places(ws: Workspace) -> Iterator[Finding]:
    """Keep holds what nothing can make again: it must not lie where something is emptied."""
    if ws.stores.is_one:
        yield Finding(
            "keep", NOTE, "keep and cache are one folder: programs that clean caches leave it alone, backups take all of it",
            "git config regen.cacheDir FOLDER, to part them",
        )
    elif _lies_in(ws.stores.keep.root, os.path.dirname(ws.stores.cache.root)):
        yield Finding("keep", PROBLEM, "keep lies inside the cache, which cleaners may empty", "git config regen.keepDir FOLDER")
    for topic, store in (("keep", ws.stores.keep), ("cache", ws.stores.cache)):
        if _lies_in(store.root, ws.root) and not (topic == "cache" and ws.stores.is_one):
            level = PROBLEM if topic == "keep" else NOTE
            yield Finding(topic, level, f"{topic} lies inside the working tree: git clean -fdx would delete it",
                          f"git config regen.{topic}Dir FOLDER, outside of it")


def _lies_in(path: str, folder: str) -> bool:
    real, around = os.path.realpath(path), os.path.realpath(folder)
    return real == around or real.startswith(around.rstrip("/") + "/")


def _examine_links(ws: Workspace) -> Iterator[Finding]:
    mode, warning = choose_link(ws.link)
    if warning:
        yield Finding("link", NOTE, warning)
    for topic, store in (("keep", ws.stores.keep), ("cache", ws.stores.cache)):
        if topic == "cache" and ws.stores.is_one:
            continue
        way = _best_way(store, ws)
        if way == "unknown":
            yield Finding("link", OK, f"from {topic}: nothing is stored there yet, so it was not tried")
        elif way == "reflink":
            yield Finding("link", OK, f"from {topic} by reflink: takes no space and no time")
        elif way == "hardlink" and mode != "copy":
            yield Finding("link", OK, f"from {topic} by hardlink, read-only, as regen.link says")
        elif way == "hardlink":
            yield Finding("link", OK, f"from {topic} by copy; hardlinks would work too (git config regen.link hardlink)")
        else:
            level = OK if mode == "copy" else NOTE
            yield Finding("link", level, f"from {topic} by copy: it lies on another file system than the working tree")


def _best_way(store: ObjectStore, ws: Workspace) -> str:
    """How a file can come from a store into this worktree: "reflink", "hardlink" or "copy", tried with a small file."""
    folder = f"{store.root}/objects"
    if not os.path.isdir(folder):
        return "unknown"
    fd, source = durable.create_temp(folder)
    try:
        files.write_all(fd, _PROBE)
        return "reflink" if _clones(fd, ws) else "hardlink" if _links(source, ws) else "copy"
    finally:
        os.close(fd)
        files.remove_file(source)


def _clones(source_fd: int, ws: Workspace) -> bool:
    fd, name = ws.tree.temp_in("")
    try:
        if files.MACOS:
            ws.tree.discard(name, "")
            return files.clone_new(source_fd, ws.tree.dir_fd(""), name)
        return files.clone_file(source_fd, fd)
    finally:
        os.close(fd)
        ws.tree.discard(name, "")


def _links(source: str, ws: Workspace) -> bool:
    try:
        name = ws.tree.link_in(source, "")
    except OSError:
        return False
    ws.tree.discard(name, "")
    return True


def _examine_space(ws: Workspace) -> Iterator[Finding]:
    """Free bytes of each disk in use, said once a disk."""
    places: dict[int, list[str]] = {}
    for topic, path in (("the working tree", ws.root), ("keep", ws.stores.keep.root), ("cache", ws.stores.cache.root)):
        names = places.setdefault(os.stat(_existing(path)).st_dev, [path])
        if topic not in names:
            names.append(topic)
    for path, *names in places.values():
        yield space_finding(" and ".join([", ".join(names[:-1]), names[-1]] if names[:-1] else names), shutil.disk_usage(_existing(path)).free)


def space_finding(where: str, free: int) -> Finding:
    """What the free bytes of a disk mean."""
    what = f"{free / 1e9:,.1f} GB free for {where}"
    if free < LOW_BYTES:
        return Finding("disk", PROBLEM, what, "make room, or move the stores: git config regen.keepDir FOLDER, regen.cacheDir FOLDER")
    return Finding("disk", OK, what)


def _examine_quarantine(ws: Workspace) -> Iterator[Finding]:
    for store in ws.stores.stores:
        try:
            names = os.listdir(f"{store.root}/quarantine")
        except OSError:
            continue
        lost = [name for name in names if len(name) > 64 and not ws.stores.has(name[:64])]
        if lost:
            reason = f"{count(len(lost), 'damaged object')} in quarantine with no sound copy in a store"
            yield Finding("objects", PROBLEM, reason, "regen-vcs fsck")
        elif names:
            what = f"{count(len(names), 'damaged object')} in quarantine, all replaced by sound copies: {store.root}/quarantine can be emptied"
            yield Finding("objects", NOTE, what)
