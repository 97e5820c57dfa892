"""Bringing a model from the hub into its cache, in a process of its own: two lines in, one line out.

The process that runs pipelines stays offline from its first import to its end.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from regen_vcs.generators.base import Job, JobFailed
from regen_vcs.model.model_reference import hub_folder, is_revision
from regen_vcs.platform.processes import kill_group, start_group

_PATTERNS = ["*.safetensors", "*.json", "*.model", "*.jinja", "*merges.txt", "*vocab.txt"]
# Of the table's `env`, what the hub's client understands.
_ENV = ("HF_TOKEN", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_POLL = 0.2


def fetch(job: Job, model: Mapping[str, str]) -> str:
    """Download one model; the absolute path of its snapshot. JobFailed where that cannot be done; Interrupted."""
    name, revision = model.get("name") or "", model.get("version") or "main"
    if hub_folder(name) is None or not is_revision(revision):
        raise JobFailed(f"the model {name!r} {revision} is no hub id: it cannot be downloaded")
    job.progress(0.0, f"downloading {name}")
    env = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    env |= {key: job.env[key] for key in _ENV if key in job.env}
    proc = start_group([sys.executable, "-I", "-m", __name__], env=env, cwd=job.scratch,
                       stdout=subprocess.PIPE, stderr=sys.stderr.fileno(), stdin=subprocess.PIPE)  # fmt: skip
    job.child_started(proc.pid)
    with contextlib.suppress(BrokenPipeError), proc.stdin as asking:  # one that died at once is told of below
        asking.write(f"{name}\n{revision}\n".encode())
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(proc.stdout.read(1 << 16)), daemon=True)
    reader.start()
    try:
        while proc.poll() is None:
            job.check_cancelled()
            time.sleep(_POLL)
    finally:
        kill_group(proc, 0.5)
        job.child_gone(proc.pid)
    reader.join(1.0)
    path = (said[0] if said else b"").decode("utf-8", "surrogateescape").strip().rpartition("\n")[2]
    if not os.path.isabs(path) or not os.path.isdir(path):
        raise JobFailed(f"{name} ({revision}) could not be downloaded: {path[:300] or 'see the log'}", transient=True)
    return path


def answer(name: str, revision: str) -> str:
    """The snapshot's folder, or why there is none: on one line."""
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(name, revision=revision, allow_patterns=_PATTERNS)
    except Exception as error:  # the hub's client has a tree of its own
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    # Whether what it answers is a folder tells how it went.
    wanted = os.read(0, 1 << 12).decode().split()
    os.write(1, f"{answer(*wanted)}\n".encode("utf-8", "surrogateescape"))
