"""One worktree of a repository: where its parts are, and what git is in the middle of."""

from __future__ import annotations

import os
from collections.abc import Mapping

from regen_vcs.errors import UsageError
from regen_vcs.git.run import Git, GitError, Result

_QUESTIONS = (
    "--is-inside-work-tree",
    "--show-object-format",
    "--absolute-git-dir",
    "--git-common-dir",
    "--git-path", "regen",
    "--git-path", "hooks",
    "--git-path", "info/exclude",
    "--show-toplevel",
)  # fmt: skip

# The first that exists names the operation. A rebase also leaves CHERRY_PICK_HEAD, so it comes first.
_OPERATIONS = (
    ("rebase-merge", "rebase"),
    ("rebase-apply/applying", "am"),
    ("rebase-apply", "rebase"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("sequencer", "sequencer"),
    ("MERGE_HEAD", "merge"),
    ("BISECT_LOG", "bisect"),
)


class Repo:
    """A worktree and its repository. All paths are absolute `str`.

    root: top of the worktree. git_dir: of this worktree. common_dir: shared by all worktrees.
    state_dir: this worktree's `git rev-parse --git-path regen` (may not exist yet).
    hooks_dir: where git looks for hooks, `core.hooksPath` honoured. exclude_path: `info/exclude`.
    oid_format: "sha1" or "sha256". git: runs git at `root`.
    """

    __slots__ = ("common_dir", "exclude_path", "git", "git_dir", "hooks_dir", "oid_format", "root", "state_dir")

    def __init__(
        self, git: Git, *, root: str, git_dir: str, common_dir: str, state_dir: str, hooks_dir: str,
        exclude_path: str, oid_format: str,
    ):
        self.git = git
        self.root, self.git_dir, self.common_dir = root, git_dir, common_dir
        self.state_dir, self.hooks_dir, self.exclude_path = state_dir, hooks_dir, exclude_path
        self.oid_format = oid_format

    @classmethod
    def discover(cls, cwd: str, environ: Mapping[str, str], *, keep_index: bool = False) -> Repo:
        """The repository around `cwd` (or that GIT_DIR names), with one git process.

        keep_index: see `Git`. UsageError outside a worktree, in a bare repository, and with a git before 2.31.
        """
        git = Git(cwd, environ, keep_index=keep_index)
        result = git.result("rev-parse", "--path-format=absolute", *_QUESTIONS)
        answers = result.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]
        # From outside a worktree that GIT_WORK_TREE names, git answers "false" and all the rest.
        if result.status or not answers:
            raise _not_here(git, cwd, result, answers)
        if len(answers) != 8:
            raise UsageError(f"{cwd}: a line break in the path of a repository is not supported", "rename that folder")
        _, oid_format, git_dir, common_dir, state_dir, hooks_dir, exclude_path, root = answers
        return cls(
            git.at(root), root=root, git_dir=git_dir, common_dir=common_dir, state_dir=state_dir,
            hooks_dir=hooks_dir, exclude_path=exclude_path, oid_format=oid_format,
        )

    @property
    def shared_dir(self) -> str:
        """What all worktrees of this repository share of ours; may not exist yet."""
        return f"{self.common_dir}/regen"

    @property
    def is_linked(self) -> bool:
        """Whether this is a worktree made by `git worktree add`."""
        return self.git_dir != self.common_dir

    def git_path(self, name: str) -> str:
        """Absolute path of a file git keeps, for this worktree or for all: `git rev-parse --git-path NAME`."""
        return self.git.text("rev-parse", "--path-format=absolute", "--git-path", name)

    def operation(self) -> str | None:
        """What git is in the middle of here: rebase, am, cherry-pick, revert, sequencer, merge, bisect; or None."""
        for name, operation in _OPERATIONS:
            if os.path.exists(f"{self.git_dir}/{name}"):
                return operation
        return None

    def in_sequence(self) -> bool:
        """Whether git is replaying several commits, so that more changes of the worktree follow this one."""
        return any(os.path.exists(f"{self.git_dir}/{name}") for name in ("rebase-merge", "rebase-apply", "sequencer"))


def _not_here(git: Git, cwd: str, result: Result, answers: list[str]) -> UsageError | GitError:
    message = result.stderr.decode("utf-8", "replace")
    if "path-format" in result.stdout.decode("utf-8", "replace"):  # an option it does not know is echoed
        version = ".".join(map(str, git.version()))
        return UsageError(f"git {version} is too old", "install git 2.31 or newer")
    if "dubious ownership" in message:
        return UsageError(f"{cwd}: git does not trust this repository's owner", f"git config --global --add safe.directory {cwd}")
    if "not a git repository" in message:
        return UsageError(f"{cwd} is not inside a git repository", "git init, then regen-vcs init")
    if answers[:1] == ["false"]:
        return UsageError(f"{cwd} is not inside a working tree", "change to one: a bare repository and .git have no media")
    return GitError(("rev-parse",), result.status, result.stderr)
