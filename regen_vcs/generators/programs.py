"""Programs that generators start: which file a name stands for, and whether it is still the same one."""

from __future__ import annotations

import os
import shutil

from regen_vcs.generators.base import JobFailed


def program_identity(name: str) -> str:
    """Path, size and time of the program that a job would start by this name now; JobFailed where there is none.

    Relative entries of PATH do not count, as for a job.
    """
    path = os.pathsep.join(part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(part))
    found = shutil.which(name, path=path)
    if found is None:
        raise JobFailed(f"{name}: no such program")
    real = os.path.realpath(found)
    st = os.stat(real)
    return f"{real} {st.st_size} {st.st_mtime_ns}"
