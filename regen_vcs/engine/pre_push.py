"""What runs before `git push`: the media that the pushed commits accept go to the remotes first.

It never fails a push: what could not be uploaded is said, and `regen-vcs push` brings it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import BinaryIO

from regen_vcs.engine.accepted import Accepted, accepted_at
from regen_vcs.engine.finding import some
from regen_vcs.engine.pushing import Pushed, push
from regen_vcs.engine.remotes import writable_remotes
from regen_vcs.engine.workspace import Workspace
from regen_vcs.model.quantities import human_size

_PATIENCE = 5.0  # seconds of silence: somebody waits for git push, and can push the media later
_NULL = frozenset("0")


def pre_push(args: list[str], stdin: BinaryIO, cwd: str, environ: Mapping[str, str]) -> list[str]:
    """Upload what git is about to push the commits of; the lines to tell the user.

    args: the remote's name and URL; stdin: a line `<local ref> <local id> <remote ref> <remote id>` for each ref.
    """
    pushed = _pushed_refs(stdin.read())
    if not pushed or environ.get("REGEN_ACTIVE"):
        return []
    ws = Workspace.open(cwd, environ)
    try:
        if not ws.settings.get("push.auto"):
            return []
        remotes = writable_remotes(ws)
        if not remotes:
            return []
        accepted = _accepted(ws, pushed, args[0] if args else "")
        done = push(ws, accepted, remotes, trusting=True, patience=_PATIENCE) if accepted else []
    finally:
        ws.close()
    return [line for each in done for line in _lines(each)]


def _pushed_refs(lines: bytes) -> list[tuple[str, str]]:
    """(local commit, the remote's commit or "") of each ref that is not being deleted."""
    found = []
    for line in lines.decode("utf-8", "surrogateescape").splitlines():
        words = line.split(" ")
        if len(words) == 4 and not _NULL.issuperset(words[1]):
            found.append((words[1], "" if _NULL.issuperset(words[3]) else words[3]))
    return found


def _accepted(ws: Workspace, pushed: list[tuple[str, str]], git_remote: str) -> list[Accepted]:
    """What the pushed tips accept, and what each commit accepts that git's remote does not have yet."""
    tips = [local for local, _ in pushed]
    known = _existing(ws, [remote for _, remote in pushed if remote])
    fresh = [*tips, *(f"^{each}" for each in known)]
    if git_remote and git_remote.replace("-", "").replace("_", "").replace("/", "").isalnum():
        fresh += _tracking_tips(ws, git_remote)
    found = {each.hash: each for each in accepted_at(ws, fresh, history=True)}
    found.update((each.hash, each) for each in accepted_at(ws, tips))
    return list(found.values())


def _tracking_tips(ws: Workspace, git_remote: str) -> list[str]:
    """Commits that git's remote was last seen to have, as exclusions."""
    result = ws.repo.git.result("for-each-ref", "--format=^%(objectname)", f"refs/remotes/{git_remote}/")
    return result.stdout.decode().split() if result.status == 0 else []


def _existing(ws: Workspace, commits: Iterable[str]) -> list[str]:
    """Those that this repository has: of a branch that somebody else has pushed to it need not have the tip."""
    return [each for each in commits if ws.repo.git.result("cat-file", "-e", each).status == 0]


def _lines(done: Pushed) -> list[str]:
    name = done.remote.name
    if done.error is not None:
        return [f"media were not uploaded: {done.error.what}; when it is there again: regen-vcs push"]
    lines = [f"{name}: {done.objects} objects ({human_size(done.bytes)}) uploaded"] if done.objects else []
    lines += [error.what for error in list(done.failed.values())[:3]]
    lost = sorted(each.path for each in done.homeless if each.is_source)
    if lost:
        lines.append(f"source assets that are neither here nor in {name}: {some(lost)}; push them from where they are")
    return lines
