"""What lies below a folder: a disk of this machine, or something that other machines write to as well."""

from __future__ import annotations

import os
import sys

# Whose locks may hold on one machine only, whatever a trial on that machine says.
_SHARED = frozenset((
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "afs", "ncpfs", "9p", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ocfs2",
    "gfs2", "davfs", "webdav", "afpfs", "acfs",
))  # fmt: skip
_SHARED_BEGINNINGS = ("fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.davfs", "fuse.juicefs", "fuse.cephfs", "fuse.smb")


def shared_kind(path: str) -> str | None:
    """The type of the file system of a path if it is one that machines share ("nfs4"); else, or if unknown, None."""
    if sys.platform != "linux":
        return None
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [_parse(line) for line in file]
    except OSError:
        return None
    real = os.path.realpath(path)
    holding = [(point, kind) for point, kind in mounts if point == "/" or real == point or real.startswith(point + "/")]
    kind = max(enumerate(holding), key=lambda each: (len(each[1][0]), each[0]), default=(0, ("", "")))[1][1]
    return kind if kind in _SHARED or kind.startswith(_SHARED_BEGINNINGS) else None


def _parse(line: str) -> tuple[str, str]:
    """(mount point, type) of a line of mountinfo; spaces in names stand there as octal escapes."""
    left, _, right = line.partition(" - ")
    point = left.split(" ")[4]
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, letter)
    return point, right.split(" ")[0]
