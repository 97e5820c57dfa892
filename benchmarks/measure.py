"""What a command costs, and a place to run it where nothing of the user's is read or written."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections import namedtuple

Cost = namedtuple("Cost", ("seconds", "cpu", "peak_bytes"))  # peak: of the largest process; 0 where it cannot be told

_GITCONFIG = """\
[user]
\tname = bench
\temail = bench@localhost
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
[commit]
\tgpgsign = false
"""


class Failed(Exception):
    """A command that did not do its work."""


def guarded_environment(home: str, folders: list[str], extra: dict[str, str]) -> dict[str, str]:
    """An environment with a home of its own and nothing of the user's but PATH."""
    os.makedirs(home, exist_ok=True)
    with open(f"{home}/.gitconfig", "w", encoding="ascii") as file:
        file.write(_GITCONFIG)
    return {
        "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
        "HOME": home,
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": f"{home}/.gitconfig",
        "GIT_TERMINAL_PROMPT": "0",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": f"{home}/dvc-site",
    } | extra


def run(command: str, cwd: str, env: dict[str, str]) -> Cost:
    """Run a command by `sh -e`. Failed, with what it said last, unless it exits 0."""
    start = time.perf_counter()
    child = subprocess.Popen(
        ["sh", "-ec", command], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode:
        raise Failed(f"{command[:80]} → {child.returncode}: {said.decode(errors='replace').strip()[-300:]}")
    peak = usage.ru_maxrss * 1024
    # Linux hands our own peak to the child over the exec: what is not above it says nothing about the child.
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak if peak > mine else 0)
