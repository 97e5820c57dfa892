"""The answer of the last `status`, for as long as nothing it looked at has moved.

A status of thousands of assets with nothing changed need not read the index, the sidecars' facts and the rows again:
it is enough that each file has the stat it had. What was looked at stands in one file beside the state (`quiet`),
written by a full status (engine/quiet_recorder.py) and by nothing else. Hot path: no json, whose `re` takes longer to
load than all of this takes to run.
"""

from __future__ import annotations

import os
import stat
from collections import namedtuple

_VERSION = "1"
ABSENT, FOLDER = "", "/"

# counts: {state: assets}. total: bytes. told: (state, path, reason or "") of each asset that is not ok.
Answer = namedtuple("Answer", ("counts", "total", "told"))


def answer_of(statuses) -> Answer:
    """What there is to say of these `engine.status.Status`."""
    counts: dict[str, int] = {}
    for each in statuses:
        counts[each.state] = counts.get(each.state, 0) + 1
    told = [(each.state, each.path, each.reason or "") for each in statuses if each.state not in ("ok", "skipped")]
    return Answer(counts, sum(each.size for each in statuses), told)


def recall(repo, environ) -> Answer | None:
    """The last answer, if it still holds. None: look again."""
    if "GIT_INDEX_FILE" in environ:
        return None
    try:
        with open(path_of(repo), "rb") as file:
            head, told, watched = file.read().decode("utf-8", "surrogateescape").split("\0\0\0", 2)
        version, root, git_dir, total, *counts = head.split("\0")
        if (version, root, git_dir) != (_VERSION, repo.root, repo.git_dir) or not _holds(watched.split("\0")):
            return None
        return Answer(dict(zip(counts[::2], map(int, counts[1::2]), strict=True)), int(total), _in_threes(told))
    except (OSError, ValueError):
        return None


def text_of(repo, answer: Answer, watched: dict[str, str]) -> bytes:
    """The file: head, what is told, and what is watched, three NULs between them and one within.

    watched: {absolute path: its stat as `sig_of` has it; ABSENT for nothing there, FOLDER for any real folder}.
    """
    counts = [str(part) for pair in answer.counts.items() for part in pair]
    head = [_VERSION, repo.root, repo.git_dir, str(answer.total), *counts]
    # The reason first: it may be empty, and what ends in a NUL would run into the next separator.
    told = [part for state, path, reason in answer.told for part in (reason, state, path)]
    parts = [part for pair in watched.items() for part in pair]
    return "\0\0\0".join("\0".join(each) for each in (head, told, parts)).encode("utf-8", "surrogateescape")


def path_of(repo) -> str:
    return f"{repo.state_dir}/quiet"


def _in_threes(told: str) -> list[tuple[str, str, str]]:
    parts = told.split("\0") if told else []
    return list(zip(parts[1::3], parts[2::3], parts[::3], strict=True))


def _holds(parts: list[str]) -> bool:
    lstat = os.lstat
    for path, sig in zip(parts[::2], parts[1::2], strict=True):
        try:
            st = lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            if sig != ABSENT:
                return False
            continue
        # As `sig_of` has it, spelt out: this line runs twice for every asset there is.
        if f"{st.st_size} {st.st_mtime_ns} {st.st_ctime_ns} {st.st_ino}" != sig and not (
            sig == FOLDER and stat.S_ISDIR(st.st_mode)
        ):
            return False
    return True
