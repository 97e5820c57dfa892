"""What a finished prompt has made, and where it goes. Nodes file pictures, films and sounds under any key: whatever
lists objects with a "filename" is taken. A server's names are never used for ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.generators.comfyui.client import one_line, suffix_of
from regen_vcs.generators.comfyui.graph import Graph, node_order
from regen_vcs.generators.comfyui.table import FRAME_START
from regen_vcs.model.paths import parse_sequence

_SAME = {".jpeg": ".jpg", ".tif": ".tiff", ".m4v": ".mp4"}
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
_SHOWN = 5


class MadeFile(NamedTuple):
    """One file on a server: `query` is what /view wants to hear."""

    node: str
    name: str
    query: Mapping[str, str]

    @property
    def suffix(self) -> str:
        return suffix_of(self.name)


def made_files(entry: Mapping[str, Any]) -> list[MadeFile]:
    """The files of a history entry, by node and as each node lists them. Previews only where nothing was saved."""
    outputs = entry.get("outputs")
    found: dict[tuple[str, str, str], MadeFile] = {}
    nodes = outputs if isinstance(outputs, Mapping) else {}
    for node in sorted(map(str, nodes), key=node_order):
        for listed in (nodes[node].values() if isinstance(nodes[node], Mapping) else ()):
            for each in listed if isinstance(listed, list) else ():
                file = _made_file(node, each)
                if file is not None:
                    found.setdefault(tuple(file.query.values()), file)
    for kind in ("output", "temp"):
        files = [file for file in found.values() if file.query["type"] == kind]
        if files:
            return files
    return []


def _made_file(node: str, item: Any) -> MadeFile | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("filename"), str):
        return None
    subfolder, kind = item.get("subfolder", ""), item.get("type", "output")
    if not isinstance(subfolder, str) or not isinstance(kind, str):
        return None
    return MadeFile(node, item["filename"], {"filename": item["filename"], "subfolder": subfolder, "type": kind})


def target_paths(job: Job, graph: Graph, files: list[MadeFile]) -> list[tuple[MadeFile, str]]:
    """[(file, absolute path to write)]. JobFailed where what was made does not suit the asset's name.

    A name with a suffix is one file of that kind; with `####`, frames of one kind; without a suffix, a folder.
    """
    asset = os.path.basename(job.output)
    if not files:
        raise JobFailed("the workflow made no files", "it needs a node that saves what it makes, as Save Image")
    wanted = os.path.splitext(asset)[1].lower()
    if parse_sequence(asset):
        for file in files:
            _check_suffix(file, asset, wanted, graph)
        return list(zip(files, (path for _, path in job.frames(_numbers(job, len(files)))), strict=True))
    if not wanted:
        return [(file, os.path.join(job.output, name)) for file, name in zip(files, _member_names(files), strict=True)]
    if len(files) > 1:
        names = ", ".join(one_line(file.name, 80) for file in files[:_SHOWN]) + (", …" if len(files) > _SHOWN else "")
        stem = os.path.splitext(asset)[0]
        raise JobFailed(
            f"the workflow made {len(files)} files ({names}), and {asset} is one file",
            f"name the asset {stem} (a folder), or {stem}.####{wanted} (a sequence)",
        )
    _check_suffix(files[0], asset, wanted, graph)
    return [(files[0], job.output)]


def _check_suffix(file: MadeFile, asset: str, wanted: str, graph: Graph) -> None:
    if _SAME.get(file.suffix, file.suffix) != _SAME.get(wanted, wanted):
        raise JobFailed(
            f"the workflow made {one_line(file.name, 120)} ({graph.label(file.node)}), which is no {wanted} as {asset} is",
            f"name the asset …{file.suffix}, or save another format" if file.suffix else None,
        )


def _numbers(job: Job, count: int) -> range:
    """The numbers of the frames: from the param `frame_start`, or from 1."""
    start = job.raw_params.get(FRAME_START, 1)
    if isinstance(start, bool) or not isinstance(start, int) or start < 0:
        raise JobFailed(f"params.{FRAME_START}: {start!r} is no number of a frame")
    return range(start, start + count)


def _member_names(files: list[MadeFile]) -> list[str]:
    """Names in a folder, the same on every run: by number, and by node where several saved something."""
    several = len({file.node for file in files}) > 1
    counts: dict[str, int] = {}
    names = []
    for file in files:
        counts[file.node] = counts.get(file.node, 0) + 1
        node = _UNSAFE.sub("-", file.node)
        names.append(f"{f'{node}_' if several else ''}{counts[file.node]:04d}{file.suffix}")
    return names
