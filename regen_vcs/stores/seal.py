"""The seal: an object's time stamp says that its bytes were verified under its name.

Whoever verifies an object sets its modification time to a value derived from its hash. Whatever writes to the
object afterwards (a program through a hardlink, root, a restore that went wrong) moves that time and so breaks
the seal. A broken seal proves nothing bad; it means "hash me again before you trust me". Hot path.
"""

from __future__ import annotations

import os
import stat

from regen_vcs.platform.files import WINDOWS

OBJECT_MODE = 0o444
_EPOCH = 1_000_000_000  # seconds: September 2001, so that every seal (28 bits) lies in the past and fits anywhere
_BY_DESCRIPTOR = os.utime in os.supports_fd and not WINDOWS


def seal_seconds(hash: str) -> int:
    """The modification time, in seconds, of a verified object of that name."""
    return _EPOCH + int(hash[:7], 16)


def is_sealed(st: os.stat_result, hash: str) -> bool:
    """Whether an object's (l)stat shows an unbroken seal: a regular file whose time is exactly the hash's."""
    return st.st_mtime_ns == (_EPOCH + int(hash[:7], 16)) * 1_000_000_000 and stat.S_ISREG(st.st_mode)


def set_seal(fd: int, path: str, hash: str) -> None:
    """Seal a file whose bytes were just verified, and make it read-only. By descriptor where the system can."""
    target = fd if _BY_DESCRIPTOR else path
    stamp = seal_seconds(hash) * 1_000_000_000
    os.chmod(target, OBJECT_MODE)
    os.utime(target, ns=(stamp, stamp))
