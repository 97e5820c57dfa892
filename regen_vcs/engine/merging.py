"""The merge driver: three sidecars in, one out (git/merge.py does the thinking)."""

from __future__ import annotations

from collections.abc import Mapping

from regen_vcs.git.merge import merge_documents


def merge_files(
    base: str, ours: str, theirs: str, marker_size: int, path: str, cwd: str, environ: Mapping[str, str]
) -> int:
    """Merge the three files into `ours`, as git asks its drivers to: 0 clean, 1 with conflicts."""
    documents = []
    for name in (base, ours, theirs):
        with open(name, "rb") as file:
            documents.append(file.read())
    merged, conflicts = merge_documents(*documents)
    with open(ours, "wb") as file:
        file.write(merged)
    return 1 if conflicts else 0
