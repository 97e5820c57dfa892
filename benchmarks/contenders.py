"""Who takes part: the floor, what the operating system can do at best, regen-vcs, and its peers.

Each is a handful of shell commands, run by `sh -e` in the repository with these variables:

    REPO  STORE  DST   the repository; a folder of the tool's own; where a second worktree goes
    REMOTE             where what is shared goes; CLONE: where a clone goes
    REF                the version that is recorded or switched to: A, B or C
    CHANGED            a file that lists, NUL-separated, the paths that differ from the version before
"""

from __future__ import annotations

import os
import shutil
import sys

_COMMIT = "git add -A && git commit -qm $REF"
_HUB = "git init -q --bare $REMOTE && git remote add origin file://$REMOTE"


class Contender:
    """name: in the tables. program: what must be installed. text: a small text file beside each media file."""

    name = program = ""
    text = False
    setup = ":"
    record = _COMMIT
    switch = "git switch -q $REF"
    worktree: str | None = "git worktree add -q $DST $REF"
    status: str | None = None
    push: str | None = None  # versions A, B and C with their media to $REMOTE
    clone: str | None = None  # from there, version A materialised
    own = False

    def environment(self, _site: str) -> dict[str, str]:
        return {}

    def folders(self) -> list[str]:
        """What goes first on PATH."""
        return []

    def is_here(self, path: str) -> bool:
        return shutil.which(self.program, path=path) is not None


class Copy(Contender):
    """No version control at all: a folder for each version, copied to and fro."""

    name, program = "cp", "cp"
    how = "cp"
    record = property(lambda self: f"mkdir -p $STORE/$REF && xargs -0 {self.how} --parents -t $STORE/$REF <$CHANGED")
    switch = property(
        lambda self: f"cd $STORE/$REF && xargs -0 {self.how} --remove-destination --parents -t $REPO <$CHANGED"
    )
    worktree = property(
        lambda self: f"mkdir $DST && {self.how} -r $STORE/A/media $DST && {self.how} -r --remove-destination $STORE/C/. $DST"
    )
    push: str | None = "cp -r $STORE $REMOTE"
    clone: str | None = "mkdir $CLONE && cp -r $REMOTE/A/media $CLONE/media"


class Link(Copy):
    name, how = "ln", "cp -l"
    push = clone = None


class Floor(Contender):
    """What no tool of sidecars can be below: git switches as many small text files, cp brings the media."""

    name, program, text = "floor", "git", True
    setup = "printf 'media/**\\n!media/**/\\n!*.json\\n' >.gitignore && git add -A && git commit -qm init"
    record = property(lambda self: f"({Copy().record}) && {_COMMIT}")
    switch = property(lambda self: f"git switch -q $REF && {Copy().switch}")
    worktree = property(lambda self: f"git worktree add -q $DST $REF && {Copy().worktree.removeprefix('mkdir $DST && ')}")


class Ours(Contender):
    """regen-vcs, every file a source asset."""

    name, own = "regen", True
    link = "copy"
    record = f"regen-vcs add media && {_COMMIT}"
    status = "regen-vcs status"

    def __init__(self, program: str | None = None, name: str = ""):
        self.program = program or os.path.join(os.path.dirname(sys.executable), "regen-vcs")
        self.name = name + type(self).name if name else type(self).name
        # A clone has stores of its own: what is here already would not have to travel.
        self.push = (
            f"{_HUB} && regen-vcs remote add store file://$REMOTE.store --durable &&"
            "git push -q --no-verify origin A B C && regen-vcs push --all"
        )
        self.clone = (
            "export REGEN_CACHE_DIR=$CLONE.cache REGEN_KEEP_DIR=$CLONE.keep && git clone -q -b A $REMOTE $CLONE && cd $CLONE &&"
            "regen-vcs init && regen-vcs remote add store file://$REMOTE.store && regen-vcs fetch && regen-vcs sync"
        )
        self.setup = f"regen-vcs init && git config regen.link {self.link} && git add -A && git commit -qm init"

    def environment(self, site: str) -> dict[str, str]:
        return {f"REGEN_{each.upper()}_DIR": f"{site}/store/{each}" for each in ("cache", "keep", "config")}

    def folders(self) -> list[str]:
        return [os.path.dirname(os.path.abspath(self.program))]


class OursLinked(Ours):
    name, link = "regen-hardlink", "hardlink!"


class Lfs(Contender):
    name, program = "git-lfs", "git-lfs"
    setup = "git lfs install --local && git lfs track 'media/**' && git add -A && git commit -qm init"
    status = "git lfs status"
    push = f"{_HUB} && git push -q origin A B C"
    clone = "git lfs install && git clone -q -b A file://$REMOTE $CLONE"


class Dvc(Contender):
    """`media` as one directory, hooks installed, cache outside the worktree."""

    name, program, link = "dvc", "dvc", "copy"
    record = f"dvc add -q media && {_COMMIT}"
    worktree = None  # its hook finds no cache there
    status = "dvc status"

    @property
    def setup(self) -> str:
        return (
            "dvc init -q && dvc config core.analytics false && dvc config core.check_update false &&"
            f"dvc config cache.type {self.link} && dvc config core.autostage true && dvc cache dir --local $STORE &&"
            "dvc install -q && git add -A && git commit -qm init"
        )


class DvcLinked(Dvc):
    name, link = "dvc-hardlink", "hardlink"


class Annex(Contender):
    """Locked: a file of the worktree is a symlink."""

    name, program = "git-annex", "git-annex"
    setup = "git annex init -q && git commit -q --allow-empty -m init"
    record = "git annex add -q . && git commit -qm $REF"
    status = "git annex status"


PEERS = (Lfs, Dvc, DvcLinked, Annex)


def line_up(others: list[str]) -> list[Contender]:
    """Everybody, present or not. others: `NAME=PROGRAM`, other builds of regen-vcs to run beside this one."""
    builds = [(name + ":", program) for name, _, program in (each.partition("=") for each in others)]
    return [
        Floor(), Copy(), Link(), Ours(), OursLinked(),
        *(kind(program, name) for name, program in builds for kind in (Ours, OursLinked)),
        *(kind() for kind in PEERS),
    ]
