"""gc against a model: in any history, nothing that is needed or irreplaceable goes, and everything else does."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.property.gc_world import LOOSE, PROVEN, SOURCE, World

# A run for hours is for who changes gc; each example is a few dozen git commands.
EXAMPLES = int(os.environ.get("REGEN_GC_EXAMPLES", "12"))
KINDS = (SOURCE, LOOSE, LOOSE, PROVEN)
_MEMORY = Path("/dev/shm")


def make(world: World, root: Path, n: int) -> None:
    world.make(root, f"a{n % 3}.png", KINDS[n // 3 % 4])


def make_tree(world: World, root: Path, n: int) -> None:
    world.make(root, f"shots{n % 2}", KINDS[n // 2 % 4], is_tree=True)


def commit(world: World, root: Path, n: int) -> None:
    world.git(root, "add", "-A")
    world.git(root, "commit", "-qm", f"c{n}")


def grow(world: World, root: Path, n: int) -> None:
    """What happens most: something is made, and committed."""
    (make_tree if n % 5 == 0 else make)(world, root, n)
    commit(world, root, n)


def stage(world: World, root: Path, n: int) -> None:
    world.git(root, "add", "-A")


def amend(world: World, root: Path, n: int) -> None:
    world.git(root, "commit", "-q", "--amend", "-am", f"amended {n}")


def branch(world: World, root: Path, n: int) -> None:
    world.git(root, "switch", "-qc", f"b{n % 4}")


def switch(world: World, root: Path, n: int) -> None:
    world.git(root, "switch", "-q", "--discard-changes", ("main", f"b{n % 4}")[n % 2])


def delete_branch(world: World, root: Path, n: int) -> None:
    world.git(root, "switch", "-q", "--discard-changes", "main")
    world.git(root, "branch", "-D", *(f"b{each}" for each in range(4) if (n >> each) % 2))


def stash(world: World, root: Path, n: int) -> None:
    world.git(root, "stash", "push", "-q", *(("-u",) if n % 2 else ()))


def unstash(world: World, root: Path, n: int) -> None:
    world.git(root, "stash", ("pop", "drop")[n % 2], "-q")


def reset(world: World, root: Path, n: int) -> None:
    world.git(root, "reset", "-q", "--hard", f"HEAD~{n % 3}")


def restore(world: World, root: Path, n: int) -> None:
    world.git(root, "checkout", "-q", "--", ".")
    world.git(root, "clean", "-fdq")


def tag(world: World, root: Path, n: int) -> None:
    world.git(root, "tag", "-a", "-m", "x", "-f", f"t{n % 2}")


def untag(world: World, root: Path, n: int) -> None:
    world.git(root, "tag", "-d", f"t{n % 2}")


def expire(world: World, root: Path, n: int) -> None:
    world.git(root, "reflog", "expire", "--expire=now", "--all")
    if n % 2:
        world.git(root, "gc", "-q", "--prune=now")


def merge(world: World, root: Path, n: int) -> None:
    world.git(root, "merge", "-q", "--no-edit", f"b{n % 4}")  # a conflict is a state too


def abort(world: World, root: Path, n: int) -> None:
    for verb in ("merge", "rebase", "cherry-pick"):
        world.git(root, verb, "--abort")


def pick(world: World, root: Path, n: int) -> None:
    world.git(root, ("cherry-pick", "rebase")[n % 2], f"b{n % 4}")


def worktree(world: World, root: Path, n: int) -> None:
    main = world.main_roots()[0]
    where = main.parent / f"{main.name}-wt-{n % 2}"
    if where.exists():
        world.git(main, "worktree", "remove", "--force", str(where))
        world.roots = [each for each in world.roots if each != where]
    elif world.git(main, "worktree", "add", "-q", "--detach", str(where)) is not None and where.exists():
        world.roots.append(where)


def copy(world: World, root: Path, n: int) -> None:
    """cp -r of a repository: the same uuid at another place."""
    main = world.main_roots()[0]
    where = main.parent / f"copy{n % 2}"
    if where.exists() or list(main.parent.glob(f"{main.name}-wt-*")):
        return
    shutil.copytree(main, where, symlinks=True)
    world.roots.append(where)
    ws = world.open(where)
    ws.register()
    ws.close()


def pin(world: World, root: Path, n: int) -> None:
    world.pin(n)


def unpin(world: World, root: Path, n: int) -> None:
    world.unpin()


OPERATIONS = (
    grow, grow, grow, grow, grow, make, make_tree, commit, stage, amend, branch, switch, switch, delete_branch, stash, unstash, reset, restore, tag, untag,
    expire, expire, merge, abort, pick, worktree, copy, pin, unpin,
)  # fmt: skip


def collect_and_check(world: World) -> None:
    world.before_gc()
    plan, outcome = world.gc()
    assert not plan.notes and not outcome.failed
    world.check(is_sure=True)


def history(seed: int, length: int) -> list[tuple]:
    """Random steps. By a seed, since hypothesis prefers the small and the same, and shrinks only what fails."""
    random = Random(seed)
    return [(random.choice(OPERATIONS), random.randrange(1000)) for _ in range(length)]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**40), st.integers(16, 34))
def test_in_any_history(seed, length):
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        world = World(Path(folder))
        for number, (act, n) in enumerate(history(seed, length)):
            act(world, world.roots[n % len(world.roots)], n)
            if number % 9 == 8:
                collect_and_check(world)
        collect_and_check(world)


@settings(max_examples=max(4, EXAMPLES // 3), deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**40), st.booleans())
def test_a_repository_that_is_gone_needs_what_it_needed_last(seed, looked):
    """Deleted, unmounted, moved away: it counts as it was seen; where it never was, nothing goes at all."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        world = World(Path(folder))
        other = world.repo("other")
        for act, n in history(seed, 12):
            if act not in (worktree, copy):
                act(world, (world.roots[0], other)[n % 2], n)
        if looked:
            collect_and_check(world)
        late = world.make(other, "late.png", PROVEN)
        world.before_gc()
        before = world.present()
        world.delete_repo(other)
        # What it came to need after gc saw it last is not known, but can be made again.
        world.lost[str(other)] -= set(late.objects)
        plan, outcome = world.gc()
        assert plan.notes
        if looked:
            world.check(is_sure=False)
        else:
            assert not outcome.swept and not outcome.emptied and world.present() == before
